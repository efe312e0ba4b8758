/* SPDX-License-Identifier: Apache-2.0 */
/* notify: for builds without libsystemd. */
#include "cnode/cmd/notify.h"

void cn_notify_ready(const char *status)
{
	(void)status;
}

void cn_notify_reloading(void)
{
}
