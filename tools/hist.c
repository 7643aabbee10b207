/* SPDX-License-Identifier: MIT */
/* Buckets: values below 32 have one each; above, the five bits after the leading one choose. */
#include "hist.h"

static unsigned bucket_of(uint64_t value)
{
    if (value < 32)
        return (unsigned)value;
    unsigned shift = 58U - (unsigned)__builtin_clzll(value);

    return (shift + 1) * 32 + (unsigned)(value >> shift) - 32;
}

/* The middle of a bucket. */
static double value_of(unsigned bucket)
{
    if (bucket < 32)
        return bucket;
    unsigned shift = bucket / 32 - 1;

    return ((double)(bucket % 32) + 32.5) * (double)(UINT64_C(1) << shift);
}

void hist_add(struct hist *hist, int64_t ns)
{
    hist->counts[bucket_of(ns > 0 ? (uint64_t)ns : 0)]++;
    hist->total++;
}

void hist_merge(struct hist *into, const struct hist *from)
{
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
}

double hist_us(const struct hist *hist, double share)
{
    double wanted = share * (double)hist->total;
    uint64_t seen = 0;

    for (unsigned i = 0; i < HIST_BUCKETS && hist->total > 0; i++) {
        seen += hist->counts[i];
        if (seen > 0 && (double)seen >= wanted)
            return value_of(i) / 1000;
    }
    return 0;
}
