/* SPDX-License-Identifier: MIT */
/* For tests of the statistics: what was counted, exactly, of calls made while the clock stands. */
#ifndef TESTS_COUNTED_H
#define TESTS_COUNTED_H

#include "caller.h"
#include "word.h"

#include <twostate/stats.h>

/* Times that tests make: all shorter than the patience. */
#define HOLD_NS UINT64_C(300000)
#define WAIT_NS UINT64_C(200000)

/* Of the class of this name; the test fails if nothing was counted of it. */
struct twostate_stats stats_of(const char *name);

/* Each test begins with nothing counted and the locks' clock standing. */
int start_clock(void **state);
int stop_clock(void **state);
void pass_time(uint64_t ns);

/* waits, of which `refused` were in vain, of ns each. */
void assert_waits(const struct twostate_stats_group *group, uint64_t waits, uint64_t refused,
                  uint64_t ns);

/* Calls that got holds, and how many holds are over, of ns each. */
void assert_holds(const struct twostate_stats_group *group, uint64_t acquires, uint64_t holds,
                  uint64_t ns);

bool all_zero(const void *memory, size_t size);

/* A holder of A for HOLD_NS, and a caller that waits for it for the last WAIT_NS of them. */
int wait_for_a_holder(enum call call, enum group group, struct twostate_lock *lock);

#endif
