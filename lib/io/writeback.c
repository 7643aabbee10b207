/* SPDX-License-Identifier: MIT */
/*
 * Write-back: from dirty folios to the disk, past the kernel's cache.
 *
 * Blocks are copied to a buffer of a batch with the folio locked, and written from there: so nobody
 * waits for the disk to overwrite what is being written back, what is written does not change on its
 * way, and neighbours leave as one large write. A block is `writing` from the copy to the end of the
 * write; only one write of a block is on its way at a time.
 *
 * The block that holds the end of file goes through the kernel's cache, which can write a part of a
 * block: so the file on disk is never longer than what was written to it.
 */
#include "batch.h"
#include "dirty.h"
#include "user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urcu/compiler.h>

#define PICKS      512  /* at once */
#define SYNC_PICKS 4096 /* of a sync */

/* A folio that had, when it was picked, something dirty. */
struct pick {
    uint64_t index;
    struct folio *folio;
    uint32_t blocks; /* that are to be written */
};

/* The last block of the file, of which only a part is the file's. */
struct tail {
    char data[FOLIO_BLOCK];
    struct part part; /* no folio: there is no tail to write */
    int64_t offset;
    size_t length;
};

static int write_tail(const struct user_cache *cache, const struct tail *tail)
{
    struct iovec iov = {.iov_base = (char *)(uintptr_t)tail->data, .iov_len = tail->length};
    struct backend_op op = {.fd = cache->fd, .offset = tail->offset, .write = true};
    struct cursor cursor;
    int64_t moved = 0;

    cursor_init_(&cursor, &iov, 1);
    cursor_show_(&cursor, tail->length);
    moved = backend_move_(&op, &cursor, 1);
    if (moved < 0)
        return (int)moved;
    return moved == (int64_t)tail->length ? 0 : -EIO;
}

/* The blocks of a folio that the file reaches into. */
static uint32_t blocks_of_file(const struct user_cache *cache, int64_t start, int64_t size)
{
    if (size <= start)
        return 0;
    return folio_blocks(0, size - start < cache->folio ? (uint32_t)(size - start) : cache->folio);
}

/*
 * Takes the dirty blocks of a folio, which is locked exclusive and not being written. What a truncate
 * has cut off, and not taken out yet, stays dirty until it does. Returns whether there were some.
 */
static bool take_blocks(struct pass *pass, const struct pick *pick, struct tail *tail)
{
    struct folio *folio = pick->folio;
    const struct user_cache *cache = pass->cache;
    const int64_t start = (int64_t)(folio->index << cache->shift);
    const int64_t size = user_size_(cache);
    const uint32_t dirty = __atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE);
    uint32_t blocks = dirty & pick->blocks & blocks_of_file(cache, start, size);
    const bool some = blocks != 0;

    __atomic_store_n(&folio->dirty, (dirty & ~blocks) | blocks << 16, __ATOMIC_RELEASE);
    while (blocks) {
        const uint32_t first = (uint32_t)__builtin_ctz(blocks);
        uint32_t count = (uint32_t)__builtin_ctz(~(blocks >> first));
        const int64_t end = start + (int64_t)(first + count) * FOLIO_BLOCK;

        blocks &= ~folio_blocks(first * FOLIO_BLOCK, (first + count) * FOLIO_BLOCK);
        if (end > size) {
            const uint32_t within = (first + --count) * FOLIO_BLOCK;

            memcpy(tail->data, folio->data + within, FOLIO_BLOCK);
            tail->part = (struct part){.folio = folio, .blocks = folio_blocks(within, within + 1)};
            tail->offset = start + within;
            tail->length = (size_t)(size - tail->offset);
        }
        if (count > 0)
            batch_add_(pass, folio, first, count);
    }
    return some;
}

/* Passes. */

static int compare_picks(const void *a, const void *b)
{
    const uint64_t x = ((const struct pick *)a)->index;
    const uint64_t y = ((const struct pick *)b)->index;

    return x < y ? -1 : x > y;
}

/* Nobody waits for a lock with a batch that is not on its way: others may wait for what is in it. */
static void lock_folio(struct pass *pass, struct folio *folio)
{
    if (folio_try_lock_(folio, TWOSTATE_EXCLUSIVE))
        return;
    batch_submit_(pass, false);
    folio_lock_(folio, TWOSTATE_EXCLUSIVE);
}

static bool has_something_to_write(struct pass *pass, const struct pick *pick)
{
    struct folio *folio = pick->folio;
    uint32_t dirty = __atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE);

    if (folio->owner != pass->cache || folio->index != pick->index)
        return false;
    if (dirty & FOLIO_WRITING) {
        if (!pass->patient)
            return false;
        batch_submit_(pass, false);
        dirty_settle_(pass->cache, folio, FOLIO_DIRTY);
        dirty = __atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE);
    }
    return (dirty & pick->blocks) != 0;
}

/* Returns whether there was something to write. */
static bool write_folio(struct pass *pass, const struct pick *pick)
{
    struct tail tail = {.part = {.folio = NULL}};
    bool some = false;
    int error = 0;

    batch_have_room_(pass);
    lock_folio(pass, pick->folio);
    if (has_something_to_write(pass, pick))
        some = take_blocks(pass, pick, &tail);
    folio_unlock_(pick->folio, TWOSTATE_EXCLUSIVE);
    if (tail.part.folio) {
        dirty_set_out_(pass->cache); /* it may make the file on disk longer */
        error = write_tail(pass->cache, &tail);
        pthread_mutex_lock(&pass->cache->unwritten);
        batch_parts_done_(pass, &tail.part, 1, error);
        dirty_arrived_(pass->cache);
        pthread_mutex_unlock(&pass->cache->unwritten);
    }
    return some;
}

/* Waits for all of it. Bytes, or the first error; that only if nothing else was written, if not
   patient. */
static int64_t pass_finish(struct pass *pass)
{
    struct user_cache *cache = pass->cache;

    batch_submit_(pass, true);
    pthread_mutex_lock(&cache->unwritten);
    while (pass->pending > 0)
        pthread_cond_wait(&cache->written, &cache->unwritten);
    pthread_mutex_unlock(&cache->unwritten);
    return pass->error && (pass->patient || pass->bytes == 0) ? pass->error : (int64_t)pass->bytes;
}

/* The block that holds the end of file on disk, if there is one and the file goes on behind it. */
static bool find_end(struct user_cache *cache, struct pick *pick)
{
    const int64_t end = cache->block_device ? 0 : user_disk_size_(cache);

    if (end <= 0 || end % FOLIO_BLOCK == 0 || user_size_(cache) <= user_round_up_(end))
        return false;
    pick->index = user_folio_of_(cache, end);
    pick->blocks = user_blocks_in_(cache, pick->index, end, end + 1);
    pick->folio = index_next_(&cache->index, pick->index, pick->index, &pick->index);
    return pick->folio && (__atomic_load_n(&pick->folio->dirty, __ATOMIC_ACQUIRE) &
                           (pick->blocks | pick->blocks << 16));
}

static void write_alone(struct user_cache *cache, const struct pick *pick)
{
    struct pass pass = {.cache = cache, .patient = true};

    (void)write_folio(&pass, pick);
    (void)pass_finish(&pass);
}

bool writeback_end_first_(struct user_cache *cache, bool nowait)
{
    struct pick pick;

    if (!find_end(cache, &pick))
        return true;
    if (!nowait)
        write_alone(cache, &pick);
    return !nowait;
}

/* Starts to write what was picked. Returns whether there was something to write. */
static bool pass_write(struct pass *pass, struct pick *picks, unsigned count)
{
    struct pick end;
    bool some = false;

    if (find_end(pass->cache, &end)) {
        batch_submit_(pass, false);
        write_alone(pass->cache, &end);
    }
    qsort(picks, count, sizeof(*picks), compare_picks);
    for (unsigned i = 0; i < count; i++)
        some = write_folio(pass, &picks[i]) || some;
    return some;
}

static int64_t write_picks(struct user_cache *cache, struct pick *picks, unsigned count,
                           bool patient)
{
    struct pass pass = {.cache = cache, .patient = patient};

    (void)pass_write(&pass, picks, count);
    return pass_finish(&pass);
}

int writeback_range_(struct user_cache *cache, int64_t from, int64_t to)
{
    const uint64_t last = user_folio_of_(cache, to - 1);
    uint64_t first = user_folio_of_(cache, from);
    struct pick picks[PICKS];
    struct folio *folio = NULL;
    int error = 0;

    do {
        int64_t result = 0;
        unsigned count = 0;

        while (count < PICKS && first <= last) {
            uint64_t number = 0;

            folio = index_next_(&cache->index, first, last, &number);
            if (folio == NULL)
                break;
            if (dirty_in_(cache, folio, number, from, to))
                picks[count++] = (struct pick){.index = number,
                                               .folio = folio,
                                               .blocks = user_blocks_in_(cache, number, from, to)};
            first = number + 1;
        }
        result = write_picks(cache, picks, count, true);
        if (result < 0 && error == 0)
            error = (int)result;
    } while (folio && first <= last);
    return error;
}

/* Of what is not on disk, the oldest that became dirty before. */
static unsigned pick_oldest(struct user_cache *cache, struct pick *picks, unsigned most,
                            uint64_t syncs, int64_t since, bool patient)
{
    struct cds_list_head *node;
    unsigned count = 0;

    pthread_mutex_lock(&cache->unwritten);
    /* By nodes: the list's head is no folio, and not where one could be. */
    cds_list_for_each(node, &cache->not_on_disk)
    {
        struct folio *folio = cds_list_entry(node, struct folio, node);
        const uint32_t dirty = __atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE);

        if (count == most)
            break;
        if (folio->dirtied <= syncs && folio->since <= since &&
            (patient || (dirty & FOLIO_WRITING) == 0))
            picks[count++] =
                (struct pick){.index = folio->index, .folio = folio, .blocks = FOLIO_DIRTY};
    }
    pthread_mutex_unlock(&cache->unwritten);
    return count;
}

static bool failed(struct pass *pass)
{
    bool result = false;

    pthread_mutex_lock(&pass->cache->unwritten);
    result = pass->error != 0;
    pthread_mutex_unlock(&pass->cache->unwritten);
    return result;
}

/* What nobody is writing, without a pause between the picks. 0 or the first error. */
static int write_idle(struct user_cache *cache, struct pick *picks, unsigned most, uint64_t syncs)
{
    struct pass pass = {.cache = cache};
    unsigned count = 0;

    do {
        count = pick_oldest(cache, picks, most, syncs, INT64_MAX, false);
    } while (pass_write(&pass, picks, count) && !failed(&pass));
    (void)pass_finish(&pass);
    return pass.error;
}

/* What became dirty before a sync began that has this number. */
static int write_before(struct user_cache *cache, struct pick *picks, unsigned most, uint64_t syncs)
{
    int64_t result = write_idle(cache, picks, most, syncs);
    unsigned count = 0;

    while (result >= 0 && (count = pick_oldest(cache, picks, most, syncs, INT64_MAX, true)) > 0)
        result = write_picks(cache, picks, count, true);
    return result < 0 ? (int)result : 0;
}

/* The more is sorted at once, the more of it is in the order of the file. */
int writeback_all_(struct user_cache *cache)
{
    const int saved = errno;
    struct pick few[PICKS];
    struct pick *many = malloc(SYNC_PICKS * sizeof(*many));
    uint64_t syncs = 0;
    int result = 0;

    errno = saved;
    pthread_mutex_lock(&cache->unwritten);
    syncs = cache->syncs++;
    pthread_mutex_unlock(&cache->unwritten);
    result = write_before(cache, many ? many : few, many ? SYNC_PICKS : PICKS, syncs);
    free(many);
    if (result < 0) /* what can be written is, whatever comes of the rest */
        (void)writeback_range_(cache, 0, INT64_MAX);
    return result;
}

int64_t writeback_some_(struct user_cache *cache, int64_t since)
{
    struct pick picks[PICKS];
    const unsigned count = pick_oldest(cache, picks, PICKS, UINT64_MAX, since, false);

    return write_picks(cache, picks, count, false);
}
