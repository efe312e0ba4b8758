# SPDX-License-Identifier: Apache-2.0
# The Elixir modules with a live C node. What lies below them has its own tests, in cnode_tests.erl.
#
#     CNODE_BUILD=…/build elixir --name t@127.0.0.1 -S mix test
defmodule CNodeTest do
  use ExUnit.Case

  @node :"cnode_test_exs@127.0.0.1"

  setup_all do
    unless Node.alive?(), do: raise("run me with: elixir --name t@127.0.0.1 -S mix test")
    build = System.fetch_env!("CNODE_BUILD")

    # As the keywords and strings of a supervisor's list.
    program = [
      node: @node,
      cnoded: Path.join(build, "cnode/cmd/cnoded"),
      load: [Path.join(build, "examples/counter")],
      allow: ["counter"],
      env: [{"LANG", "C"}],
      log: :none
    ]

    {:ok, program: program}
  end

  setup context do
    {:ok, os_process: start_supervised!({CNode.Program, context.program})}
  end

  test "a process of a factory answers GenServer.call" do
    {:ok, pid} = CNode.start(@node, :counter, [10])
    assert GenServer.call(pid, {:add, 5}) == 15
    assert node(pid) == @node
  end

  test "start_link and start_monitor do as they are called" do
    Process.flag(:trap_exit, true)
    {:ok, pid} = CNode.start_link(@node, :counter, [1], name: :linked, timeout: 2000)
    assert GenServer.call({:linked, @node}, :get) == 1
    send(pid, {:exit, :oops})
    assert_receive {:EXIT, ^pid, :oops}, 5000
    {:ok, {pid, ref}} = CNode.start_monitor(@node, :counter, [1])
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^ref, :process, ^pid, :killed}, 5000
  end

  test "errors have a kind" do
    assert CNode.start(@node, :counter, [:one]) == {:error, :badarg}
    assert CNode.start(@node, NoSuch.Factory, []) == {:error, :undef}
    assert CNode.start(:"nobody@127.0.0.1", :counter, [1]) == {:error, {:nodedown, :"nobody@127.0.0.1"}}
    assert CNode.start(@node, :counter, [1], colour: :red) == {:error, {:badopt, {:colour, :red}}}
  end

  test "get_or_start finds the one there is" do
    {:ok, pid} = CNode.get_or_start({:local, :one}, @node, :counter, [1])
    assert CNode.get_or_start({:local, :one}, @node, :counter, [1]) == {:ok, pid}
    {:ok, pid} = CNode.get_or_start({:global, {:one, @node}}, @node, :counter, [1])
    assert CNode.get_or_start({:global, {:one, @node}}, @node, :counter, [1]) == {:ok, pid}
    assert GenServer.call({:global, {:one, @node}}, :get) == 1
  end

  test "await_nodes finds a node that is there" do
    assert CNode.await_nodes([@node], 5000) == :ok
    assert CNode.await_nodes([:"nobody@127.0.0.1"], 10) == {:error, {:timeout, [:"nobody@127.0.0.1"]}}
  end

  test "a C process is a child like others, and is called by via" do
    start_supervised!({CNode.Process, name: Hits, node: @node, factory: :counter, args: [0]})
    assert GenServer.call({:via, CNode.Process, Hits}, {:add, 1}) == 1
    assert CNode.Process.await(Hits, 5000) == {:ok, CNode.Process.pid(Hits)}
    send(CNode.Process.pid(Hits), {:exit, :oops})
    # Started again by the supervisor, from its arguments.
    assert eventually(fn -> GenServer.call({:via, CNode.Process, Hits}, :get) == 0 end)
  end

  test "a program says who it is", context do
    assert is_integer(CNode.Program.os_pid(context.os_process))
    assert is_integer(CNode.Program.port_number(context.os_process))
  end

  test "a program that ends is started again by its supervisor, and its processes with it", context do
    start_supervised!({CNode.Process, name: Back, node: @node, factory: :counter, args: [3]})
    {:ok, old} = CNode.Process.await(Back, 5000)
    ref = Process.monitor(old)
    System.cmd("kill", ["-9", to_string(CNode.Program.os_pid(context.os_process))])
    assert_receive {:DOWN, ^ref, :process, ^old, :noconnection}, 5000
    assert eventually(fn -> GenServer.call({:via, CNode.Process, Back}, :get) == 3 end)
  end

  test "a pool has its workers called in turn" do
    start_supervised!({CNode.Pool, name: Counters, nodes: [@node], factory: :counter, args: [0], per_node: 2})
    assert CNode.Pool.await(Counters, 5000) == :ok
    assert Enum.map(1..4, fn _ -> CNode.Pool.call(Counters, {:add, 1}) end) |> Enum.sort() == [1, 1, 2, 2]
    assert CNode.Pool.cast(Counters, {:add, 1}) == :ok
    assert [{_, {:ok, _}}, {_, {:ok, _}}] = CNode.Pool.call_all(Counters, :get)
    assert {:ok, worker} = CNode.Pool.worker(Counters)
    assert worker in CNode.Pool.workers(Counters)
  end

  # Tries again until it holds.
  defp eventually(fun, tries \\ 500) do
    try do
      fun.() || raise "not yet"
    catch
      _kind, _what when tries > 0 ->
        Process.sleep(20)
        eventually(fun, tries - 1)
    end
  end
end
