/* SPDX-License-Identifier: MIT */
/*
 * Reordered completions: a backend in front of the engine's own that holds back what has completed,
 * and lets it go a little later, in another order; and does the same with what is submitted. Some
 * transfers are cut short, as the kernel may. The longer requests are on their way, the more runs
 * into the time between.
 */
#ifndef FUZZ_REORDER_H
#define FUZZ_REORDER_H

#include <stdint.h>

struct reorder;
struct twostate_engine;

/* The engine has no files open, at both ends. */
struct reorder *reorder_enter(struct twostate_engine *engine, uint64_t seed);
/*
 * Transfers are cut short at multiples of unit bytes, the largest that was told; 0, as at the beginning:
 * they aren't. A file whose blocks are shared may have larger ones when it is opened again.
 */
void reorder_cut(struct reorder *reorder, uint32_t unit);
void reorder_leave(struct reorder *reorder);

#endif
