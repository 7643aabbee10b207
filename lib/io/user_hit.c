/* SPDX-License-Identifier: MIT */
/*
 * Hits: reads and writes that find all they want in memory, in one folio that is free.
 *
 * Most requests are hits, and what can be different about a request (several folios, several pieces
 * of memory, missing blocks, the end of file) takes the processor as long as copying 4 KiB. So a hit
 * does without. It takes the same lock, and looks at the same things under it, as the long way does;
 * where something is not as it expects it gives up, nothing has happened, and the long way is taken.
 */
#include "copy.h"
#include "dirty.h"
#include "span.h"

#include <string.h>
#include <urcu/compiler.h>

/* Who reads where the last read-ahead was is to ask for the next, which user_read_ does. */
static bool is_read_ahead(const struct user_cache *cache, int64_t offset)
{
    const int64_t ahead = __atomic_load_n(&cache->ahead, __ATOMIC_RELAXED);

    return offset < ahead && offset >= ahead - cache->window;
}

static bool is_likely(const struct user_cache *cache, uint32_t within, size_t length,
                      int64_t offset, bool write)
{
    if (length > cache->folio - within || offset > user_size_(cache) - (int64_t)length)
        return false;
    return write ? flusher_throttle_(cache, true) == 0 : !is_read_ahead(cache, offset);
}

/*
 * The folio is locked, or its gate closed: so nobody looks at what is marked before it is there. After the
 * copy the processor would wait for much of it before it could look whether a mark is needed.
 */
static bool move(struct user_cache *cache, struct folio *folio, uint64_t number, uint32_t within,
                 void *memory, size_t length, bool write)
{
    const uint32_t blocks = folio_blocks(within, within + (uint32_t)length);

    if (!span_is_(cache, folio, number) || (folio->valid & blocks) != blocks)
        return false;
    folio_mark_used(folio);
    if (write) {
        dirty_mark_(cache, folio, blocks);
        copy_far_(folio->data + within, memory, length);
    } else {
        memcpy(memory, folio->data + within, length);
    }
    return true;
}

bool user_hit_(struct cache *base, void *memory, size_t length, int64_t offset, bool write)
{
    struct user_cache *cache = caa_container_of(base, struct user_cache, cache);
    const uint64_t number = user_folio_of_(cache, offset);
    const uint32_t within = (uint32_t)offset & (cache->folio - 1);
    struct folio *folio = NULL;
    bool hit = false;

    if (!is_likely(cache, within, length, offset, write))
        return false;
    folio = index_find_(&cache->index, number);
    if (folio == NULL)
        return false;
    if (write)
        span_fetch_to_write_(cache, folio, within, length);
    else
        span_fetch_(cache, folio, within);
    if (!(write ? folio_enter_(folio) : folio_try_lock_(folio, TWOSTATE_SHARED)))
        return false;
    hit = move(cache, folio, number, within, memory, length, write);
    if (write)
        folio_leave_(folio);
    else
        folio_unlock_(folio, TWOSTATE_SHARED);
    return hit;
}
