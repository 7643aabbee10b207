/* SPDX-License-Identifier: MIT */
/*
 * A histogram of times: 32 buckets to each power of two, so a percentile is right to 3 %.
 *
 * All of it is here, inline: adding is called between the operations that are timed, and the
 * library's statistics must not bring names of ours into programs that link it statically.
 */
#ifndef COMMON_HIST_H
#define COMMON_HIST_H

#include <stdint.h>

#define HIST_STEPS   32
#define HIST_BUCKETS ((64 - 4) * HIST_STEPS)

struct hist {
    uint64_t total;
    uint64_t max;
    uint64_t counts[HIST_BUCKETS];
};

/* Values below 32 have a bucket each; above, the five bits after the leading one choose. */
static inline unsigned hist_bucket(uint64_t value)
{
    if (value < HIST_STEPS)
        return (unsigned)value;
    unsigned shift = 58U - (unsigned)__builtin_clzll(value);

    return (shift + 1) * HIST_STEPS + (unsigned)((value >> shift) % HIST_STEPS);
}

static inline void hist_add(struct hist *hist, uint64_t value)
{
    hist->counts[hist_bucket(value)]++;
    hist->total++;
    if (value > hist->max)
        hist->max = value;
}

/* A difference of two times; less than nothing counts as nothing. */
static inline void hist_add_ns(struct hist *hist, int64_t ns)
{
    hist_add(hist, ns > 0 ? (uint64_t)ns : 0);
}

static inline void hist_merge(struct hist *into, const struct hist *from)
{
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
    if (from->max > into->max)
        into->max = from->max;
}

/* The largest value that falls into a bucket. */
static inline uint64_t hist_bucket_top(unsigned bucket)
{
    const unsigned shift = bucket / HIST_STEPS;

    if (shift == 0)
        return bucket;
    return ((uint64_t)(HIST_STEPS + bucket % HIST_STEPS + 1) << (shift - 1)) - 1;
}

/* The value that `part` (0 to 1) of all are not above; 0 if there are none. */
static inline uint64_t hist_percentile(const struct hist *hist, double part)
{
    const double wanted = part * (double)hist->total;
    uint64_t below = 0;

    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        below += hist->counts[i];
        if (below > 0 && (double)below >= wanted)
            return hist_bucket_top(i) < hist->max ? hist_bucket_top(i) : hist->max;
    }
    return hist->max;
}

/* The same of nanoseconds, in microseconds. */
static inline double hist_us(const struct hist *hist, double part)
{
    return (double)hist_percentile(hist, part) / 1000;
}

#endif
