/* SPDX-License-Identifier: MIT */
/*
 * The states that were found, by number, each kept once and in full; and which of them cover others.
 *
 * A state covers another that is the same but for what may still come, if more may still come in it:
 * a thread has not begun an operation that it need not begin, a wake-up for no reason is left.
 * All that can happen in the other can happen in it, so the other needs no look. What is left only
 * ever gets less (the rank only grows), so if states are looked at by rank, what covers a state has
 * been found before it is its turn.
 */
#ifndef MODEL_STORE_H
#define MODEL_STORE_H

#include "intern.h"
#include "world.h"

#define STORE_NONE UINT32_MAX

struct store {
    const struct program *program;
    struct intern states, threads;
    bool later_covered[THREADS_MAX][ROUNDS_MAX + 1][ROUNDS_MAX + 1]; /* [earlier][later round] */
};

void store_init(struct store *store, const struct program *program);
void store_free(struct store *store);

/* The world of a number, with equal threads in order. */
void store_get(const struct store *store, uint32_t number, struct world *world);

/* The world is put in order on the way. */
uint32_t store_put(struct store *store, struct world *world, bool *fresh);
uint32_t store_find(struct store *store, const struct world *world);

/* One that covers the world and is covered by none that is known, or STORE_NONE. */
uint32_t store_cover(struct store *store, const struct world *world);

unsigned store_rank(const struct store *store, const struct world *world);
unsigned store_ranks(const struct program *program);

#endif
