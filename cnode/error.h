/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Result codes of libcnode. Every function that can fail returns 0 for success or one
 * of these negative codes; the text that belongs to one failure is kept by the handle
 * it happened on (cnode_node_error, cnode_mailbox_error).
 *
 * The ranges say who has to act:
 *     -1 ..  -99   the caller: a wrong argument, a taken name, a thing that is not there
 *   -100 .. -199   a peer broke the protocol or refused us; its connection is closed
 *   -200 .. -299   the environment: memory, network, limits, time
 *   -900 ..        a fault of libcnode itself; the handle can only be freed
 */
#ifndef CNODE_ERROR_H
#define CNODE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#define CNODE_API __attribute__((visibility("default")))

/* X(name, code, Erlang atom, sentence). The one list of errors. */
#define CNODE_ERROR_MAP(X) \
	X(EBADARG, -1, "badarg", "an argument is wrong, or a term does not match the format") \
	X(EBADTERM, -2, "badterm", "the bytes are not a valid Erlang term") \
	X(EFORMAT, -3, "badformat", "the format string is wrong") \
	X(EEXIST, -4, "already_exists", "it exists already, and is different") \
	X(ENOENT, -5, "not_found", "there is no such thing") \
	X(ENAMETAKEN, -6, "name_taken", "the name is registered already") \
	X(ENOTALLOWED, -7, "not_allowed", "the access list does not allow it") \
	X(ESTATE, -8, "bad_state", "it cannot be done in this state") \
	X(ETOOBIG, -9, "too_big", "it is larger than the limit") \
	X(EBUSY, -10, "busy", "the peer does not take data fast enough") \
	X(EEXITED, -11, "exited", "the process has exited") \
	X(ESTALE, -12, "stale", "the identifier is of a node that was forgotten") \
	X(ENOPROC, -13, "noproc", "there is no such process") \
	X(EUNDEF, -14, "undef", "there is no such function or factory") \
	X(ENOTSUP, -15, "notsup", "the peer does not support it") \
	X(EBADNAME, -16, "bad_name", "the name is not a valid node or process name") \
	X(ERAISED, -17, "raised", "the function raised an exception") \
	X(EINIT, -18, "init_failed", "the process could not start") \
	X(ENOTJOINED, -20, "not_joined", "the process is not a member of the group") \
	X(EPROTO, -100, "protocol_error", "the peer broke the distribution protocol") \
	X(ECOOKIE, -101, "bad_cookie", "the cookies of the two nodes differ") \
	X(EFLAGS, -102, "missing_flags", "the peer lacks a mandatory capability") \
	X(EREFUSED, -103, "refused", "the peer refused the connection") \
	X(EPEERNAME, -104, "wrong_name", "the peer is not the node that was asked for") \
	X(ELIMIT, -105, "limit", "the peer went over a limit") \
	X(ETICK, -106, "net_tick_timeout", "the peer was silent for longer than net_ticktime") \
	X(EREPLY, -107, "bad_reply", "the peer answered what nobody can use") \
	X(ENOMEM, -200, "enomem", "out of memory") \
	X(ENOCONNECTION, -201, "noconnection", "the connection to the node was lost or cannot be made") \
	X(ETIMEOUT, -202, "timeout", "it took longer than allowed") \
	X(EHOST, -203, "nxdomain", "the host name cannot be resolved") \
	X(EEPMD, -204, "epmd", "epmd does not answer as it should") \
	X(ENOTREG, -205, "not_registered", "epmd does not know the node") \
	X(EFDS, -206, "emfile", "no file descriptor is left") \
	X(EIO, -207, "eio", "input or output failed") \
	X(ESYSLIMIT, -208, "system_limit", "a limit of this node is reached") \
	X(ESHUTDOWN, -209, "shutdown", "the node is shutting down") \
	X(EADDRINUSE, -210, "eaddrinuse", "the address is in use") \
	X(EACCES, -211, "eacces", "permission denied") \
	X(ELOST, -212, "connection_lost", "the connection to the node was lost while waiting for its answer") \
	X(EINTERNAL, -900, "internal_error", "libcnode has a fault; please report it")

enum cnode_error {
	CNODE_OK = 0,
#define CNODE_ERROR_ENUM_(name, code, atom, text) CNODE_##name = code,
	CNODE_ERROR_MAP(CNODE_ERROR_ENUM_)
#undef CNODE_ERROR_ENUM_
};

/*
 * The sentence of a code ("ok" for 0, "unknown error" for a code not in the list).
 * Static memory; any thread; cannot fail. Since 0.1.
 */
CNODE_API const char *cnode_strerror(int code);

/*
 * The Erlang atom by which BEAM processes see a code ("ok" for 0).
 * Static memory; any thread; cannot fail. Since 0.1.
 */
CNODE_API const char *cnode_error_atom(int code);

#ifdef __cplusplus
}
#endif
#endif
