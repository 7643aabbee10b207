/* SPDX-License-Identifier: MIT */
/* Waits, counted for each file, whether or not the library's statistics are on. */
#include "waits.h"

enum wait_kind wait_kind_(enum twostate_iopath path)
{
    if (path == TWOSTATE_BUFFERED_READ || path == TWOSTATE_BUFFERED_WRITE)
        return WAIT_BUFFERED;
    return path == TWOSTATE_DIRECT ? WAIT_DIRECT : WAIT_EXCLUSIVE;
}

/* Below 1024 ns: the first. The two bits after the leading one choose. */
static unsigned bucket_of(uint64_t ns)
{
    const unsigned power = ns < 1024 ? 10 : 63U - (unsigned)__builtin_clzll(ns);
    const unsigned bucket =
        ns < 1024 ? 0 : (power - 10) * WAIT_STEPS + (unsigned)(ns >> (power - 2)) % WAIT_STEPS;

    return bucket < WAIT_BUCKETS ? bucket : WAIT_BUCKETS - 1;
}

static uint64_t top_of(unsigned bucket)
{
    return ((uint64_t)(WAIT_STEPS + bucket % WAIT_STEPS + 1) << (bucket / WAIT_STEPS + 8)) - 1;
}

void waits_add_(struct waits *waits, int64_t ns)
{
    const uint64_t time = ns > 0 ? (uint64_t)ns : 0;
    uint64_t max = __atomic_load_n(&waits->max_ns, __ATOMIC_RELAXED);

    __atomic_fetch_add(&waits->count, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&waits->total_ns, time, __ATOMIC_RELAXED);
    __atomic_fetch_add(&waits->buckets[bucket_of(time)], 1, __ATOMIC_RELAXED);
    while (max < time && !__atomic_compare_exchange_n(&waits->max_ns, &max, time, true,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

uint64_t waits_percentile_(const struct waits *waits, double part)
{
    const uint64_t max = __atomic_load_n(&waits->max_ns, __ATOMIC_RELAXED);
    uint64_t counts[WAIT_BUCKETS];
    uint64_t total = 0;
    uint64_t below = 0;

    for (unsigned i = 0; i < WAIT_BUCKETS; i++) {
        counts[i] = __atomic_load_n(&waits->buckets[i], __ATOMIC_RELAXED);
        total += counts[i];
    }
    for (unsigned i = 0; i < WAIT_BUCKETS; i++) {
        below += counts[i];
        if (below > 0 && (double)below >= part * (double)total)
            return top_of(i) < max ? top_of(i) : max;
    }
    return 0;
}
