/* SPDX-License-Identifier: MIT */
/*
 * Between the engine and its backend, and between the backend and io_uring: CALL_OP, CALL_RING,
 * CALL_SUBMIT and CALL_REAP of inject.h. The linker puts it there, as it does inject.c.
 */
#ifndef TESTS_FAULTS_INJECT_BACKEND_H
#define TESTS_FAULTS_INJECT_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Rings are made with one entry, whatever was asked for: their submission queue is full after one
 * request, their completion queue after two. Those that end wait for each other a moment, so that it
 * does overflow.
 */
void inject_small_rings(bool small);

/* How often a ring's completion queue had overflowed when somebody looked. */
uint32_t inject_overflows(void);

/* Ops that write and that were answered with an error, since ever. */
uint32_t inject_writes_hit(void);

#endif
