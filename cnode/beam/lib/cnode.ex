# SPDX-License-Identifier: Apache-2.0
defmodule CNode do
  @moduledoc """
  C nodes as an Elixir program uses them.

  A C node offers *factories*. This module starts processes from them, on a node that you name:

      {:ok, pid} = CNode.start(:"c@127.0.0.1", :counter, [10])
      15 = GenServer.call(pid, {:add, 5})

  What it starts are processes like all others: `GenServer.call/3`, `Process.link/1`, `Process.monitor/1` and `:global` do what
  you know. For supervisors there are `CNode.Process` (a C process as a child), `CNode.Program` (the operating system
  process that is the C node) and `CNode.Pool` (workers on several nodes).

      children = [
        {CNode.Program, node: :"c@127.0.0.1", load: ["counter"], allow: ["counter"]},
        {CNode.Process, name: Hits, node: :"c@127.0.0.1", factory: :counter, args: [0]}
      ]

  Nothing here starts distribution: on a node that is not alive the answer is `{:error, :not_alive}`.

  Errors are `{:error, kind}`; the kinds are listed in the documentation of the Erlang module `:cnode`, which this one
  stands on. Options are keyword lists or maps.
  """

  @type factory :: module()
  @type options :: keyword() | map()
  @type kind :: :cnode.kind()

  @doc """
  Starts a process of a factory on a C node. It lives on its own: nobody is linked to it.

  ## Options

    * `:name` - registers the process on its node, before this function returns
    * `:timeout` - how long to wait for the answer, in milliseconds or `:infinity`; 5000
    * `:spawn_opt` - a list of options that go to the node as they are

  """
  @spec start(node(), factory(), [term()], options()) :: {:ok, pid()} | {:error, kind()}
  defdelegate start(node, factory, args, options \\ []), to: :cnode

  @doc "The same, linked to the caller from the beginning. A start that fails sends no exit signal."
  @spec start_link(node(), factory(), [term()], options()) :: {:ok, pid()} | {:error, kind()}
  defdelegate start_link(node, factory, args, options \\ []), to: :cnode

  @doc "The same, monitored by the caller from the beginning."
  @spec start_monitor(node(), factory(), [term()], options()) ::
          {:ok, {pid(), reference()}} | {:error, kind()}
  defdelegate start_monitor(node, factory, args, options \\ []), to: :cnode

  @doc """
  The one process of that name: the one there is, or a new one.

  `{:local, name}` is a name on the C node, `{:global, name}` one of `:global`. However many callers ask at once, one
  process is started, and all get its pid.
  """
  @spec get_or_start({:local, atom()} | {:global, term()}, node(), factory(), [term()], options()) ::
          {:ok, pid()} | {:error, kind()}
  defdelegate get_or_start(name, node, factory, args, options \\ []), to: :cnode

  @doc "Connects to all these nodes and waits until it is connected to each."
  @spec await_nodes([node()], timeout()) ::
          :ok | {:error, :not_alive | {:timeout, missing :: [node()]}}
  defdelegate await_nodes(nodes, timeout), to: :cnode

  @doc "What the node lets us know about its factories."
  @spec factories(node()) :: {:ok, [term()]} | {:error, kind()}
  defdelegate factories(node), to: :cnode
end
