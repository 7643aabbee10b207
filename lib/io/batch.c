/* SPDX-License-Identifier: MIT */
/* Batches: blocks that are copied out of their folios and leave for the disk together. */
#include "batch.h"
#include "dirty.h"
#include "user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <urcu/compiler.h>

#define MOST_BATCHES 8
#define MOST_BATCH   1048576U /* bytes */
#define LEAST_BATCH  FOLIO_MOST_SIZE
#define MOST_WRITES  (MOST_BATCH / FOLIO_BLOCK) /* in a batch */
#define HUGE_PAGE    2097152                    /* bytes; where they are larger there are none */

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

void batch_parts_done_(struct pass *pass, const struct part *parts, unsigned count, int error)
{
    for (unsigned i = 0; i < count; i++) {
        dirty_done_(pass->cache, parts[i].folio, parts[i].blocks, error != 0);
        if (error == 0)
            pass->bytes += (uint64_t)__builtin_popcount(parts[i].blocks) * FOLIO_BLOCK;
    }
    if (error && pass->error == 0)
        pass->error = error;
    if (pass->cache->settling > 0) /* those who wait for a whole batch are woken by its end */
        pthread_cond_broadcast(&pass->cache->written);
    arena_cleaned_(pass->cache->user->arena);
}

static void batch_return(struct user_engine *user, struct batch *batch)
{
    pthread_mutex_lock(&user->mutex);
    cds_list_add(&batch->node, &user->batches);
    pthread_cond_signal(&user->batch_free);
    pthread_mutex_unlock(&user->mutex);
}

static struct batch *take(struct user_engine *user)
{
    struct batch *batch = NULL;

    pthread_mutex_lock(&user->mutex);
    while (cds_list_empty(&user->batches))
        pthread_cond_wait(&user->batch_free, &user->mutex);
    batch = cds_list_first_entry(&user->batches, struct batch, node);
    cds_list_del(&batch->node);
    pthread_mutex_unlock(&user->mutex);
    return batch;
}

/* Those who have one give it back without waiting for anything but the disk. */
static struct batch *begun(struct pass *pass)
{
    if (pass->batch == NULL) {
        pass->batch = take(pass->cache->user);
        pass->batch->pass = pass;
        pass->batch->used = pass->batch->writes = pass->batch->parts = 0;
    }
    return pass->batch;
}

void batch_have_room_(struct pass *pass)
{
    struct batch *batch = pass->batch;

    if (batch && batch->size - batch->used < pass->cache->folio)
        batch_submit_(pass, false);
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
    batch_parts_done_(pass, &batch->part[write->first_part], write->parts,
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

void batch_submit_(struct pass *pass, bool last)
{
    struct batch *batch = pass->batch;
    CDS_LIST_HEAD(ops);
    bool alone = false;

    pass->batch = NULL;
    if (batch == NULL)
        return;
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

void batch_add_(struct pass *pass, struct folio *folio, uint32_t first, uint32_t count)
{
    struct batch *batch = begun(pass);
    const struct user_cache *cache = pass->cache;
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

/*
 * Their memory is 2.5 % of the budget at most, but for the smallest. Huge pages save what the kernel does for
 * each page of a write, and few writes are split: a request to the disk has at most so many pieces.
 */
int batches_create_(struct user_engine *user)
{
    const uint64_t memory = user->options.bytes / 40;
    const uint32_t size = memory < LEAST_BATCH  ? LEAST_BATCH
                          : memory < MOST_BATCH ? (uint32_t)memory / FOLIO_BLOCK * FOLIO_BLOCK
                                                : MOST_BATCH;
    const uint64_t fit = memory < size ? 1 : memory / size;
    const size_t count = fit < MOST_BATCHES ? (size_t)fit : MOST_BATCHES;

    if (posix_memalign(&user->batch_memory, HUGE_PAGE, count * size))
        return -ENOMEM;
    madvise(user->batch_memory, count * size, MADV_HUGEPAGE);
    for (size_t i = 0; i < count; i++) {
        struct batch *batch = calloc(1, sizeof(*batch));

        if (batch == NULL)
            return -ENOMEM;
        batch->buffer = (char *)user->batch_memory + i * size;
        batch->size = size;
        cds_list_add(&batch->node, &user->batches);
    }
    return 0;
}

void batches_destroy_(struct user_engine *user)
{
    struct batch *batch = NULL;
    struct batch *next = NULL;

    cds_list_for_each_entry_safe(batch, next, &user->batches, node) free(batch);
    free(user->batch_memory);
}
