# SPDX-License-Identifier: Apache-2.0
defmodule CNode.Program do
  @moduledoc """
  The operating system process that is a C node, as the child of a supervisor.

      children = [
        {CNode.Program, node: :"c@127.0.0.1", load: [Application.app_dir(:my_app, "priv/thumbnails.so")], allow: ["thumbnails"]}
      ]

  It starts `cnoded`, or a program of your own (`:program`, `:args`), and is started when the node can be reached. It
  ends when the program ends, and then the supervisor starts both again; when the supervisor or the BEAM ends, however
  it ends, the program does too. The cookie goes to it through its standard input.

  The options are those of the Erlang module `:cnode_program`: `:node`, and `:cnoded`, `:load`, `:allow`, `:config`, `:visible`, `:program`, `:args`,
  `:ready`, `:epmd`, `:listen`, `:env`, `:cd`, `:start_timeout`, `:stop_timeout`, `:log`, `:name`, `:id`, `:restart`. Texts may be strings.
  """

  @type options :: keyword() | :cnode_program.options()

  @doc "The child specification for a supervisor."
  @spec child_spec(options()) :: Supervisor.child_spec()
  def child_spec(options), do: options |> Map.new() |> :cnode_program.child_spec()

  @doc "Starts the program, and returns when its node can be reached."
  @spec start_link(options()) :: {:ok, pid()} | {:error, :cnode_program.kind()}
  def start_link(options), do: options |> Map.new() |> :cnode_program.start_link()

  @doc "The number of the operating system process."
  @spec os_pid(GenServer.server()) :: non_neg_integer()
  defdelegate os_pid(program), to: :cnode_program

  @doc "The port that the node listens at, or `nil` if its ready line does not say."
  @spec port_number(GenServer.server()) :: :inet.port_number() | nil
  def port_number(program) do
    case :cnode_program.port_number(program) do
      :undefined -> nil
      port -> port
    end
  end
end
