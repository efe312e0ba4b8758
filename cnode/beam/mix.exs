# SPDX-License-Identifier: Apache-2.0
defmodule CNode.MixProject do
  use Mix.Project

  def project do
    [
      app: :cnode,
      version: "0.2.0",
      elixir: "~> 1.12",
      description: "C nodes: processes, programs and pools of libcnode for Erlang and Elixir",
      erlc_options: [:debug_info],
      deps: []
    ]
  end

  # A library: what it has goes into the supervision tree of whoever uses it.
  def application, do: [extra_applications: [:logger]]
end
