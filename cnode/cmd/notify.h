/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify: tells systemd how the service is. notify_systemd.c does it with libsystemd; a
 * build without it has notify_none.c, and the unit file then says Type=exec.
 */
#ifndef CN_CMD_NOTIFY_H
#define CN_CMD_NOTIFY_H

/* READY=1 with a line of status for systemctl; also the end of a reload. Without $NOTIFY_SOCKET it does nothing. */
void cn_notify_ready(const char *status);
/* RELOADING=1: the configuration is being read again. */
void cn_notify_reloading(void);

#endif
