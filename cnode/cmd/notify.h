/* SPDX-License-Identifier: Apache-2.0 */
/* notify: tells systemd how the service is. */
#ifndef CN_CMD_NOTIFY_H
#define CN_CMD_NOTIFY_H

/* READY=1 with a line of status for systemctl; also the end of a reload. Without $NOTIFY_SOCKET it does nothing. */
void cn_notify_ready(const char *status);
/* RELOADING=1: the configuration is being read again. */
void cn_notify_reloading(void);

#endif
