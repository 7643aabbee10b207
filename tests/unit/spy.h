/* SPDX-License-Identifier: MIT */
/*
 * Between the locks and the kernel: counts the futex calls, and can make waits return for nothing.
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

#endif
