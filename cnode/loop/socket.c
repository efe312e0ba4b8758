/* SPDX-License-Identifier: Apache-2.0 */
/* TCP sockets: never blocking, never raising SIGPIPE, inherited by nobody. And the listener. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "cnode/loop/inner.h"

#define BACKLOG 1024
#define ACCEPT_TRIES 64                 /* broken connections passed over in one call */

int cn_error_of(int sys)
{
	switch (sys) {
	case 0:
		return 0;
	case EMFILE:
	case ENFILE:
		return CNODE_EFDS;
	case ENOMEM:
	case ENOBUFS:
		return CNODE_ENOMEM;
	case EADDRINUSE:
		return CNODE_EADDRINUSE;
	case EACCES:
	case EPERM:
		return CNODE_EACCES;
	case ETIMEDOUT:
		return CNODE_ETIMEOUT;
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
		return CNODE_ENOTSUP;
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
	case ENETDOWN:
	case ENETUNREACH:
	case ENETRESET:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENOTCONN:
		return CNODE_ENOCONNECTION;
	default:
		return CNODE_EIO;
	}
}

void cn_socket_close(int fd)
{
	/* Not repeated on EINTR: Linux has closed it then. */
	if (fd >= 0)
		close(fd);
}

static void set_flag(int fd, int level, int name, int value)
{
	/* These improve a socket; one that refuses them (a socketpair) works without. */
	(void)!setsockopt(fd, level, name, &value, sizeof value);
}

static int socket_new(const struct cn_address *address)
{
	int fd = socket(address->family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return fd >= 0 ? fd : cn_error_of(errno);
}

static bool is_any(const struct cn_address *a)
{
	static const uint8_t zero[16];
	return memcmp(a->ip, zero, sizeof zero) == 0;
}

int cn_socket_listen(const struct cn_address *address, int *fd, struct cn_address *bound)
{
	struct sockaddr_storage ss;
	int s = socket_new(address);
	if (s < 0)
		return s;
	set_flag(s, SOL_SOCKET, SO_REUSEADDR, 1);
	if (address->family == 6)
		set_flag(s, IPPROTO_IPV6, IPV6_V6ONLY, !is_any(address));
	socklen_t size = cn_address_to(address, &ss);
	if (bind(s, (struct sockaddr *)&ss, size) != 0 || listen(s, BACKLOG) != 0)
		goto undo_socket;
	if (bound) {
		size = sizeof ss;
		if (getsockname(s, (struct sockaddr *)&ss, &size) != 0)
			goto undo_socket;
		cn_address_from(bound, (struct sockaddr *)&ss);
		/* The address of an IPv6 socket stays one, whatever it looks like. */
		if (bound->family != address->family)
			*bound = (struct cn_address){ .family = address->family, .port = bound->port };
	}
	*fd = s;
	return 0;

undo_socket:;
	int rc = cn_error_of(errno);
	cn_socket_close(s);
	/* The address exists on no interface of this host. */
	return errno == EADDRNOTAVAIL ? CNODE_EHOST : rc;
}

int cn_socket_accept(int listener, int *fd, struct cn_address *peer)
{
	*fd = -1;
	for (int i = 0; i < ACCEPT_TRIES; i++) {
		struct sockaddr_storage ss;
		socklen_t size = sizeof ss;
		int s = accept4(listener, (struct sockaddr *)&ss, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (s >= 0) {
			set_flag(s, IPPROTO_TCP, TCP_NODELAY, 1);
			cn_address_from(peer, (struct sockaddr *)&ss);
			*fd = s;
			return 0;
		}
		switch (errno) {
		case EAGAIN:
			return 0;
		case EMFILE:
		case ENFILE:
			return CNODE_EFDS;
		case ENOMEM:
		case ENOBUFS:
			return CNODE_ENOMEM;
		case EBADF:
		case EINVAL:
		case ENOTSOCK:
		case EOPNOTSUPP:
		case EFAULT:
			return CNODE_EIO;
		default:
			break;          /* accept(2): errors of the network that came with the connection */
		}
	}
	return 0;
}

int cn_socket_connect(const struct cn_address *address, int *fd)
{
	struct sockaddr_storage ss;
	int s = socket_new(address);
	if (s < 0)
		return s;
	set_flag(s, IPPROTO_TCP, TCP_NODELAY, 1);
	socklen_t size = cn_address_to(address, &ss);
	if (connect(s, (struct sockaddr *)&ss, size) != 0 && errno != EINPROGRESS && errno != EINTR) {
		int rc = cn_error_of(errno);
		cn_socket_close(s);
		return rc;
	}
	*fd = s;
	return 0;
}

int cn_socket_outcome(int fd)
{
	int sys = 0;
	socklen_t size = sizeof sys;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &size) != 0)
		sys = errno;
	return cn_error_of(sys);
}

int cn_socket_read(int fd, const struct iovec *parts, int count, size_t *moved)
{
	ssize_t n;
	do
		n = count == 1 ? recv(fd, parts->iov_base, parts->iov_len, MSG_DONTWAIT) : readv(fd, parts, count);
	while (n < 0 && errno == EINTR);
	*moved = n > 0 ? (size_t)n : 0;
	if (n > 0)
		return 0;
	if (n == 0)
		return CNODE_ENOCONNECTION;
	return errno == EAGAIN ? 0 : cn_error_of(errno);
}

int cn_socket_write(int fd, const struct iovec *parts, int count, size_t *moved)
{
	ssize_t n;
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count };
	do
		n = count == 1 ? send(fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT)
			       : sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	*moved = n > 0 ? (size_t)n : 0;
	if (n >= 0 || errno == EAGAIN || errno == ENOBUFS)
		return 0;
	return cn_error_of(errno);
}

void cn_socket_shutdown(int fd)
{
	/* Fails only where the peer is gone already. */
	(void)!shutdown(fd, SHUT_WR);
}

int cn_socket_addresses(int fd, struct cn_address *own, struct cn_address *peer)
{
	struct sockaddr_storage ss;
	socklen_t size = sizeof ss;
	if (own && getsockname(fd, (struct sockaddr *)&ss, &size) != 0)
		return CNODE_EIO;
	if (own)
		cn_address_from(own, (struct sockaddr *)&ss);
	size = sizeof ss;
	if (peer && getpeername(fd, (struct sockaddr *)&ss, &size) != 0)
		return CNODE_EIO;
	if (peer)
		cn_address_from(peer, (struct sockaddr *)&ss);
	return 0;
}

int cn_socket_pair(int fd[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0 ? 0 : cn_error_of(errno);
}

/* ---- the listener ---- */

static int reserve_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void starve(struct cn_listener *l, int rc)
{
	if (!l->starving && l->short_of_fds)
		l->short_of_fds(l, rc);
	l->starving = true;

	/* One gets an answer (the connection ends) instead of waiting for its timeout. */
	if (l->reserve >= 0) {
		int fd;
		struct cn_address peer;
		cn_socket_close(l->reserve);
		l->reserve = -1;
		if (cn_socket_accept(l->io.fd, &fd, &peer) == 0)
			cn_socket_close(fd);
		l->reserve = reserve_open();
	}
	/* Level-triggered: without a pause the loop would spin on the others. */
	cn_io_set(&l->io, 0);
	cn_timer_set(&l->pause, cn_loop_now(l->io.loop) + CN_LISTEN_PAUSE);
}

/*
 * Nobody waits any more. It is over when the next one would find a descriptor too: at the
 * limit each that comes and goes would be told as an end and a beginning otherwise.
 */
static void recover(struct cn_listener *l)
{
	if (!l->starving)
		return;
	int spare = reserve_open();
	if (spare < 0) {
		cn_timer_set(&l->pause, cn_loop_now(l->io.loop) + CN_LISTEN_PAUSE);
		return;
	}
	cn_socket_close(spare);
	l->starving = false;
	if (l->short_of_fds)
		l->short_of_fds(l, 0);
}

static void listener_ready(struct cn_io *io, unsigned events)
{
	struct cn_listener *l = CN_CONTAINER(io, struct cn_listener, io);
	(void)events;
	/* taken() may close the listener: then its descriptor is gone. */
	for (int i = 0; i < CN_LISTEN_TURN && l->io.fd >= 0; i++) {
		int fd;
		struct cn_address peer;
		int rc = cn_socket_accept(l->io.fd, &fd, &peer);
		if (rc != 0) {
			starve(l, rc);
			return;
		}
		if (fd < 0) {
			recover(l);
			return;
		}
		l->taken(l, fd, &peer);
	}
}

static void pause_over(struct cn_timer *t)
{
	struct cn_listener *l = CN_CONTAINER(t, struct cn_listener, pause);
	if (l->reserve < 0)
		l->reserve = reserve_open();
	cn_io_set(&l->io, CN_READ);
	listener_ready(&l->io, CN_READ);    /* perhaps nobody waits any more */
}

int cn_listener_start(struct cn_listener *l, struct cn_loop *loop, const struct cn_address *address)
{
	CN_LEAD(loop);
	int fd;
	int rc = cn_socket_listen(address, &fd, &l->address);
	if (rc != 0)
		return rc;
	l->reserve = reserve_open();
	if (l->reserve < 0) {
		rc = cn_error_of(errno);
		cn_socket_close(fd);
		return rc;
	}
	l->starving = false;
	cn_timer_init(&l->pause, loop, pause_over);
	cn_io_init(&l->io, loop, fd, listener_ready);
	cn_io_set(&l->io, CN_READ);
	return 0;
}

void cn_listener_close(struct cn_listener *l)
{
	if (!l->io.loop || l->io.fd < 0)
		return;
	cn_timer_stop(&l->pause);
	cn_io_close(&l->io);
	cn_socket_close(l->reserve);
	l->reserve = -1;
}
