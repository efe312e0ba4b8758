# SPDX-License-Identifier: Apache-2.0
# Types what stands behind the iex prompts of a file, and compares what comes back with the lines below each (none:
# anything), as iex shows it.
defmodule Typist do
  def type(text) do
    text
    |> String.trim_trailing()
    |> String.split("\n")
    |> Enum.chunk_while(nil, &chunk/2, &{:cont, &1, nil})
    |> Enum.reject(&is_nil/1)
    |> Enum.reduce([], &line/2)
  end

  # A prompt begins a chunk {typed, wanted}; a ... prompt goes on typing.
  defp chunk(line, open) do
    cond do
      match = Regex.run(~r/^iex\(\d+\)> (.*)$/, line) -> {:cont, open, {Enum.at(match, 1), []}}
      match = Regex.run(~r/^\.\.\.\(\d+\)> (.*)$/, line) -> {:cont, {elem(open, 0) <> "\n" <> Enum.at(match, 1), []}}
      true -> {:cont, {elem(open, 0), elem(open, 1) ++ [line]}}
    end
  end

  defp line({typed, wanted}, bindings) do
    {value, bindings} = Code.eval_string(typed, bindings)
    shown = inspect(value, pretty: true)

    if wanted != [] and plain(shown) != plain(Enum.join(wanted, "\n")) do
      IO.puts("#{typed}\n  gave     #{shown}\n  expected #{Enum.join(wanted, "\n")}")
      System.halt(1)
    end

    bindings
  end

  # Pids differ each time.
  defp plain(text), do: Regex.replace(~r/#PID<[0-9.]+>/, text, "#PID<>")
end

Logger.configure(level: :error)
[file] = System.argv()
Typist.type(File.read!(file))
