/* SPDX-License-Identifier: MIT */
/* Reading a histogram of times back. */
#include "hist.h"

void hist_merge(struct hist *into, const struct hist *from)
{
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
    if (from->max > into->max)
        into->max = from->max;
}

/* The largest value that falls into a bucket. */
static uint64_t bucket_top(unsigned bucket)
{
    const unsigned shift = bucket / HIST_STEPS;

    if (shift == 0)
        return bucket;
    return ((uint64_t)(HIST_STEPS + bucket % HIST_STEPS + 1) << (shift - 1)) - 1;
}

uint64_t hist_percentile(const struct hist *hist, double part)
{
    const double wanted = part * (double)hist->total;
    uint64_t below = 0;

    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        below += hist->counts[i];
        if (below > 0 && (double)below >= wanted)
            return bucket_top(i) < hist->max ? bucket_top(i) : hist->max;
    }
    return hist->max;
}

double hist_us(const struct hist *hist, double part)
{
    return (double)hist_percentile(hist, part) / 1000;
}
