/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a wait begins busy. Falling asleep and being woken costs tens of microseconds, most of them the peer's, whose send
 * wakes us; where an answer's answer comes sooner than that, looking for it is cheaper for both (erl's schedulers wait so, +sbwt).
 * Where nothing comes so soon it is a waste of a processor. So what the last waits took decides: busy waits that end in vain
 * are given up, and tried again after ever more waits that were short enough asleep.
 */
#include "cnode/loop/inner.h"

#define WORTH_MOST 4                    /* so many more in vain than not, and busy waits are given up */
#define SHORTS_MOST 64                  /* short waits asleep before the next trial, at most */

void cn_spin_took(struct cn_spin *s, uint64_t most, uint64_t took)
{
	if (s->worth == 0) {
		/* Asleep, the waking is in it too. One in vain ends the trial. */
		if (took <= 2 * most && ++s->shorts >= s->wanted)
			s->worth = 1;
	} else if (took <= most) {
		if (++s->worth >= WORTH_MOST) {
			s->worth = WORTH_MOST;
			s->wanted = 0;
		}
	} else if (--s->worth == 0) {
		s->shorts = 0;
		s->wanted = s->wanted == 0 ? 1 : s->wanted < SHORTS_MOST ? 2 * s->wanted : SHORTS_MOST;
	}
}
