/* SPDX-License-Identifier: MIT */
/*
 * What makes a machine's schedules less regular: signals that interrupt the threads' waits, stops of
 * the whole process in the middle of anything, and all threads on one processor.
 *
 * Signals and stops also make a sleeper look again, and so hide that nobody woke it. They must not be
 * on all the time.
 */
#ifndef TESTS_NOISE_H
#define TESTS_NOISE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Goes on in a child of the process that called it; this one stops and continues the child now and
 * then, and exits as it did. Before there are threads.
 */
void noise_fork(uint64_t seed);

/* Whether it does. */
void noise_stops(bool on);

/* All threads of the process on one processor, or on all that there were. */
void noise_pin(bool one);

/* Sends signals to the threads of a round, until noise_stop. thread(i) is the i-th of count. */
void noise_start(uint64_t seed, uint32_t count, pthread_t (*thread)(uint32_t i));
void noise_stop(void);

#endif
