/* SPDX-License-Identifier: MIT */
/* Time, in the unit that is cheapest to read, and work that lasts a known time. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* What all threads of the process have used of the processors. */
static inline uint64_t clock_cpu_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000U + (uint64_t)used.tv_nsec;
}

/* A clock_gettime costs as much as several locks; the cycle counter a fraction of that. */
static inline uint64_t clock_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return clock_ns();
#endif
}

/* Measures the tick and the unit of work. Call it once, before the two below. */
void clock_calibrate(void);

double clock_ticks_to_us(uint64_t ticks);

/* How many units of clock_work last ns on an idle processor. */
uint64_t clock_work_units(uint64_t ns);

/* Computes: does not end earlier for having been preempted, as a wait for a time would. */
static inline void clock_work(uint64_t units)
{
    for (uint64_t i = 0; i < units; i++)
        __asm__ volatile("" : "+r"(i));
}

/* Sleeps at least ns. */
void clock_sleep(uint64_t ns);

#endif
