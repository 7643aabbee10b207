/* SPDX-License-Identifier: MIT */
/*
 * The concurrent form: threads of all kinds on one file, through an engine with random options. The
 * file consists of blocks that say who wrote them, and a read is checked for what it can have found:
 * whole blocks, none older than what was acknowledged, or seen, before it began.
 */
#ifndef FUZZ_THREADS_H
#define FUZZ_THREADS_H

#include "world.h"

struct threads_run {
    const struct choice *choice;
    const struct place *place;
    unsigned threads;
    uint64_t seed;
};

/* For child_run: arg is a struct threads_run. */
void threads_run(void *arg, struct report *report);

#endif
