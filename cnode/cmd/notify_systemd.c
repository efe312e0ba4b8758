/* SPDX-License-Identifier: Apache-2.0 */
/* notify: by libsystemd, sd_notify(3). Its failure changes nothing: systemd has its own timeout. */
#include "cnode/cmd/notify.h"

#include <systemd/sd-daemon.h>
#include <time.h>

void cn_notify_ready(const char *status)
{
	sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void cn_notify_reloading(void)
{
	struct timespec now;

	/* Type=notify-reload tells this reload from an earlier one by the time. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}
