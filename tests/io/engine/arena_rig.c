/* SPDX-License-Identifier: MIT */
/* An arena under test. */
#include "arena_rig.h"

#include <errno.h>
#include <string.h>
#include <twostate/validate.h>

char arena_owners[4];
struct arena_rig rig;

void arena_note_evicted(struct folio *folio)
{
    CHECK(twostate_iolock_query(&folio->lock).mode == TWOSTATE_EXCLUSIVE);
    CHECK(folio->owner != NULL && folio->dirty == 0);
    rig.evicted[(add(&rig.evictions, 1) - 1) % 64] = folio;
}

void arena_note_pressed(void *context)
{
    CHECK(context == &rig);
    add(&rig.presses, 1);
}

static int ask(void *context)
{
    CHECK(context == &rig);
    add(&rig.asked, 1);
    return load(&rig.broken) ? -EIO : 0;
}

void arena_begin(uint64_t limit)
{
    memset(&rig, 0, sizeof(rig));
    assert_int_equal(arena_create_(limit, arena_note_evicted, arena_note_pressed, &rig, &rig.arena),
                     0);
}

void arena_end(void)
{
    assert_int_equal(arena_query_(rig.arena).used, 0);
    arena_destroy_(rig.arena);
    assert_int_equal(twostate_validate_query().holds, 0);
}

int arena_want(uint32_t size, unsigned count)
{
    return arena_reserve_(rig.arena, size, count, false, ask, &rig);
}

uint64_t arena_used(void)
{
    return arena_query_(rig.arena).used;
}

struct folio *arena_own(uint32_t size, unsigned owner)
{
    struct folio *folio = arena_take_(rig.arena, size);

    folio->owner = OWNER(owner);
    twostate_iolock_release(&folio->lock, TWOSTATE_EXCLUSIVE);
    return folio;
}

void arena_disown(struct folio *folio, uint32_t size)
{
    twostate_iolock_acquire(&folio->lock, TWOSTATE_EXCLUSIVE);
    arena_free_(rig.arena, folio, size);
}

void arena_set_dirty(struct folio *folio, uint32_t dirty)
{
    __atomic_store_n(&folio->dirty, dirty, __ATOMIC_RELEASE);
    if (dirty == 0)
        arena_cleaned_(rig.arena);
}
