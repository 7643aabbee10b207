/* SPDX-License-Identifier: MIT */
/*
 * Reordered completions: a backend in front of the engine's own that holds back what has completed,
 * and lets it go a little later, in another order. What a request did is done by then, but nobody
 * has been told: the longer that lasts, the more runs into the time between. Some transfers are cut
 * short, as the kernel may.
 */
#ifndef FUZZ_REORDER_H
#define FUZZ_REORDER_H

#include <stdint.h>

struct reorder;
struct twostate_engine;

/* The engine has no files open, at both ends. */
struct reorder *reorder_enter(struct twostate_engine *engine, uint64_t seed);
void reorder_leave(struct reorder *reorder);

#endif
