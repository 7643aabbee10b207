/* SPDX-License-Identifier: MIT */
/* Taking folios, or some of their blocks, out of a user cache. */
#include "dirty.h"
#include "user.h"

#include <errno.h>
#include <string.h>

void user_drop_locked_(struct user_cache *cache, struct folio *folio, uint32_t blocks)
{
    folio->valid &= ~blocks;
    if (folio->valid || __atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE)) {
        folio_unlock_(folio, TWOSTATE_EXCLUSIVE);
        return;
    }
    index_remove_(&cache->index, folio->index, folio);
    folio->owner = NULL;
    arena_free_(cache->user->arena, folio, cache->folio);
}

static bool lock_to_drop(struct folio *folio, enum user_drop how)
{
    if (how != DROP_EVERYTHING)
        return folio_try_lock_(folio, TWOSTATE_EXCLUSIVE);
    folio_lock_(folio, TWOSTATE_EXCLUSIVE);
    return true;
}

static void drop_locked(struct user_cache *cache, struct folio *folio, uint32_t blocks,
                        enum user_drop how)
{
    const uint32_t both = blocks | blocks << 16;

    if (how == DROP_EVERYTHING)
        dirty_forget_(cache, folio, blocks);
    if (__atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE) & both)
        folio_unlock_(folio, TWOSTATE_EXCLUSIVE);
    else
        user_drop_locked_(cache, folio, blocks);
}

/* Takes the blocks that [from, to) touches out of the cache. 0 or -EAGAIN. */
int user_drop_(struct user_cache *cache, int64_t from, int64_t to, enum user_drop how)
{
    const uint64_t last = user_folio_of_(cache, to - 1);
    uint64_t number = user_folio_of_(cache, from);

    while (number <= last) {
        struct folio *folio = index_next_(&cache->index, number, last, &number);

        if (folio == NULL)
            return 0;
        if (!lock_to_drop(folio, how)) {
            if (how == DROP_NOWAIT)
                return -EAGAIN;
        } else if (folio->owner != cache || folio->index != number) {
            folio_unlock_(folio, TWOSTATE_EXCLUSIVE);
        } else {
            drop_locked(cache, folio, user_blocks_in_(cache, number, from, to), how);
        }
        number++;
    }
    return 0;
}

/* The folio is locked. What the hole has of it is zero; its other bytes may be newer than the disk. */
static void punch_folio(struct user_cache *cache, struct folio *folio, int64_t from, int64_t to)
{
    const int64_t start = (int64_t)(folio->index << cache->shift);
    const int64_t first = from > start ? from - start : 0;
    const int64_t last = user_smaller_(to - start, cache->folio);
    const uint32_t blocks = user_covered_(cache, folio->index, from, to);

    dirty_settle_(cache, folio, user_blocks_in_(cache, folio->index, from, to));
    memset(folio->data + first, 0, (size_t)(last - first));
    if (blocks == 0) {
        folio_unlock_(folio, TWOSTATE_EXCLUSIVE);
        return;
    }
    dirty_forget_(cache, folio, blocks);
    user_drop_locked_(cache, folio, blocks);
}

/* Returns whether there was something of it. */
static bool punch_folios(struct user_cache *cache, int64_t from, int64_t to)
{
    const uint64_t last = user_folio_of_(cache, to - 1);
    uint64_t number = user_folio_of_(cache, from);
    bool some = false;

    for (; number <= last; number++) {
        struct folio *folio = index_next_(&cache->index, number, last, &number);

        if (folio == NULL)
            break;
        folio_lock_(folio, TWOSTATE_EXCLUSIVE);
        if (folio->owner == cache && folio->index == number) {
            some = true;
            punch_folio(cache, folio, from, to);
        } else {
            folio_unlock_(folio, TWOSTATE_EXCLUSIVE);
        }
    }
    return some;
}

/*
 * What is dirty may be all that makes the file reach beyond the hole; and once it is forgotten, the hole
 * has to be read from the disk. No longer than that, for what is behind the hole is not on disk yet; and
 * never shorter than it is, so nothing may be on its way there.
 */
static int keep_size(struct user_cache *cache, int64_t to)
{
    const int64_t least = user_smaller_(to, user_size_(cache));
    int result = 0;

    if (cache->block_device || user_disk_size_(cache) >= least)
        return 0;
    dirty_hold_(cache);
    if (user_disk_size_(cache) < least)
        result = user_set_disk_size_(cache, least);
    dirty_go_on_(cache);
    return result;
}

/*
 * The hole is made on disk first: if the disk refuses, what is dirty stays. What is being written back
 * meanwhile may fill it again, until that has been waited for: then it is made once more.
 */
int user_punch_(struct user_cache *cache, int64_t from, int64_t to, int (*punch)(void *context),
                void *context)
{
    int result = keep_size(cache, to);

    if (result == 0)
        result = punch(context);
    if (result == 0 && punch_folios(cache, from, to))
        result = punch(context);
    if (result) /* it may be there all the same */
        user_drop_(cache, from, to, DROP_CLEAN);
    return result;
}

/* After uncached IO. What can't be written back stays: it must not be lost. */
void user_leave_nothing_(struct user_cache *cache, int64_t offset, int64_t length)
{
    if (user_write_back_(cache, offset, length) == 0)
        user_drop_(cache, user_round_down_(offset), user_round_up_(offset + length), DROP_CLEAN);
}

int user_write_back_(struct user_cache *cache, int64_t offset, int64_t length)
{
    if (length <= 0)
        return 0;
    return writeback_range_(cache, offset,
                            length < INT64_MAX - offset ? offset + length : INT64_MAX);
}
