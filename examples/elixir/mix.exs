# SPDX-License-Identifier: Apache-2.0
defmodule Sample.PkgConfig do
  @moduledoc "What pkg-config says about the installed cnode."

  def get!(args) do
    case System.cmd("pkg-config", ["--print-errors" | args], stderr_to_stdout: true) do
      {text, 0} -> String.trim(text)
      {text, _} -> Mix.raise("pkg-config #{Enum.join(args, " ")}:\n#{text}Is cnode installed, and PKG_CONFIG_PATH set?")
    end
  rescue
    error in ErlangError -> Mix.raise("pkg-config cannot be run (#{inspect(error.original)}): install pkg-config")
  end
end

defmodule Mix.Tasks.Compile.CSrc do
  @moduledoc "Builds each c_src/NAME.c as a module for cnoded, priv/NAME.so, when it is newer."
  use Mix.Task.Compiler

  @impl true
  def run(_args) do
    sources = Path.wildcard("c_src/*.c")
    stale = Enum.filter(sources, &Mix.Utils.stale?([&1, "mix.exs"], [target(&1)]))
    if stale != [], do: File.mkdir_p!("priv")
    Enum.each(stale, &build/1)
    # priv is linked or copied into _build.
    Mix.Project.build_structure()
    if stale == [], do: {:noop, []}, else: {:ok, []}
  end

  @impl true
  def clean, do: Enum.each(Path.wildcard("c_src/*.c"), &File.rm(target(&1)))

  defp target(source), do: Path.join("priv", Path.basename(source, ".c") <> ".so")

  defp build(source) do
    cflags = ["--cflags", "cnode"] |> Sample.PkgConfig.get!() |> OptionParser.split()
    args = ["-shared", "-fPIC", "-O2", "-Wall", source] ++ cflags ++ ["-o", target(source)]
    cc = System.get_env("CC", "cc") |> OptionParser.split()
    Mix.shell().info(Enum.join(cc ++ args, " "))

    case System.cmd(hd(cc), tl(cc) ++ args, into: IO.stream(:stdio, :line), stderr_to_stdout: true) do
      {_, 0} -> :ok
      {_, status} -> Mix.raise("#{source} does not compile (status #{status})")
    end
  end
end

defmodule Sample.MixProject do
  use Mix.Project

  def project do
    [
      app: :sample,
      version: "0.1.0",
      elixir: "~> 1.12",
      compilers: [:c_src | Mix.compilers()],
      # The client comes with cnode: no hex package is needed.
      deps: [{:cnode, path: Sample.PkgConfig.get!(["--variable=beamdir", "cnode"])}],
      releases: [sample: [include_executables_for: [:unix]]]
    ]
  end

  def application, do: [mod: {Sample.Application, []}, extra_applications: [:logger]]
end
