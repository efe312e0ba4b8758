/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify: tells systemd that the service is up. notify_systemd.c does it with libsystemd;
 * a build without it has notify_none.c, and the unit file then says Type=exec.
 */
#ifndef CN_CMD_NOTIFY_H
#define CN_CMD_NOTIFY_H

/* READY=1 with a line of status for systemctl. Without $NOTIFY_SOCKET it does nothing. */
void cn_notify_ready(const char *status);

#endif
