/* SPDX-License-Identifier: MIT */
/* An arena under test: what it has evicted, whom it has asked for, and what that one answers. */
#ifndef TESTS_ENGINE_ARENA_RIG_H
#define TESTS_ENGINE_ARENA_RIG_H

#include "common.h"

#include "io/arena.h"

#define S4  UINT32_C(4096)
#define S16 UINT32_C(16384)
#define S64 UINT32_C(65536)

/* An owner is only an address to the arena. */
extern char arena_owners[4];
#define OWNER(n) ((struct user_cache *)(void *)&arena_owners[n])

struct arena_rig {
    struct arena *arena;
    struct folio *evicted[64]; /* the last ones, by count */
    uint32_t evictions;
    uint32_t presses;
    uint32_t asked;
    uint32_t broken; /* what `stuck` answers */
    struct folio *used_again;
};

extern struct arena_rig rig;

/* What an arena calls. */
void arena_note_evicted(struct folio *folio);
void arena_note_pressed(void *context);

void arena_begin(uint64_t limit);
void arena_end(void);

/* Waits, and asks whether it is stuck. */
int arena_want(uint32_t size, unsigned count);
uint64_t arena_used(void);

/* A folio in use: owned, clean, unlocked. */
struct folio *arena_own(uint32_t size, unsigned owner);
void arena_disown(struct folio *folio, uint32_t size);
void arena_set_dirty(struct folio *folio, uint32_t dirty);

#endif
