-module(cf_case_cluster).
-export([cases/0]).
cases() -> [].
