/* SPDX-License-Identifier: MIT */
/* Time, random numbers and memory, for all parts of the command. */
#ifndef TOOL_UTIL_H
#define TOOL_UTIL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_S INT64_C(1000000000)

/* CLOCK_MONOTONIC, in nanoseconds. */
int64_t now_ns(void);

/* Zeroed memory, at a multiple of 4096 if asked. Stops the program if there is none. */
void *zalloc(size_t count, size_t size);
void *aligned_zalloc(size_t size);

/* Set from a signal handler: whatever goes on ends soon, with the checks and results it has. */
extern atomic_int load_interrupted; /* the handler runs in any thread */

/* One line on stderr. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

/* What stops the program: such a line, exit status 2. */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

/* What such lines name until the next call, on behalf of the file that is being read; NULL: none. */
void die_at(const char *file, unsigned line);
void die_in(const char *file, const char *section);

/* The exit status: 2, with a message, if the standard output could not be written. */
int status_of_output(int status);

/* splitmix64 (Steele, Lea, Flood 2014): also good for spreading a seed over threads. */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint32_t random_below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)(((random_next(state) >> 32) * limit) >> 32);
}

#endif
