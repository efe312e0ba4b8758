# SPDX-License-Identifier: Apache-2.0
defmodule Sample.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _args) do
    # A node of this machine that is named after ours: sample@host has sample-c@host.
    [name, host] = node() |> Atom.to_string() |> String.split("@")
    c_node = :"#{name}-c@#{host}"

    children = [
      # The BEAM node is the only one that may spawn there.
      {CNode.Program,
       name: Sample.Program,
       node: c_node,
       load: [Application.app_dir(:sample, "priv/crc.so")],
       allow: ["crc=#{node()}"]},
      {CNode.Pool, name: Sample.Workers, nodes: [c_node], factory: :crc, size: 2}
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: Sample.Supervisor)
  end
end
