// SPDX-License-Identifier: Apache-2.0
// CONTRACT.md as far as jinterface can fulfil it: messages, names, links, exits, connecting, node monitors, pings, rpc out.
// The library has no monitors, aliases, group leaders or spawns, cannot disconnect, and hands a linked exit to the program
// instead of ending anything: what a process does then is done here. It is meant to be as good as a program on the
// library can be, so that what fails is the library's.
import com.ericsson.otp.erlang.*;
import java.io.IOException;
import java.util.*;
import java.util.concurrent.ConcurrentHashMap;

public final class ConformanceNode {
    private static final String[] CAPABILITIES =
        { "puppet", "echo", "register", "link", "exit", "connect", "monitor_node", "ping", "ping_out", "rpc_out" };
    /** Orders that wait for a peer: on a thread of their own, while their puppet goes on. */
    private static final Set<String> WAITING = Set.of("connect", "ping", "rpc");
    /** ping waits for all of it when a connected node does not answer. */
    private static final long PING_MS = 5000;
    /** Between two attempts to register again. */
    private static final long REGISTER_MS = 500;
    /** How often who waits for an answer looks whether the peer is still there. */
    private static final long ALIVE_MS = 500;
    /** What AbstractConnection.java demands of a peer: extended references, extended pids and ports. */
    private static final long MANDATORY_FLAGS = 0x104;
    private static final OtpErlangAtom OK = new OtpErlangAtom("ok");

    private static Node node;
    private static final Map<OtpErlangPid, Puppet> puppets = new ConcurrentHashMap<>();
    private static final Set<String> up = ConcurrentHashMap.newKeySet();

    public static void main(String[] args) throws Exception {
        node = new Node(need("NUT_NAME"), need("NUT_COOKIE"));
        if (!node.registered()) {
            System.err.println("ConformanceNode: epmd did not register " + node.node());
            System.exit(1);
        }
        node.registerStatusHandler(new OtpNodeStatus() {
            @Override public void remoteStatus(String peer, boolean isUp, Object info) {
                if (isUp) up.add(peer); else { up.remove(peer); nodedown(peer); }
            }
        });
        new Puppet(node.createMbox("conformance")).start();
        new Echo(node.createMbox("echo")).start();
        apart(() -> node.stayRegistered());
        System.out.println(node.node() + " ready");
        while (System.in.read() >= 0) { }
        node.close();
        System.exit(0);
    }

    private static String need(String name) {
        String value = System.getenv(name);
        if (value == null) {
            System.err.println("ConformanceNode: " + name + " is not set: this is started by cnode-conformance");
            System.exit(2);
        }
        return value;
    }

    private static void apart(Runnable task) {
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        thread.start();
    }

    /** OtpNode takes a refused registration for a success, and does not see when epmd dies. */
    private static final class Node extends OtpNode {
        Node(String name, String cookie) throws IOException { super(name, cookie); }

        boolean registered() { return getEpmd() != null; }

        /** The registration is a connection to epmd: when that ends, it is made anew. */
        void stayRegistered() {
            try {
                for (;;) {
                    untilEpmdEnds();
                    while (!register()) Thread.sleep(REGISTER_MS);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        private void untilEpmdEnds() {
            try {
                while (getEpmd().getInputStream().read() >= 0) { }
            } catch (IOException e) {
                System.err.println("epmd: " + e.getMessage());
            }
        }

        private boolean register() {
            try {
                return OtpEpmd.publishPort(this);
            } catch (IOException e) {
                return false;
            }
        }
    }

    /** There is no call for it: whatever is sent connects first, and the handler above hears of it before send returns. */
    private static boolean connect(String peer) {
        if (!up.contains(peer)) {
            OtpMbox asking = node.createMbox();
            asking.send("nobody", peer, OK);
            asking.close();
        }
        return up.contains(peer);
    }

    private static void nodedown(String peer) {
        for (Puppet p : puppets.values())
            if (p.monitored.remove(peer))
                p.mbox.send(p.mbox.self(), tuple(new OtpErlangAtom("nodedown"), new OtpErlangAtom(peer)));
    }

    private static OtpErlangTuple tuple(OtpErlangObject... elements) { return new OtpErlangTuple(elements); }
    private static OtpErlangAtom atom(boolean value) { return new OtpErlangAtom(value ? "true" : "false"); }
    private static String text(OtpErlangObject atom) { return ((OtpErlangAtom) atom).atomValue(); }

    /** Arguments are a list; one of small numbers comes as a string. */
    private static OtpErlangObject[] arguments(OtpErlangObject list) {
        if (list instanceof OtpErlangString) {
            String s = ((OtpErlangString) list).stringValue();
            OtpErlangObject[] all = new OtpErlangObject[s.length()];
            for (int i = 0; i < all.length; i++) all[i] = new OtpErlangLong(s.charAt(i));
            return all;
        }
        return ((OtpErlangList) list).elements();
    }

    /** What ends a puppet: not an error. */
    private static final class Ended extends Exception {
        private static final long serialVersionUID = 1L;
    }

    private static final class Puppet extends Thread {
        final OtpMbox mbox;
        final Set<String> monitored = ConcurrentHashMap.newKeySet();
        private OtpErlangPid watcher;
        private boolean traps;

        Puppet(OtpMbox mbox) {
            this.mbox = mbox;
            puppets.put(mbox.self(), this);
            setDaemon(true);
        }

        @Override public void run() {
            try {
                for (;;) {
                    try {
                        message(mbox.receive());
                    } catch (OtpErlangExit e) {
                        exited(e.pid(), e.reason());
                    } catch (OtpErlangDecodeException e) {
                        System.err.println("a message that jinterface cannot decode: " + e.getMessage());
                    }
                }
            } catch (Ended e) {
                puppets.remove(mbox.self());
            }
        }

        private void message(OtpErlangObject m) throws Ended {
            if (m instanceof OtpErlangTuple) {
                OtpErlangObject[] e = ((OtpErlangTuple) m).elements();
                if (e.length == 4 && e[0] instanceof OtpErlangAtom && e[1] instanceof OtpErlangPid
                    && e[2] instanceof OtpErlangRef && (e[3] instanceof OtpErlangList || e[3] instanceof OtpErlangString)) {
                    order(text(e[0]), (OtpErlangPid) e[1], e[2], arguments(e[3]));
                    return;
                }
            }
            saw(m);
        }

        private void saw(OtpErlangObject m) {
            if (watcher != null) mbox.send(watcher, tuple(new OtpErlangAtom("saw"), mbox.self(), m));
        }

        /** As a process does: jinterface only tells. */
        private void exited(OtpErlangPid from, OtpErlangObject reason) throws Ended {
            boolean kill = reason.equals(new OtpErlangAtom("kill"));
            if (traps && !kill) {
                saw(tuple(new OtpErlangAtom("EXIT"), from, reason));
            } else if (!reason.equals(new OtpErlangAtom("normal"))) {
                mbox.exit(kill ? new OtpErlangAtom("killed") : reason);
                throw new Ended();
            }
        }

        private void order(String op, OtpErlangPid from, OtpErlangObject ref, OtpErlangObject[] a) throws Ended {
            if (op.equals("exit") && a.length == 1) {
                mbox.send(from, tuple(ref, OK));
                mbox.exit(a[0]);
                throw new Ended();
            }
            if (WAITING.contains(op))
                apart(() -> answer(op, from, ref, a));
            else
                answer(op, from, ref, a);
        }

        private void answer(String op, OtpErlangPid from, OtpErlangObject ref, OtpErlangObject[] a) {
            OtpErlangObject result;
            try {
                result = obey(op, a);
            } catch (Exception e) {
                result = tuple(new OtpErlangAtom("refused"), new OtpErlangAtom("error"),
                               new OtpErlangAtom(e instanceof NoSuchMethodException ? "undef" : "badarg"));
            }
            mbox.send(from, tuple(ref, result));
        }

        private OtpErlangObject obey(String op, OtpErlangObject[] a) throws Exception {
            switch (op) {
            case "capabilities": return capabilities();
            case "echo": return a[0];
            case "self": return mbox.self();
            case "spawn": {
                Puppet p = new Puppet(node.createMbox());
                p.start();
                return p.mbox.self();
            }
            case "watch": watcher = (OtpErlangPid) a[0]; return OK;
            case "is_alive": return atom(puppets.containsKey(a[0]));
            case "creation": return new OtpErlangLong(mbox.self().creation() & 0xffffffffL);
            case "mandatory_flags": return new OtpErlangLong(MANDATORY_FLAGS);
            case "send": return send(a[0], a[1]);
            case "trap_exit": { boolean old = traps; traps = text(a[0]).equals("true"); return atom(old); }
            case "link": return link((OtpErlangPid) a[0]);
            case "unlink": mbox.unlink((OtpErlangPid) a[0]); return atom(true);
            case "exit_signal": mbox.exit((OtpErlangPid) a[0], a[1]); return atom(true);
            case "register":
                if (mbox.getName() != null || !mbox.registerName(text(a[0]))) throw new IllegalArgumentException();
                return atom(true);
            case "unregister":
                unregister(text(a[0]));
                return atom(true);
            case "whereis": {
                OtpErlangPid pid = node.whereis(text(a[0]));
                return pid != null ? pid : new OtpErlangAtom("undefined");
            }
            case "connect": return atom(connect(text(a[0])));
            case "ping": return new OtpErlangAtom(node.ping(text(a[0]), PING_MS) ? "pong" : "pang");
            case "monitor_node": return monitorNode(text(a[0]), text(a[1]).equals("true"));
            case "rpc": return rpc(text(a[0]), a[1], a[2], a[3]);
            default: throw new NoSuchMethodException(op);
            }
        }

        private OtpErlangObject capabilities() {
            OtpErlangObject[] all = new OtpErlangObject[CAPABILITIES.length];
            for (int i = 0; i < all.length; i++) all[i] = new OtpErlangAtom(CAPABILITIES[i]);
            return new OtpErlangList(all);
        }

        private OtpErlangObject send(OtpErlangObject to, OtpErlangObject message) {
            if (to instanceof OtpErlangPid) {
                mbox.send((OtpErlangPid) to, message);
            } else if (to instanceof OtpErlangAtom) {
                mbox.send(text(to), message);
            } else {
                OtpErlangTuple pair = (OtpErlangTuple) to;
                mbox.send(text(pair.elementAt(0)), text(pair.elementAt(1)), message);
            }
            return OK;
        }

        private OtpErlangObject link(OtpErlangPid to) throws Ended {
            try {
                mbox.link(to);
            } catch (OtpErlangExit e) {
                exited(to, e.reason());
            }
            return atom(true);
        }

        /** A name is given up by the mailbox that has it. */
        private void unregister(String name) {
            for (Puppet p : puppets.values())
                if (name.equals(p.mbox.getName())) {
                    p.mbox.registerName(null);
                    return;
                }
            throw new IllegalArgumentException();
        }

        private OtpErlangObject monitorNode(String peer, boolean on) {
            if (!on) {
                monitored.remove(peer);
            } else {
                monitored.add(peer);
                if (!up.contains(peer)) apart(() -> { if (!connect(peer)) nodedown(peer); });
            }
            return atom(true);
        }

        /** As OtpConnection.sendRPC and receiveRPC do it. */
        private OtpErlangObject rpc(String peer, OtpErlangObject m, OtpErlangObject f, OtpErlangObject args) throws Exception {
            OtpMbox asking = node.createMbox();
            try {
                OtpErlangTuple call = tuple(new OtpErlangAtom("call"), m, f, args, new OtpErlangAtom("user"));
                OtpErlangObject reply = null;
                if (connect(peer)) asking.send("rex", peer, tuple(asking.self(), call));
                while (reply == null && up.contains(peer)) reply = asking.receive(ALIVE_MS);
                return reply == null ? tuple(new OtpErlangAtom("badrpc"), new OtpErlangAtom("nodedown"))
                                     : ((OtpErlangTuple) reply).elementAt(1);
            } finally {
                asking.close();
            }
        }
    }

    private static final class Echo extends Thread {
        private final OtpMbox mbox;
        private long count;

        Echo(OtpMbox mbox) { this.mbox = mbox; setDaemon(true); }

        @Override public void run() {
            for (;;) {
                try {
                    OtpErlangObject m = mbox.receive();
                    if (m instanceof OtpErlangTuple) message(((OtpErlangTuple) m).elements());
                } catch (OtpErlangExit | OtpErlangDecodeException | ClassCastException e) {
                    System.err.println("echo: " + e);
                }
            }
        }

        private void message(OtpErlangObject[] e) {
            String tag = e.length > 0 && e[0] instanceof OtpErlangAtom ? text(e[0]) : "";
            if (tag.equals("sink") && e.length == 2)
                count++;
            else if (tag.equals("ping") && e.length == 4)
                mbox.send((OtpErlangPid) e[1], tuple(new OtpErlangAtom("pong"), e[2], e[3]));
            else if (tag.equals("sync") && e.length == 3)
                mbox.send((OtpErlangPid) e[1], tuple(new OtpErlangAtom("synced"), e[2], new OtpErlangLong(count)));
        }
    }
}
