/* SPDX-License-Identifier: MIT */
/* A histogram of times: log-linear, 16 steps to each power of two, so within 6 % everywhere. */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_STEPS 16

struct hist {
    uint64_t total;
    uint64_t max;
    uint64_t counts[64 * HIST_STEPS];
};

static inline unsigned hist_bucket(uint64_t value)
{
    unsigned power;

    if (value < HIST_STEPS)
        return (unsigned)value;
    power = 63U - (unsigned)__builtin_clzll(value);
    return (power - 3) * HIST_STEPS + (unsigned)((value >> (power - 4)) % HIST_STEPS);
}

static inline void hist_add(struct hist *hist, uint64_t value)
{
    hist->counts[hist_bucket(value)]++;
    hist->total++;
    if (value > hist->max)
        hist->max = value;
}

void hist_merge(struct hist *into, const struct hist *from);

/* The value that `part` (0 to 1) of all are not above; 0 if there are none. */
uint64_t hist_percentile(const struct hist *hist, double part);

#endif
