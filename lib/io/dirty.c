/* SPDX-License-Identifier: MIT */
/*
 * What is on disk, and what is not: the books of each file's dirty blocks.
 *
 * A folio is listed while a block of it is dirty or being written, the oldest first. Its `dirty` and the
 * list change together, under the file's mutex, but for blocks that join others.
 */
#include "dirty.h"
#include "user.h"

static void unlist(struct user_cache *cache, struct folio *folio)
{
    cds_list_del(&folio->node);
    folio->listed = false;
    __atomic_sub_fetch(&cache->dirty, cache->folio, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&cache->user->dirty, cache->folio, __ATOMIC_RELAXED);
}

void dirty_mark_(struct user_cache *cache, struct folio *folio, uint32_t blocks)
{
    uint32_t before = __atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE);

    if ((before & blocks) == blocks) /* nobody else clears them while the lock is held */
        return;
    if (before & FOLIO_DIRTY) {
        __atomic_fetch_or(&folio->dirty, blocks, __ATOMIC_ACQ_REL);
        return;
    }
    pthread_mutex_lock(&cache->unwritten);
    before = __atomic_fetch_or(&folio->dirty, blocks, __ATOMIC_ACQ_REL);
    if ((before & FOLIO_DIRTY) == 0) /* else a write has failed since, of something older */
        folio->again = cache->syncs;
    if (!folio->listed) {
        folio->listed = true;
        folio->dirtied = cache->syncs;
        folio->since = user_now_();
        cds_list_add_tail(&folio->node, &cache->not_on_disk);
        __atomic_add_fetch(&cache->dirty, cache->folio, __ATOMIC_RELAXED);
        flusher_dirtied_(cache->user, cache->folio);
    }
    pthread_mutex_unlock(&cache->unwritten);
}

static void settle(struct user_cache *cache, const struct folio *folio, uint32_t blocks)
{
    cache->settling++;
    while (__atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE) & blocks << 16)
        pthread_cond_wait(&cache->written, &cache->unwritten);
    cache->settling--;
}

void dirty_settle_(struct user_cache *cache, struct folio *folio, uint32_t blocks)
{
    pthread_mutex_lock(&cache->unwritten);
    settle(cache, folio, blocks);
    pthread_mutex_unlock(&cache->unwritten);
}

void dirty_forget_(struct user_cache *cache, struct folio *folio, uint32_t blocks)
{
    if (__atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE) == 0)
        return;
    pthread_mutex_lock(&cache->unwritten);
    settle(cache, folio, blocks);
    if (__atomic_and_fetch(&folio->dirty, ~blocks, __ATOMIC_ACQ_REL) == 0 && folio->listed)
        unlist(cache, folio);
    pthread_mutex_unlock(&cache->unwritten);
    arena_cleaned_(cache->user->arena);
}

void dirty_set_out_(struct user_cache *cache)
{
    pthread_mutex_lock(&cache->unwritten);
    while (cache->held_back > 0)
        pthread_cond_wait(&cache->written, &cache->unwritten);
    cache->on_way++;
    pthread_mutex_unlock(&cache->unwritten);
}

void dirty_arrived_(struct user_cache *cache)
{
    if (--cache->on_way == 0)
        pthread_cond_broadcast(&cache->written);
}

void dirty_hold_(struct user_cache *cache)
{
    pthread_mutex_lock(&cache->unwritten);
    cache->held_back++;
    while (cache->on_way > 0)
        pthread_cond_wait(&cache->written, &cache->unwritten);
    pthread_mutex_unlock(&cache->unwritten);
}

void dirty_go_on_(struct user_cache *cache)
{
    pthread_mutex_lock(&cache->unwritten);
    cache->held_back--;
    pthread_cond_broadcast(&cache->written);
    pthread_mutex_unlock(&cache->unwritten);
}

/*
 * The folio's lock is not held: it may be evicted as soon as it is clean, so it leaves the list before.
 * Who makes it dirty meanwhile lists it again.
 */
void dirty_done_(struct user_cache *cache, struct folio *folio, uint32_t blocks, bool failed)
{
    const uint32_t written = blocks << 16;
    uint32_t left = 0;

    if (failed) {
        folio->again = folio->dirtied;
        __atomic_fetch_or(&folio->dirty, blocks, __ATOMIC_ACQ_REL);
    }
    if ((__atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE) & ~written) == 0) {
        unlist(cache, folio);
        __atomic_and_fetch(&folio->dirty, ~written, __ATOMIC_ACQ_REL);
        return;
    }
    left = __atomic_and_fetch(&folio->dirty, ~written, __ATOMIC_ACQ_REL);
    if (left & FOLIO_WRITING)
        return;
    folio->dirtied = folio->again;
    if (!failed)
        folio->since = user_now_();
    /* Behind those that wait: what fails again and again does not keep them from their turn. */
    cds_list_del(&folio->node);
    cds_list_add_tail(&folio->node, &cache->not_on_disk);
}

uint32_t dirty_in_(const struct user_cache *cache, const struct folio *folio, uint64_t number,
                   int64_t from, int64_t to)
{
    const uint32_t dirty = __atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE);

    return (dirty | dirty >> 16) & user_blocks_in_(cache, number, from, to);
}

bool dirty_clean_(struct user_cache *cache, int64_t from, int64_t to)
{
    const uint64_t last = user_folio_of_(cache, to - 1);

    for (uint64_t number = user_folio_of_(cache, from); number <= last; number++) {
        const struct folio *folio = index_next_(&cache->index, number, last, &number);

        if (folio == NULL)
            return true;
        if (dirty_in_(cache, folio, number, from, to))
            return false;
    }
    return true;
}
