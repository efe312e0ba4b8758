// SPDX-License-Identifier: Apache-2.0
// A Java node that talks to ours: Interop COOKIE NODE. Prints TAP lines without a plan.
import com.ericsson.otp.erlang.*;

public class Interop {
    static int failures;

    static void result(boolean good, String sentence) {
        System.out.println((good ? "ok" : "not ok") + " - " + sentence);
        if (!good) failures++;
    }

    static OtpErlangObject order(OtpNode node, OtpMbox mbox, OtpErlangPid whom, String at, String op, OtpErlangObject... args) throws Exception {
        OtpErlangRef ref = node.createRef();
        OtpErlangTuple order = new OtpErlangTuple(new OtpErlangObject[] {new OtpErlangAtom(op), mbox.self(), ref, new OtpErlangList(args)});
        if (whom != null) mbox.send(whom, order); else mbox.send("conformance", at, order);
        for (;;) {
            OtpErlangObject m = mbox.receive(8000);
            if (m == null) throw new Exception("no answer to " + op);
            if (m instanceof OtpErlangTuple && ((OtpErlangTuple) m).arity() == 2 && ((OtpErlangTuple) m).elementAt(0).equals(ref))
                return ((OtpErlangTuple) m).elementAt(1);
        }
    }

    public static void main(String[] argv) throws Exception {
        String cookie = argv[0], peer = argv[1];
        OtpNode node = new OtpNode("java@127.0.0.1", cookie);
        result(node.ping(peer, 8000), "a Java node pings it");
        OtpMbox mbox = node.createMbox("shelf");

        OtpErlangPid puppet = (OtpErlangPid) order(node, mbox, null, peer, "spawn");
        result(puppet.node().equals(peer), "it gets a pid in a reply");

        // A call as gen_server:call makes it, without a monitor: jinterface has none.
        OtpErlangRef tag = node.createRef();
        mbox.send("echo", peer, new OtpErlangTuple(new OtpErlangObject[] {new OtpErlangAtom("$gen_call"),
            new OtpErlangTuple(new OtpErlangObject[] {mbox.self(), tag}), new OtpErlangAtom("question")}));
        OtpErlangObject reply = mbox.receive(8000);
        result(reply instanceof OtpErlangTuple && ((OtpErlangTuple) reply).elementAt(0).equals(tag), "a gen_server call is answered with its tag");

        mbox.link(puppet);
        OtpErlangObject echoed = order(node, mbox, puppet, peer, "echo", new OtpErlangMap(new OtpErlangObject[] {new OtpErlangAtom("k")},
            new OtpErlangObject[] {new OtpErlangDouble(1.5)}));
        result(echoed.toString().contains("1.5"), "terms come back as they were, over a linked pair");
        order(node, mbox, puppet, peer, "exit", new OtpErlangAtom("so_be_it"));
        try {
            OtpErlangObject m = mbox.receive(8000);
            result(false, "a linked process ends: EXIT (got " + m + ")");
        } catch (OtpErlangExit e) {
            result(e.reason().equals(new OtpErlangAtom("so_be_it")) && e.pid().equals(puppet), "a linked process ends: EXIT with its reason");
        }

        // The other way: the process is linked with a mailbox that goes.
        OtpErlangPid other = (OtpErlangPid) order(node, mbox, null, peer, "spawn");
        order(node, mbox, other, peer, "trap_exit", new OtpErlangAtom(true));
        order(node, mbox, other, peer, "watch", mbox.self());
        OtpMbox second = node.createMbox();
        order(node, mbox, other, peer, "link", second.self());
        second.exit(new OtpErlangAtom("gone"));
        OtpErlangObject saw = mbox.receive(8000);
        result(saw != null && saw.toString().contains("'EXIT'") && saw.toString().contains("gone"), "a mailbox that it is linked with ends: the process sees EXIT");
        order(node, mbox, other, peer, "exit", new OtpErlangAtom("normal"));
        node.close();

        OtpSelf self = new OtpSelf("java2@127.0.0.1", cookie);
        OtpConnection connection = self.connect(new OtpPeer(peer));
        connection.sendRPC("erlang", "node", new OtpErlangObject[] {});
        OtpErlangObject value = connection.receiveRPC();
        result(value.equals(new OtpErlangAtom(peer)), "OtpConnection.sendRPC of erlang:node() gives the node's name");
        connection.sendRPC("no_such_module", "f", new OtpErlangObject[] {});
        result(connection.receiveRPC().toString().startsWith("{badrpc"), "of an unknown function it gives {badrpc, _}");
        connection.close();
        System.exit(failures == 0 ? 0 : 1);
    }
}
