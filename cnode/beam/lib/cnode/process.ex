# SPDX-License-Identifier: Apache-2.0
defmodule CNode.Process do
  @moduledoc """
  A C process as the child of a supervisor.

      children = [{CNode.Process, name: Hits, node: :"c@127.0.0.1", factory: :counter, args: [0]}]

      GenServer.call({:via, CNode.Process, Hits}, {:add, 1})

  The child is a keeper on this node. It is linked to the C process and ends with it, by its reason; while the C node
  cannot be reached it stays, and tries again with pauses that grow, so that no supervisor runs out of restarts.
  `{:via, CNode.Process, keeper}` is the C process wherever a name can stand.

  The options are those of the Erlang module `:cnode_process`: `:node` and `:factory`, and `:args`, `:options`, `:name`,
  `:backoff`, `:report`, `:id`, `:restart`, `:shutdown`.
  """

  @type options :: keyword() | :cnode_process.options()

  @doc "The child specification for a supervisor."
  @spec child_spec(options()) :: Supervisor.child_spec()
  def child_spec(options), do: options |> Map.new() |> :cnode_process.child_spec()

  @doc "Starts a keeper, and the C process if its node can be reached."
  @spec start_link(options()) :: {:ok, pid()} | {:error, CNode.kind()}
  def start_link(options), do: options |> Map.new() |> :cnode_process.start_link()

  @doc "The C process, or `nil` while there is none."
  @spec pid(GenServer.server()) :: pid() | nil
  def pid(keeper) do
    case :cnode_process.pid(keeper) do
      :undefined -> nil
      pid -> pid
    end
  end

  @doc "Waits for the C process."
  @spec await(GenServer.server(), timeout()) :: {:ok, pid()} | {:error, {:timeout, timeout()}}
  defdelegate await(keeper, timeout), to: :cnode_process

  @doc false
  defdelegate whereis_name(keeper), to: :cnode_process
  @doc false
  defdelegate send(keeper, message), to: :cnode_process
  @doc false
  defdelegate register_name(name, pid), to: :cnode_process
  @doc false
  defdelegate unregister_name(name), to: :cnode_process
end
