# SPDX-License-Identifier: Apache-2.0
# Elixir 1.14 as the neighbour (neighbours.erl starts it): prints "ok …", "no …" or "skip …: why" per sentence.
[name] = System.argv()
nut = String.to_atom(name)

check = fn sentence, body ->
  try do
    true = body.()
    IO.puts("ok #{sentence}")
  rescue
    e ->
      IO.puts("no #{sentence}")
      IO.puts(Exception.format(:error, e, __STACKTRACE__))
  catch
    kind, value ->
      IO.puts("no #{sentence}")
      IO.puts("#{kind}: #{inspect(value)}")
  end
end

# An order to a puppet of CONTRACT.md.
ask = fn whom, op, args ->
  ref = make_ref()
  send(whom, {op, self(), ref, args})

  receive do
    {^ref, result} -> result
  after
    8000 -> raise "no answer to #{op}"
  end
end

conformance = {:conformance, nut}
Process.flag(:trap_exit, true)

check.("Node.connect and Node.ping", fn -> Node.connect(nut) == true and Node.ping(nut) == :pong end)

check.("Node.list knows it as #{if name =~ "hidden", do: "hidden", else: "visible"}", fn ->
  nut in Node.list(if name =~ "hidden", do: :hidden, else: :visible) or nut in Node.list(:hidden)
end)

check.("Node.spawn_link, and its exit comes", fn ->
  pid = Node.spawn_link(nut, :puppet, :start, [])
  :ok = ask.(pid, :exit, [{:bye, "elixir"}])

  receive do
    {:EXIT, ^pid, reason} -> reason == {:bye, "elixir"}
  after
    8000 -> false
  end
end)

check.("Node.spawn_monitor of a factory that does not exist is told", fn ->
  {pid, ref} = :erlang.spawn_opt(nut, :noop, :start, [], [:monitor])

  receive do
    {:DOWN, ^ref, :process, ^pid, reason} -> reason == :normal
  after
    8000 -> false
  end
end)

counter = Node.spawn(nut, :counter, :start, [40])

check.("GenServer.call, cast, reply", fn ->
  :ok = GenServer.cast(counter, {:add, 1})
  GenServer.call(counter, {:add, 1}) == 42 and GenServer.call(counter, :get) == 42
end)

check.("GenServer.call of a request that is not known is answered", fn ->
  GenServer.call(counter, :nonsense) == {:error, :bad_request}
end)

check.("GenServer.call to {name, node} that nobody has exits with noproc", fn ->
  try do
    GenServer.call({:nobody_here, nut}, :get)
    false
  catch
    :exit, {:noproc, _} -> true
  end
end)

check.("GenServer.stop ends it normally, :sys.get_state shows it", fn ->
  42 = :sys.get_state(counter)
  ref = Process.monitor(counter)
  :ok = GenServer.stop(counter)

  receive do
    {:DOWN, ^ref, :process, _, reason} -> reason == :normal
  after
    8000 -> false
  end
end)

check.("fifty Tasks at once call one GenServer", fn ->
  pid = Node.spawn(nut, :counter, :start, [0])
  1..50 |> Enum.map(fn _ -> Task.async(fn -> GenServer.call(pid, {:add, 1}) end) end) |> Task.await_many(8000)
  GenServer.call(pid, :get) == 50
end)

check.("Task.async_stream over echo gives every term back", fn ->
  terms = [1, 1.5, "text", 'list', :atom, %{a: 1, b: [2]}, {1, {2, 3}}, self(), make_ref(), -(2 ** 70), <<1::3>>, 1..3, ~D[2026-11-21]]
  terms |> Task.async_stream(fn t -> ask.(conformance, :echo, [t]) == t end) |> Enum.all?(&(&1 == {:ok, true}))
end)

check.(":erpc.call and :rpc.call give values", fn ->
  :erpc.call(nut, :erlang, :node, []) == nut and :rpc.call(nut, :erlang, :node, []) == nut
end)

check.(":erpc.call of what is not exported raises", fn ->
  try do
    :erpc.call(nut, :no_such_module, :f, [])
    false
  rescue
    e in ErlangError -> match?({:exception, :undef, _}, e.original)
    _ in UndefinedFunctionError -> true
  end
end)

check.(":erpc.multicall over both nodes", fn -> :erpc.multicall([node(), nut], :erlang, :node, []) == [ok: node(), ok: nut] end)

if :global in ask.(conformance, :capabilities, []) do
  check.(":global names are seen on both sides", fn ->
    pid = ask.(conformance, :spawn, [])
    :yes = ask.(pid, :global_register, [:from_the_node])
    :yes = :global.register_name(:from_elixir, self())
    :global.whereis_name(:from_the_node) == pid and ask.(pid, :global_whereis, [:from_elixir]) == self()
  end)
else
  IO.puts("skip :global names are seen on both sides: the node does not declare global")
end

check.("Node.monitor and Node.disconnect: nodedown, and back again", fn ->
  Node.monitor(nut, true)
  true = Node.disconnect(nut)

  receive do
    {:nodedown, ^nut} -> Node.ping(nut) == :pong
  after
    8000 -> false
  end
end)

System.halt(0)
