# SPDX-License-Identifier: Apache-2.0
# elixir --name t@127.0.0.1 -S mix test
defmodule SampleTest do
  use ExUnit.Case
  doctest Sample

  test "the same as the BEAM's own" do
    for size <- [0, 1, 1000, 1_000_000] do
      bytes = :crypto.strong_rand_bytes(size)
      assert Sample.crc32(bytes) == {:ok, :erlang.crc32(bytes)}
    end
  end

  test "it works again when the C node was killed" do
    os_pid = CNode.Program.os_pid(Sample.Program)
    [worker | _] = CNode.Pool.workers(Sample.Workers)
    ref = Process.monitor(worker)
    System.cmd("kill", ["-9", "#{os_pid}"])
    assert_receive {:DOWN, ^ref, :process, ^worker, :noconnection}, 5000
    assert eventually(fn -> Sample.crc32("abc") end) == {:ok, :erlang.crc32("abc")}
  end

  # A call exits while there is no worker, or when the pool has not heard of the loss yet.
  defp eventually(fun) do
    fun.()
  catch
    :exit, _why ->
      CNode.Pool.await(Sample.Workers, 10_000)
      eventually(fun)
  end
end
