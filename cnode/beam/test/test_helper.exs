# SPDX-License-Identifier: Apache-2.0
defmodule CNode.TapFormatter do
  @moduledoc "ExUnit's results as TAP: `mix test --formatter CNode.TapFormatter`."
  use GenServer

  @impl true
  def init(_options), do: {:ok, 0}

  @impl true
  def handle_cast({:test_finished, test}, n) do
    title = test.name |> Atom.to_string() |> String.replace_prefix("test ", "")

    case test.state do
      nil -> IO.puts("ok #{n + 1} - #{title}")
      {kind, why} when kind in [:skipped, :excluded] -> IO.puts("ok #{n + 1} - #{title} # SKIP #{why}")
      why -> IO.puts("# " <> String.replace(inspect(why, pretty: true), "\n", "\n# ") <> "\nnot ok #{n + 1} - #{title}")
    end

    {:noreply, n + 1}
  end

  def handle_cast({:suite_finished, _times}, n) do
    IO.puts("1..#{n}")
    {:noreply, n}
  end

  # What Elixir before 1.13 sends.
  def handle_cast({:suite_finished, _run, _load}, n) do
    IO.puts("1..#{n}")
    {:noreply, n}
  end

  def handle_cast(_event, n), do: {:noreply, n}
end

ExUnit.start(timeout: 60_000)
Logger.configure(level: :none)
