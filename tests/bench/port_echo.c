/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest useful port program: {packet,4} frames on standard input, each sent back. */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static int all(int out, unsigned char *p, size_t size)
{
	while (size > 0) {
		ssize_t n = out ? write(1, p, size) : read(0, p, size);
		if (n <= 0)
			return -1;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int main(void)
{
	unsigned char head[4], *frame = NULL;
	size_t room = 0;
	while (all(0, head, 4) == 0) {
		size_t size = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
		if (size + 4 > room) {
			unsigned char *bigger = realloc(frame, size + 4);
			if (bigger == NULL)
				break;
			frame = bigger;
			room = size + 4;
		}
		for (int i = 0; i < 4; i++)
			frame[i] = head[i];
		if (all(0, frame + 4, size) != 0 || all(1, frame, size + 4) != 0)
			break;
	}
	free(frame);
	return 0;
}
