/* SPDX-License-Identifier: MIT */
/* Histogram of durations: 32 buckets to each power of two, so a percentile is right to 3 %. */
#ifndef TOOL_HIST_H
#define TOOL_HIST_H

#include <stdint.h>

#define HIST_BUCKETS ((64 - 4) * 32)

struct hist {
    uint64_t total;
    uint64_t counts[HIST_BUCKETS];
};

void hist_add(struct hist *hist, int64_t ns);
void hist_merge(struct hist *into, const struct hist *from);

/* The duration, in microseconds, that `share` (0 to 1) of all do not exceed; 0 if there are none.
 */
double hist_us(const struct hist *hist, double share);

#endif
