/* SPDX-License-Identifier: Apache-2.0 */
/* notify: by libsystemd, sd_notify(3). Its failure changes nothing: systemd has its own timeout. */
#include "cnode/cmd/notify.h"

#include <systemd/sd-daemon.h>

void cn_notify_ready(const char *status)
{
	sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}
