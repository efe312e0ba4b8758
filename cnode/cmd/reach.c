/* SPDX-License-Identifier: Apache-2.0 */
/* reach: ping, await, names and info, the commands that look whether and how a node can be reached. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cnode/cmd/say.h"
#include "cnode/cmd/status.h"
#include "cnode/cmd/tool.h"

/* ---- ping ---- */

static const char *const step_names[] = {
	[CNODE_STEP_RESOLVE] = "resolve",
	[CNODE_STEP_EPMD] = "epmd",
	[CNODE_STEP_TCP] = "tcp",
	[CNODE_STEP_HANDSHAKE] = "handshake",
	[CNODE_STEP_PING] = "ping",
};

/* Writes a line per step; the context is the time when the step began. */
static void show_step(void *context, enum cnode_step step, int code, const char *text)
{
	uint64_t *began = context, now = cn_tool_now();
	size_t count = sizeof step_names / sizeof step_names[0];
	const char *name = (size_t)step < count ? step_names[step] : "?";

	printf("%-10s %-6s %8.1f ms  %s\n", name, code == 0 ? "ok" : "FAILED",
	       (double)(now - *began) / 1e6, text != NULL && *text != '\0' ? text : cnode_strerror(code));
	if (code != 0 && *cn_advice(code) != '\0')
		printf("%-10s %s\n", "", cn_advice(code));
	fflush(stdout);
	*began = now;
}

int cn_tool_ping(struct cn_tool *tool)
{
	uint64_t began = cn_tool_now();
	int rc = cnode_ping(tool->mailbox, tool->target.node, cn_tool_left(tool),
			    tool->verbose ? show_step : NULL, &began);

	puts(rc == 0 ? "pong" : "pang");
	if (rc == 0)
		return CN_TOOL_OK;
	return tool->verbose ? cn_tool_status(rc) : cn_tool_failed(tool, rc);
}

/* ---- await ---- */

#define FIRST_PAUSE_MS 50
#define LONGEST_PAUSE_MS 1000
#define LONGEST_TRY_MS 5000         /* a host that swallows packets is tried again */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int cn_tool_await(struct cn_tool *tool)
{
	for (uint64_t pause = FIRST_PAUSE_MS;; pause = least(pause * 2, LONGEST_PAUSE_MS)) {
		int rc = cnode_ping(tool->mailbox, tool->target.node,
				    least(cn_tool_left(tool), LONGEST_TRY_MS), NULL, NULL);
		if (rc == 0)
			return CN_TOOL_OK;
		uint64_t left = cn_tool_left(tool);
		if (left <= 1) {
			(void)cn_tool_failed(tool, rc);
			return rc == CNODE_ENOMEM ? CN_TOOL_LOCAL : CN_TOOL_TIMEOUT;
		}
		pause = least(pause, left);
		struct timespec time = { (time_t)(pause / 1000), (long)(pause % 1000) * 1000000 };
		nanosleep(&time, NULL);
	}
}

/* ---- names ---- */

static void show_name(void *context, const char *name, uint16_t port)
{
	char shown[CNODE_NAME_SIZE];

	(void)context;
	snprintf(shown, sizeof shown, "%s", name);
	printf("name %s at port %u\n", cn_say_plain(shown), port);
}

int cn_tool_names(struct cn_tool *tool)
{
	int rc = cnode_epmd_names(tool->mailbox, tool->word[0], cn_tool_left(tool), show_name, NULL);
	return rc == 0 ? CN_TOOL_OK : cn_tool_failed(tool, rc);
}

/* ---- info ---- */

static int show_peer(void *context, const cnode_peer *peer)
{
	const char *node = context;

	if (strcmp(peer->name, node) != 0)
		return 0;
	printf("node: %s\n", peer->name);
	if (peer->release > 0)
		printf("capabilities: none newer than those of OTP %d\n", peer->release);
	printf("creation: %u\n", peer->creation);
	printf("flags: 0x%llx\n", (unsigned long long)peer->flags);
	return 1;
}

/* What an Erlang system tells about itself, if it lets us ask. */
static const struct question {
	const char *label, *module, *function, *args;
} questions[] = {
	{ "otp_release", "erlang", "system_info", "[otp_release]" },
	{ "erts_version", "erlang", "system_info", "[version]" },
	{ "architecture", "erlang", "system_info", "[system_architecture]" },
	{ "schedulers", "erlang", "system_info", "[schedulers_online]" },
	{ "processes", "erlang", "system_info", "[process_count]" },
	{ "process_limit", "erlang", "system_info", "[process_limit]" },
	{ "atoms", "erlang", "system_info", "[atom_count]" },
	{ "memory_bytes", "erlang", "memory", "[total]" },
	{ "run_queue", "erlang", "statistics", "[run_queue]" },
	{ "nodes", "erlang", "nodes", "[connected]" },
};

int cn_tool_info(struct cn_tool *tool)
{
	const char *node = tool->target.node;
	int rc = cnode_ping(tool->mailbox, node, cn_tool_left(tool), NULL, NULL);

	if (rc != 0)
		return cn_tool_failed(tool, rc);
	(void)cnode_peers(tool->node, show_peer, tool->target.node);
	for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
		const struct question *q = &questions[i];
		cnode_term args, value = { .size_ = 0 };
		if ((rc = cnode_parse(q->args, &args, NULL)) != 0)
			break;
		rc = cnode_rpc(tool->mailbox, node, q->module, q->function, args, cn_tool_left(tool), &value);
		cnode_term_drop(args);
		char *text = rc == 0 ? cnode_term_text(value) : NULL;
		cnode_term_drop(value);
		if (rc == 0 && text == NULL)
			rc = CNODE_ENOMEM;
		if (rc != 0)
			break;
		printf("%s: %s\n", q->label, text);
		cnode_free(text);
	}
	if (rc == 0)
		return CN_TOOL_OK;
	/* A node that answers pings and no questions is still a good one: C nodes offer what they like. */
	if (cn_tool_status(rc) != CN_TOOL_ANSWER)
		return cn_tool_failed(tool, rc);
	printf("more: the node lets nobody ask it (erlang:system_info/1)\n");
	return CN_TOOL_OK;
}
