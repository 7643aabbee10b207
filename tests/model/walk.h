/* SPDX-License-Identifier: MIT */
/*
 * Schedules by chance, for programs that are too big to exhaust.
 *
 * Either every choice is as likely as the others; or (PCT: Burckhardt, Kothari, Musuvathi and
 * Nagarakatte, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", 2010)
 * threads have random priorities, the highest that can goes, and at a few random steps the one that
 * goes falls to the lowest: that finds a bug of few ordering constraints with a known probability.
 */
#ifndef MODEL_WALK_H
#define MODEL_WALK_H

#include "explore.h"

/* `schedules` of them, from the seed on; changes: the priority changes of PCT, or -1. */
struct exploration walk(const struct program *program, uint64_t seed, unsigned schedules,
                        int changes);

#endif
