# SPDX-License-Identifier: Apache-2.0
defmodule CNode.Pool do
  @moduledoc """
  A pool of C processes of one factory, on one or several C nodes.

      children = [{CNode.Pool, name: Codecs, nodes: [:"c1@h1", :"c2@h2"], factory: :codec, per_node: 4}]

      {:ok, packed} = CNode.Pool.call(Codecs, {:encode, bytes})

  A worker that ends is replaced; the workers of a node that is lost are started on the nodes that are left.

  The options are those of the Erlang module `:cnode_pool`: `:name`, `:nodes` and `:factory`, and `:args`, `:options`, `:size` or
  `:per_node`, `:placement` (`:round_robin`, `:random`, `:least_loaded`, `:local_first` or a function), `:strategy`
  (`:round_robin`, `:random` or a function), `:restarts`, `:backoff`, `:shutdown`.
  """

  @type options :: keyword() | :cnode_pool.options()

  @doc "The child specification for a supervisor."
  @spec child_spec(options()) :: Supervisor.child_spec()
  def child_spec(options), do: options |> Map.new() |> :cnode_pool.child_spec()

  @doc "Starts a pool and its workers."
  @spec start_link(options()) :: {:ok, pid()} | {:error, term()}
  def start_link(options), do: options |> Map.new() |> :cnode_pool.start_link()

  @doc "`GenServer.call/3` to one of the workers. Exits with `{:noproc, _}` while the pool has none."
  @spec call(atom(), term(), timeout()) :: term()
  defdelegate call(pool, request, timeout \\ 5000), to: :cnode_pool

  @doc "Calls all workers at once."
  @spec call_all(atom(), term(), timeout()) :: [{pid(), {:ok, term()} | {:error, term()}}]
  defdelegate call_all(pool, request, timeout \\ 5000), to: :cnode_pool

  @doc "`GenServer.cast/2` to one of the workers; lost while the pool has none."
  @spec cast(atom(), term()) :: :ok
  defdelegate cast(pool, message), to: :cnode_pool

  @doc "The worker whose turn it is."
  @spec worker(atom()) :: {:ok, pid()} | {:error, :no_workers}
  defdelegate worker(pool), to: :cnode_pool

  @doc "The workers there are now."
  @spec workers(atom()) :: [pid()]
  defdelegate workers(pool), to: :cnode_pool

  @doc "Waits until the pool has all its workers."
  @spec await(atom(), timeout()) :: :ok | {:error, {:timeout, non_neg_integer()}}
  defdelegate await(pool, timeout), to: :cnode_pool

  @doc "Ends a pool and its workers."
  @spec stop(atom()) :: :ok
  defdelegate stop(pool), to: :cnode_pool
end
