# SPDX-License-Identifier: Apache-2.0
# The distributed actors of Mesh, step by step: an Elixir node and a C node (examples/worker.c) as its second node. Each
# function below is one step; examples/README.md says which is which.
#
#     elixir -pa .../cnode/ebin examples/two_nodes.exs cnoded ./worker

defmodule TwoNodes do
  @app :"app@127.0.0.1"
  @worker :"worker@127.0.0.1"

  # Node.start(name, cookie)
  def start do
    {:ok, _} = Node.start(@app, :longnames)
    Node.set_cookie(:secret_cookie_of_this_example)
    IO.puts("Node started")
  end

  # The second node is a program of this machine; it gets our cookie.
  def start_worker(cnoded, module) do
    {:ok, program} = CNode.Program.start_link(node: @worker, cnoded: cnoded, load: [module], allow: ["worker"], log: :none)
    program
  end

  # Node.connect
  def connect do
    true = Node.connect(@worker)
    IO.puts("Connected to worker")
  end

  # Node.self, Node.list. The program is started as a hidden node unless `visible: true` says otherwise.
  def query do
    IO.puts("I am: #{Node.self()}")
    true = @worker in Node.list(:connected)
    IO.puts("Connected nodes: #{inspect(Node.list(:connected))}")
  end

  # Node.spawn and send: the module names a factory of the C node. This one is a gen_server, so it is cast to.
  def spawn_worker do
    pid = Node.spawn(@worker, :worker, :start, [])
    GenServer.cast(pid, {:process_task, 1, "hello from app node"})
    %{task_count: 1} = GenServer.call(pid, :get_stats)
    IO.puts("Remote worker got: hello from app node")
  end

  # Node.spawn_link: if one of the two ends, the other has an exit signal.
  def spawn_link_worker do
    Process.flag(:trap_exit, true)
    pid = Node.spawn_link(@worker, :worker, :start_link, [])
    GenServer.cast(pid, {:process_task, 1, "start"})
    Process.exit(pid, :kill)

    receive do
      {:EXIT, ^pid, :killed} -> IO.puts("task ended")
    end
  end

  # Global.register
  def register do
    {:ok, pid} = CNode.start(@worker, :worker, [])
    :yes = :global.register_name("db_service", pid)
    IO.puts("Registered as db_service")
  end

  # Global.whereis: a look into this node's own table.
  def whereis do
    pid = :global.whereis_name("db_service")
    GenServer.cast(pid, {:process_task, 2, "query"})
    %{task_count: 1} = GenServer.call({:global, "db_service"}, :get_stats)
  end

  # Global.unregister
  def unregister do
    :yes = :global.register_name("temp_worker", self())
    :global.unregister_name("temp_worker")
    :undefined = :global.whereis_name("temp_worker")
  end

  # Node.monitor: told when the node is lost. Its global names go with it.
  def monitor(program) do
    Node.monitor(@worker, true)
    pid = :global.whereis_name("db_service")
    ref = Process.monitor(pid)
    System.cmd("kill", ["-9", "#{CNode.Program.os_pid(program)}"])

    receive do
      {:nodedown, name} -> IO.puts("Node disconnected: #{name}")
    end

    receive do
      {:DOWN, ^ref, :process, ^pid, :noconnection} -> :ok
    end

    # The name server here hears of it by itself, a moment before or after us.
    wait_for(fn -> :global.whereis_name("db_service") == :undefined end)
  end

  defp wait_for(condition), do: condition.() || wait_for(condition)
end

[cnoded, module] = System.argv()
Logger.configure(level: :none)
TwoNodes.start()
program = TwoNodes.start_worker(cnoded, module)
TwoNodes.connect()
TwoNodes.query()
TwoNodes.spawn_worker()
TwoNodes.spawn_link_worker()
TwoNodes.register()
TwoNodes.whereis()
TwoNodes.unregister()
TwoNodes.monitor(program)
IO.puts("all steps done")
