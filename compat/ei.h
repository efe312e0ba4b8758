/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that includes erl_interface; differences between its versions are smoothed here. */
#ifndef CN_COMPAT_EI_H
#define CN_COMPAT_EI_H

#include <ei.h>

#endif
