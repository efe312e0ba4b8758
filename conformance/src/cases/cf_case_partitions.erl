-module(cf_case_partitions).
-export([cases/0]).
cases() -> [].
