/* SPDX-License-Identifier: MIT */
/*
 * Between the locks and the kernel: counts the futex calls, can make waits return for nothing, and
 * can stop the clock.
 * The linker puts it there (--wrap, see CMakeLists.txt).
 */
#ifndef TESTS_SPY_H
#define TESTS_SPY_H

#include <stdbool.h>
#include <stdint.h>

uint32_t spy_waits(void);
uint32_t spy_wakes(void);
uint32_t spy_slow_calls(void);

/* The deadline of the last futex wait that had one, in ns of CLOCK_MONOTONIC. */
uint64_t spy_wait_end_ns(void);

/* From now on, futex waits without a reason return: at once every other time, else after 1 ms. */
void spy_interrupt(bool on);

/*
 * From now on the locks' clock stands at ns, until it is set again; 0 is the machine's. Deadlines
 * are then times of this clock.
 */
void spy_clock_set(uint64_t ns);
uint64_t spy_clock_ns(void);

#endif
