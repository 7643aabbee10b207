/* SPDX-License-Identifier: MIT */
/*
 * The arena: the memory of an engine's user caches, and who gets it.
 *
 * A request reserves all the memory that it may need before it locks a folio, in one step, and then
 * takes folios out of its reservation: so nobody waits for memory while holding what another needs
 * to give memory back (a batch of locked folios can't be reclaimed).
 *
 * For each folio size there is one range of address space as large as the budget, with descriptors
 * beside it; only what is in use has memory behind it. When the budget is used up, folios that are
 * clean, and were not used since the last round, give way (second chance), of whatever size.
 */
#ifndef TS_IO_ARENA_H
#define TS_IO_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "folio.h"

struct arena;

struct arena_info {
    uint64_t limit;   /* bytes */
    uint64_t used;    /* bytes of folios that have an owner, and of reservations */
    uint64_t evicted; /* folios */
};

/*
 * evict: the arena holds folio's lock exclusive, and folio is clean; it has an owner. To take it out of
 * the owner's index, after which the arena sets owner to NULL. pressed: called, with no lock held,
 * when a reservation finds nothing to evict: starts a write-back. 0 or -ENOMEM.
 */
int arena_create_(uint64_t limit, void (*evict)(struct folio *folio),
                  void (*pressed)(void *context), void *context, struct arena **arena);
/* No folio may have an owner. */
void arena_destroy_(struct arena *arena);

/* Where the folios of one size are: the memory of each is as far from the first's as its descriptor. */
struct arena_layout {
    const struct folio *folios;
    const char *memory;
};

/* 0 or -ENOMEM. For an arena's whole life. */
int arena_layout_(struct arena *arena, uint32_t size, struct arena_layout *layout);

/*
 * Reserves count folios of so many bytes: evicts, and waits for folios to become clean or free. The
 * caller holds no folio lock. With nowait -EAGAIN instead of waiting or evicting.
 * -ENOMEM: more than the whole budget. stuck: asked now and then while waiting; if it returns an
 * error (write-back fails) to the first in line, and others use no folio that may be let go soon, that is
 * the result. Who waits, waits in line: nobody passes him.
 */
int arena_reserve_(struct arena *arena, uint32_t size, unsigned count, bool nowait,
                   int (*stuck)(void *context), void *context);
/* Gives back what was not taken. */
void arena_unreserve_(struct arena *arena, uint32_t size, unsigned count);

/*
 * A free folio of that size, out of a reservation of one: locked exclusive, valid and dirty 0, no
 * owner; its data is whatever it was. -ENOMEM can't happen: the result is never NULL.
 */
struct folio *arena_take_(struct arena *arena, uint32_t size);

/*
 * The caller has taken the folio out of its index, and holds its lock exclusive, which this
 * releases. Its `dirty` is 0.
 */
void arena_free_(struct arena *arena, struct folio *folio, uint32_t size);

/* Some folio became clean: whoever waits for memory looks again. Any thread; never waits long. */
void arena_cleaned_(struct arena *arena);

struct arena_info arena_query_(struct arena *arena);

#endif
