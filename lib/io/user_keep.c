/* SPDX-License-Identifier: MIT */
/*
 * Direct writes over dirty blocks.
 *
 * Writing such blocks back first would write them twice, and make the direct write wait. So they stay
 * in the cache, dirty, until the write has overwritten them, and are forgotten then; the request has
 * their folios locked meanwhile, which keeps write-back away. Whoever waits for such a lock waits for
 * the disk, which waits for nobody.
 *
 * That is for whole blocks, in a few folios that are to be had at once: else what is dirty is written
 * back first.
 */
#include "dirty.h"
#include "user.h"

#include <errno.h>
#include <string.h>

#include <twostate/validate.h>

static bool add(struct user_cache *cache, struct folio *folio, struct cache_kept *kept,
                int64_t from, int64_t to)
{
    const uint32_t blocks = user_blocks_in_(cache, folio->index, from, to);
    const uint32_t dirty = __atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE);

    if ((dirty & (blocks | blocks << 16)) == 0) {
        user_drop_locked_(cache, folio, blocks);
        return true;
    }
    if ((dirty & blocks << 16) ||
        (dirty & blocks & ~user_covered_(cache, folio->index, from, to)) ||
        kept->count == sizeof(kept->folios) / sizeof(kept->folios[0])) {
        folio_unlock_(folio, TWOSTATE_EXCLUSIVE);
        return false;
    }
    folio->valid &= ~(blocks & ~dirty);
    twostate_validate_disown(&folio->lock); /* it is the request's */
    kept->folios[kept->count++] = folio;
    return true;
}

static void unlock_all(struct cache_kept *kept)
{
    for (unsigned i = 0; i < kept->count; i++)
        folio_unlock_(kept->folios[i], TWOSTATE_EXCLUSIVE);
    kept->count = 0;
}

bool user_keep_(struct user_cache *cache, int64_t from, int64_t to, struct cache_kept *kept)
{
    const uint64_t last = user_folio_of_(cache, to - 1);
    bool possible = true;

    kept->count = 0;
    for (uint64_t number = user_folio_of_(cache, from); possible && number <= last; number++) {
        struct folio *folio = index_next_(&cache->index, number, last, &number);

        if (folio == NULL)
            break;
        possible = folio_try_lock_(folio, TWOSTATE_EXCLUSIVE);
        if (!possible)
            break;
        if (folio->owner == cache && folio->index == number)
            possible = add(cache, folio, kept, from, to);
        else
            folio_unlock_(folio, TWOSTATE_EXCLUSIVE);
    }
    if (!possible)
        unlock_all(kept);
    return possible;
}

/*
 * The write ended in the middle of a block that stays in the cache: what it has written of that is newer
 * than what the cache has. False: it can't be read back, and the cache will overwrite it.
 */
static bool merge(const struct user_cache *cache, struct folio *folio, int64_t end)
{
    char block[FOLIO_BLOCK] __attribute__((aligned(FOLIO_BLOCK)));
    struct iovec iov = {.iov_base = block, .iov_len = FOLIO_BLOCK};
    const int64_t start = user_round_down_(end);
    const struct backend_op op = {.fd = cache->direct_fd, .iov = &iov, .count = 1, .offset = start};

    if (backend_run_(&op) < end - start)
        return false;
    memcpy(folio->data + (start & (cache->folio - 1)), block, (size_t)(end - start));
    return true;
}

/* Returns where what was written ends for good. */
static int64_t let_go(struct user_cache *cache, struct folio *folio, int64_t from, int64_t end)
{
    const uint64_t number = folio->index;
    const uint32_t blocks = end > from ? user_covered_(cache, number, from, end) : 0;
    int64_t stays = end;

    if (end > from && end % FOLIO_BLOCK && number == user_folio_of_(cache, end) &&
        (folio->valid & user_blocks_in_(cache, number, end, end + 1)) && !merge(cache, folio, end))
        stays = user_round_down_(end);
    if (blocks == 0) {
        folio_unlock_(folio, TWOSTATE_EXCLUSIVE);
        return stays;
    }
    dirty_forget_(cache, folio, blocks);
    user_drop_locked_(cache, folio, blocks);
    return stays;
}

int64_t user_let_go_(struct user_cache *cache, int64_t from, int64_t moved, struct cache_kept *kept)
{
    int64_t end = moved > 0 ? from + moved : from;

    for (unsigned i = 0; i < kept->count; i++)
        end = let_go(cache, kept->folios[i], from, end);
    kept->count = 0;
    if (moved <= 0)
        return moved;
    return end > from ? end - from : -EIO;
}
