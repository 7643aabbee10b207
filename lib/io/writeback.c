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
#include "user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urcu/compiler.h>

#define MOST_BATCHES 8
#define MOST_BATCH   1048576U /* bytes */
#define LEAST_BATCH  FOLIO_MOST_SIZE
#define MOST_WRITES  (MOST_BATCH / FOLIO_BLOCK) /* in a batch */
#define PICKS        512

/* What one call writes. */
struct pass {
    struct user_cache *cache;
    struct batch *batch; /* being filled, or NULL */
    bool patient;        /* waits for what others are writing, and writes what is dirty then */
    unsigned pending;    /* batches on their way, and */
    int error;           /* the first; under the cache's `unwritten`, as the next */
    uint64_t bytes;      /* written */
};

/* Some blocks of a folio, in a write. */
struct part {
    struct folio *folio;
    uint32_t blocks;
};

/* One contiguous write of a batch. */
struct write {
    struct backend_op op;
    struct iovec iov;
    struct batch *batch;
    unsigned first_part;
    unsigned parts;
};

struct batch {
    struct cds_list_head node;
    struct pass *pass;
    char *buffer;
    uint32_t size;
    uint32_t used;
    unsigned writes;
    unsigned parts;
    unsigned pending; /* writes, and the submitter; atomic */
    struct write write[MOST_WRITES];
    struct part part[MOST_WRITES];
};

/* What is on disk, and what is not. */

static void unlist(struct user_cache *cache, struct folio *folio)
{
    cds_list_del(&folio->node);
    folio->listed = false;
    __atomic_sub_fetch(&cache->user->dirty, cache->folio, __ATOMIC_RELAXED);
}

void writeback_dirtied_(struct user_cache *cache, struct folio *folio, uint32_t blocks)
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

void writeback_settle_(struct user_cache *cache, struct folio *folio, uint32_t blocks)
{
    pthread_mutex_lock(&cache->unwritten);
    settle(cache, folio, blocks);
    pthread_mutex_unlock(&cache->unwritten);
}

void writeback_forget_(struct user_cache *cache, struct folio *folio, uint32_t blocks)
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

void writeback_hold_(struct user_cache *cache)
{
    pthread_mutex_lock(&cache->unwritten);
    cache->held_back++;
    while (cache->on_way > 0)
        pthread_cond_wait(&cache->written, &cache->unwritten);
    pthread_mutex_unlock(&cache->unwritten);
}

void writeback_go_on_(struct user_cache *cache)
{
    pthread_mutex_lock(&cache->unwritten);
    cache->held_back--;
    pthread_cond_broadcast(&cache->written);
    pthread_mutex_unlock(&cache->unwritten);
}

/*
 * The write of a part has ended. `unwritten` is held, but not the folio's lock: it may be evicted as
 * soon as it is clean, so it leaves the list before. Who makes it dirty meanwhile lists it again.
 */
static void part_done(struct user_cache *cache, const struct part *part, bool failed)
{
    const uint32_t written = part->blocks << 16;
    struct folio *folio = part->folio;
    uint32_t left = 0;

    if (failed) {
        folio->again = folio->dirtied;
        __atomic_fetch_or(&folio->dirty, part->blocks, __ATOMIC_ACQ_REL);
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

static void parts_done(struct pass *pass, const struct part *parts, unsigned count, int error)
{
    for (unsigned i = 0; i < count; i++) {
        part_done(pass->cache, &parts[i], error != 0);
        if (error == 0)
            pass->bytes += (uint64_t)__builtin_popcount(parts[i].blocks) * FOLIO_BLOCK;
    }
    if (error && pass->error == 0)
        pass->error = error;
    if (pass->cache->settling > 0) /* those who wait for a whole batch are woken by its end */
        pthread_cond_broadcast(&pass->cache->written);
    arena_cleaned_(pass->cache->user->arena);
}

/* Batches. */

static void batch_return(struct user_engine *user, struct batch *batch)
{
    pthread_mutex_lock(&user->mutex);
    cds_list_add(&batch->node, &user->batches);
    pthread_cond_signal(&user->batch_free);
    pthread_mutex_unlock(&user->mutex);
}

/* Those who have one give it back without waiting for anything but the disk. */
static struct batch *batch_get(struct pass *pass)
{
    struct user_engine *user = pass->cache->user;
    struct batch *batch = NULL;

    pthread_mutex_lock(&user->mutex);
    while (cds_list_empty(&user->batches))
        pthread_cond_wait(&user->batch_free, &user->mutex);
    batch = cds_list_first_entry(&user->batches, struct batch, node);
    cds_list_del(&batch->node);
    pthread_mutex_unlock(&user->mutex);
    batch->pass = pass;
    batch->used = batch->writes = batch->parts = 0;
    return batch;
}

/* The last of its users. The pass may be gone once its mutex is given back. */
static void batch_drop(struct batch *batch)
{
    struct pass *pass = batch->pass;
    struct user_cache *cache = pass->cache;

    if (__atomic_sub_fetch(&batch->pending, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    batch_return(cache->user, batch);
    pthread_mutex_lock(&cache->unwritten);
    pass->pending--;
    cache->on_way--;
    if (pass->pending == 0 || cache->on_way == 0)
        pthread_cond_broadcast(&cache->written);
    pthread_mutex_unlock(&cache->unwritten);
}

/* In the backend's thread. */
static void write_done(struct backend_op *op)
{
    struct write *write = caa_container_of(op, struct write, op);
    struct batch *batch = write->batch;
    struct pass *pass = batch->pass;
    struct user_engine *user = pass->cache->user;
    const int64_t result = op->result;

    if (result > 0) {
        op->offset += result;
        write->iov.iov_base = (char *)write->iov.iov_base + result;
        write->iov.iov_len -= (size_t)result;
        __atomic_add_fetch(&user->written_back, (uint64_t)result, __ATOMIC_RELAXED);
    }
    if ((result > 0 && write->iov.iov_len > 0) || result == -EINTR) {
        user->backend->ops->submit(user->backend, op);
        return;
    }
    pthread_mutex_lock(&pass->cache->unwritten);
    parts_done(pass, &batch->part[write->first_part], write->parts,
               result > 0 ? 0 : (result < 0 ? (int)result : -EIO));
    pthread_mutex_unlock(&pass->cache->unwritten);
    batch_drop(batch);
}

/* Whoever waits for one write, and no other, is faster without the backend's threads. */
static void write_here(struct write *write)
{
    write->op.result = backend_run_(&write->op);
    write_done(&write->op);
}

static void batch_submit(struct pass *pass, bool last)
{
    struct batch *batch = pass->batch;
    CDS_LIST_HEAD(ops);
    bool alone = false;

    pass->batch = NULL;
    if (batch == NULL)
        return;
    if (batch->writes == 0) {
        batch_return(pass->cache->user, batch);
        return;
    }
    pthread_mutex_lock(&pass->cache->unwritten);
    while (pass->cache->held_back > 0)
        pthread_cond_wait(&pass->cache->written, &pass->cache->unwritten);
    alone = last && pass->pending == 0 && batch->writes == 1;
    pass->pending++;
    pass->cache->on_way++;
    pthread_mutex_unlock(&pass->cache->unwritten);
    batch->pending = batch->writes + 1;
    for (unsigned i = 0; i < batch->writes; i++)
        cds_list_add_tail(&batch->write[i].op.job.node, &ops);
    if (alone)
        write_here(&batch->write[0]);
    else
        backend_submit_all_(pass->cache->user->backend, &ops);
    batch_drop(batch);
}

/* A place in the batch's last write, if it goes on there; else in a new one. */
static struct write *write_at(struct batch *batch, int64_t offset)
{
    struct write *last = batch->writes ? &batch->write[batch->writes - 1] : NULL;

    if (last && last->op.offset + (int64_t)last->iov.iov_len == offset)
        return last;
    last = &batch->write[batch->writes++];
    *last = (struct write){
        .op = {.fd = batch->pass->cache->direct_fd,
               .offset = offset,
               .count = 1,
               .write = true,
               .done = write_done},
        .iov = {.iov_base = batch->buffer + batch->used},
        .batch = batch,
        .first_part = batch->parts,
    };
    last->op.iov = &last->iov;
    return last;
}

/* Copies adjacent whole blocks of a folio, which is locked, into the batch. */
static void batch_add(struct batch *batch, struct folio *folio, uint32_t first, uint32_t count)
{
    const struct user_cache *cache = batch->pass->cache;
    const uint32_t length = count * FOLIO_BLOCK;
    const uint32_t within = first * FOLIO_BLOCK;
    struct write *write =
        write_at(batch, (int64_t)(folio->index << cache->shift) + (int64_t)within);

    memcpy(batch->buffer + batch->used, folio->data + within, length);
    batch->used += length;
    write->iov.iov_len += length;
    write->parts++;
    batch->part[batch->parts++] =
        (struct part){.folio = folio, .blocks = folio_blocks(within, within + length)};
}

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
            batch_add(pass->batch, folio, first, count);
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
    if (twostate_iolock_try_acquire(&folio->lock, TWOSTATE_EXCLUSIVE))
        return;
    batch_submit(pass, false);
    twostate_iolock_acquire(&folio->lock, TWOSTATE_EXCLUSIVE);
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
        batch_submit(pass, false);
        writeback_settle_(pass->cache, folio, FOLIO_DIRTY);
        dirty = __atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE);
    }
    return (dirty & pick->blocks) != 0;
}

static void have_room(struct pass *pass)
{
    struct batch *batch = pass->batch;

    if (batch && batch->size - batch->used < pass->cache->folio)
        batch_submit(pass, false);
}

/* Returns whether there was something to write. */
static bool write_folio(struct pass *pass, const struct pick *pick)
{
    struct tail tail = {.part = {.folio = NULL}};
    bool some = false;
    int error = 0;

    have_room(pass);
    lock_folio(pass, pick->folio);
    if (has_something_to_write(pass, pick)) {
        if (pass->batch == NULL)
            pass->batch = batch_get(pass);
        some = take_blocks(pass, pick, &tail);
    }
    twostate_iolock_release(&pick->folio->lock, TWOSTATE_EXCLUSIVE);
    if (tail.part.folio) {
        error = write_tail(pass->cache, &tail);
        pthread_mutex_lock(&pass->cache->unwritten);
        parts_done(pass, &tail.part, 1, error);
        pthread_mutex_unlock(&pass->cache->unwritten);
    }
    return some;
}

/* Waits for all of it. Bytes, or the first error; that only if nothing else was written, if not
   patient. */
static int64_t pass_finish(struct pass *pass)
{
    struct user_cache *cache = pass->cache;

    batch_submit(pass, true);
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
        batch_submit(pass, false);
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

/* Of the blocks of a folio that [from, to) touches, those that are not on disk. */
static uint32_t not_on_disk(const struct user_cache *cache, const struct folio *folio,
                            uint64_t number, int64_t from, int64_t to)
{
    const uint32_t dirty = __atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE);

    return (dirty | dirty >> 16) & user_blocks_in_(cache, number, from, to);
}

bool writeback_clean_(struct user_cache *cache, int64_t from, int64_t to)
{
    const uint64_t last = user_folio_of_(cache, to - 1);

    for (uint64_t number = user_folio_of_(cache, from); number <= last; number++) {
        const struct folio *folio = index_next_(&cache->index, number, last, &number);

        if (folio == NULL)
            return true;
        if (not_on_disk(cache, folio, number, from, to))
            return false;
    }
    return true;
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
            if (not_on_disk(cache, folio, number, from, to))
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
static unsigned pick_oldest(struct user_cache *cache, struct pick *picks, uint64_t syncs,
                            int64_t since, bool patient)
{
    struct cds_list_head *node;
    unsigned count = 0;

    pthread_mutex_lock(&cache->unwritten);
    /* By nodes: the list's head is no folio, and not where one could be. */
    cds_list_for_each(node, &cache->not_on_disk)
    {
        struct folio *folio = cds_list_entry(node, struct folio, node);
        const uint32_t dirty = __atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE);

        if (count == PICKS)
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
static int write_idle(struct user_cache *cache, struct pick *picks, uint64_t syncs)
{
    struct pass pass = {.cache = cache};
    unsigned count = 0;

    do {
        count = pick_oldest(cache, picks, syncs, INT64_MAX, false);
    } while (pass_write(&pass, picks, count) && !failed(&pass));
    (void)pass_finish(&pass);
    return pass.error;
}

int writeback_all_(struct user_cache *cache)
{
    struct pick picks[PICKS];
    uint64_t syncs = 0;
    unsigned count = 0;
    int64_t result = 0;

    pthread_mutex_lock(&cache->unwritten);
    syncs = cache->syncs++;
    pthread_mutex_unlock(&cache->unwritten);
    result = write_idle(cache, picks, syncs);
    while (result >= 0 && (count = pick_oldest(cache, picks, syncs, INT64_MAX, true)) > 0)
        result = write_picks(cache, picks, count, true);
    if (result < 0) /* what can be written is, whatever comes of the rest */
        (void)writeback_range_(cache, 0, INT64_MAX);
    return result < 0 ? (int)result : 0;
}

int64_t writeback_some_(struct user_cache *cache, int64_t since)
{
    struct pick picks[PICKS];
    const unsigned count = pick_oldest(cache, picks, UINT64_MAX, since, false);

    return write_picks(cache, picks, count, false);
}

/* Their memory is 2.5 % of the budget at most, but for the smallest. */
int writeback_create_(struct user_engine *user)
{
    const uint64_t memory = user->options.bytes / 40;
    const uint32_t size = memory < LEAST_BATCH  ? LEAST_BATCH
                          : memory < MOST_BATCH ? (uint32_t)memory / FOLIO_BLOCK * FOLIO_BLOCK
                                                : MOST_BATCH;

    for (unsigned i = 0; i < MOST_BATCHES && (i == 0 || (i + 1) * (uint64_t)size <= memory); i++) {
        struct batch *batch = calloc(1, sizeof(*batch));

        if (batch)
            cds_list_add(&batch->node, &user->batches);
        if (batch == NULL || posix_memalign((void **)&batch->buffer, FOLIO_BLOCK, size))
            return -ENOMEM;
        batch->size = size;
    }
    return 0;
}

void writeback_destroy_(struct user_engine *user)
{
    struct batch *batch = NULL;
    struct batch *next = NULL;

    cds_list_for_each_entry_safe(batch, next, &user->batches, node)
    {
        free(batch->buffer);
        free(batch);
    }
}
