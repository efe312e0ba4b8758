# SPDX-License-Identifier: Apache-2.0
"""Looks at the processes of a C node from gdb, in a running program or a core file.

    (gdb) source cnode-gdb.py
    (gdb) cnode processes             all processes: pid, name, factory, state, messages, links
    (gdb) cnode mailbox NAME          the messages of one process, by its name
    (gdb) cnode mailbox 17            or by the number in its pid

libcnode must have its debug information (build with -g, not stripped). Nothing is called
in the program, so it may be in any state.
"""
import gdb
import struct

# A thread of its own may run it or wait: who looks at that thread sees it.
STATES = ["waiting", "runnable", "running", "suspended", "own thread"]
KINDS = ["message", "DOWN", "EXIT", "nodedown", "timer"]


def integer(value):
    return int(value)


def atomic(value):
    """The value of an _Atomic member."""
    return int(value.cast(value.type.unqualified()))


def text(pointer):
    return pointer.string("utf-8", "replace") if integer(pointer) != 0 else ""


def read(pointer, size):
    return bytes(gdb.selected_inferior().read_memory(integer(pointer), size)) if size else b""


def quoted(name):
    plain = name and name[0].islower() and all(c.isalnum() or c in "_@" for c in name)
    return name if plain else "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Term:
    """The text of a term: external format without version byte; atoms: what cache references mean."""

    def __init__(self, data, atoms):
        self.data, self.at, self.atoms = data, 0, atoms

    def take(self, n):
        piece = self.data[self.at:self.at + n]
        if len(piece) < n:
            raise ValueError("the term is cut short")
        self.at += n
        return piece

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def many(self, count):
        return [self.one() for _ in range(count)]

    def atom_text(self):
        tag = self.number("B")
        if tag == 82:
            return self.atoms[self.number("B")]
        size = self.number("H") if tag in (100, 118) else self.number("B")
        return self.take(size).decode("utf-8" if tag in (118, 119) else "latin-1", "replace")

    def one(self):
        tag = self.number("B")
        if tag in (82, 100, 115, 118, 119):
            self.at -= 1
            return quoted(self.atom_text())
        if tag == 97:
            return str(self.number("B"))
        if tag == 98:
            return str(self.number("i"))
        if tag in (110, 111):
            size = self.number("B") if tag == 110 else self.number("I")
            sign = self.number("B")
            value = int.from_bytes(self.take(size), "little")
            return str(-value if sign else value)
        if tag == 70:
            return repr(self.number("d"))
        if tag == 99:
            return self.take(31).split(b"\0")[0].decode("latin-1")
        if tag in (104, 105):
            return "{" + ",".join(self.many(self.number("B") if tag == 104 else self.number("I"))) + "}"
        if tag == 106:
            return "[]"
        if tag == 107:
            return "[" + ",".join(str(b) for b in self.take(self.number("H"))) + "]"
        if tag == 108:
            items, tail = self.many(self.number("I")), self.one()
            return "[" + ",".join(items) + ("" if tail == "[]" else "|" + tail) + "]"
        if tag == 109:
            data = self.take(self.number("I"))
            printable = data and all(31 < b < 127 and b not in (34, 92) for b in data)
            return '<<"' + data.decode() + '">>' if printable else "<<" + ",".join(str(b) for b in data) + ">>"
        if tag == 77:
            size, bits = self.number("I"), self.number("B")
            return "<<" + ",".join(str(b) for b in self.take(size)) + ":" + str(bits) + ">>"
        if tag == 116:
            pairs = [self.one() + " => " + self.one() for _ in range(self.number("I"))]
            return "#{" + ",".join(pairs) + "}"
        if tag in (88, 103):
            node, ident, serial = self.atom_text(), self.number("I"), self.number("I")
            self.take(4 if tag == 88 else 1)
            return "<%s.%d.%d>" % (node, ident, serial)
        if tag in (90, 114):
            words = self.number("H")
            node = self.atom_text()
            self.take(4 if tag == 90 else 1)
            return "#Ref<%s.%s>" % (node, ".".join(reversed([str(self.number("I")) for _ in range(words)])))
        if tag == 113:
            module, name, arity = self.one(), self.one(), self.one()
            return "fun %s:%s/%s" % (module, name, arity)
        raise ValueError("tag %d" % tag)


def term_text(term):
    size = integer(term["size_"])
    if integer(term["bytes_"]) == 0:
        return "none"
    atoms = []
    if integer(term["atoms_"]) != 0:
        table = term["atoms_"].dereference()
        atoms = [read(table["at"][i]["text"], integer(table["at"][i]["size"])).decode("utf-8", "replace")
                 for i in range(integer(table["count"]))]
    try:
        return Term(read(term["bytes_"], size), atoms).one()
    except (ValueError, IndexError) as why:
        return "%d bytes (%s)" % (size, why)


def all_procs():
    try:
        at = gdb.parse_and_eval("cn_procs_all")
        at["next"]
    except gdb.error:
        raise gdb.GdbError("libcnode is not loaded here, or has no debug information")
    while integer(at) != 0:
        yield at.dereference()
        at = at["next"]


def processes():
    for procs in all_procs():
        shards = procs["pids"]
        low, high = shards.type.range()
        for i in range(low, high + 1):
            for b in range(integer(shards[i]["mask"]) + 1):
                at = shards[i]["buckets"][b]
                while integer(at) != 0:
                    yield at.dereference()
                    at = at["next"]


def name_of(p):
    return text(p["name"]["text"].address.cast(gdb.lookup_type("char").pointer())) if integer(p["name"]) != 0 else ""


def label_of(p):
    return text(p["label"]) or text(p["class"]["name"])


def pid_of(p):
    return "<%d.%d>" % (integer(p["pid"]["id"]), integer(p["pid"]["serial"]))


def show_processes():
    count = 0
    print("%-12s %-20s %-20s %-10s %8s %10s %5s" % ("PID", "NAME", "FACTORY", "STATE", "MESSAGES", "BYTES", "LINKS"))
    for p in sorted(processes(), key=lambda p: integer(p["number"])):
        state = "dead" if atomic(p["dead"]) else STATES[integer(p["state"])]
        print("%-12s %-20s %-20s %-10s %8d %10d %5d" % (pid_of(p), name_of(p), label_of(p), state, integer(p["messages"]),
                                                       integer(p["bytes"]), integer(p["links_count"])))
        count += 1
    print("%d processes" % count)


def show_mailbox(which):
    found = [p for p in processes() if which in (name_of(p), str(integer(p["pid"]["id"])), pid_of(p))]
    if not found:
        raise gdb.GdbError("no process is called %s: a name, or the number in its pid" % which)
    for p in found:
        print("%s %s" % (pid_of(p), name_of(p) or label_of(p)))
        number = 0
        for queue in ("mailbox", "inbox"):
            at = p[queue]["first"]
            while integer(at) != 0:
                number += 1
                m = at.dereference()
                print("%4d %s %s" % (number, KINDS[integer(m["kind"])], term_text(m["term"])))
                at = m["next"]
        print("%d messages" % number)


class Cnode(gdb.Command):
    """cnode processes | cnode mailbox NAME-OR-NUMBER: looks at the processes of a C node."""

    def __init__(self):
        super().__init__("cnode", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if words == ["processes"]:
            show_processes()
        elif len(words) == 2 and words[0] == "mailbox":
            show_mailbox(words[1])
        else:
            raise gdb.GdbError(self.__doc__)


Cnode()
