/* SPDX-License-Identifier: MIT */
/*
 * The concurrent form is a load of the command twostate-io, driven in a way of its own: every flag,
 * pieces of memory, requests with and without waiting, and an engine that is short of everything.
 */
#include "threads.h"
#include "driver.h"
#include "load.h"
#include "memory.h"
#include "reorder.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPS_MOST 3000

struct fuzz_file {
    struct driver_file head;
    struct twostate_engine *engine;
    struct twostate_file *file;
    struct reorder *reorder;
};

/* The run of this process; the driver's functions have no other way to it. */
static struct {
    struct setup setup;
    struct report *report;
    uint64_t numbers; /* of transfers: what is random about each; atomic */
} run;

static struct twostate_file *file_of(struct driver_file *file)
{
    return ((struct fuzz_file *)file)->file;
}

static int fuzz_open(const char *path, const struct driver_options *options,
                     struct driver_file **file)
{
    const struct setup *s = &run.setup;
    const struct twostate_engine_options engine = {
        .backend = options->backend,
        .queue_depth = (unsigned)s->queue_depth,
        .workers = (unsigned)s->workers,
        .cache_bytes = (uint64_t)s->cache_bytes,
        .dirty_percent = (unsigned)s->dirty_percent,
        .writeback_ms = (unsigned)s->writeback_ms,
    };
    const struct twostate_file_options how = {.cache = (enum twostate_cache)s->cache,
                                              .folio = (unsigned)s->folio};
    struct fuzz_file *own = zalloc(1, sizeof(*own));
    struct twostate_file_stat stat = {0};
    int error = twostate_engine_create(&engine, &own->engine);

    if (error == 0 && s->reorder)
        own->reorder = reorder_enter(own->engine, (uint64_t)s->reorder);
    if (error == 0)
        error = twostate_file_open_with(own->engine, path, O_RDWR, 0, &how, &own->file);
    if (error == 0)
        error = twostate_stat(own->file, &stat);
    if (error == 0 && own->reorder)
        reorder_cut(own->reorder, stat.direct_offset);
    *file = &own->head;
    return error;
}

static int fuzz_close(struct driver_file *file)
{
    struct fuzz_file *own = (struct fuzz_file *)file;
    int error = twostate_file_close(own->file);

    if (own->reorder)
        reorder_leave(own->reorder);
    if (error == 0)
        error = twostate_engine_destroy(own->engine);
    free(own);
    return error;
}

/* Who waits for requests. */
struct batch {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned pending;
};

struct member {
    struct batch *batch;
    struct request *request;
    struct iovec iov[3];
    unsigned flags;
    bool async;
};

static void member_end(struct member *member, int64_t result)
{
    struct batch *batch = member->batch;

    report_step(run.report, 0);
    request_end(member->request, result, twostate_waited_ns());
    pthread_mutex_lock(&batch->mutex);
    if (--batch->pending == 0)
        pthread_cond_signal(&batch->changed);
    pthread_mutex_unlock(&batch->mutex);
}

static void member_done(void *arg, ssize_t result)
{
    member_end(arg, result);
}

/* A write that went halfway because of NOWAIT would be two, so only reads have it. */
static void member_choose(struct member *member)
{
    struct request *r = member->request;
    uint64_t random = __atomic_add_fetch(&run.numbers, 1, __ATOMIC_RELAXED);
    size_t first = 0;

    member->flags = (r->direct ? TWOSTATE_IO_DIRECT : 0U);
    member->flags |= random_below(&random, 5) ? 0U : (unsigned)TWOSTATE_IO_DONTCACHE;
    if (r->write)
        member->flags |= random_below(&random, 50) ? 0U : (unsigned)TWOSTATE_IO_DSYNC;
    else
        member->flags |= random_below(&random, 5) ? 0U : (unsigned)TWOSTATE_IO_NOWAIT;
    member->async = random_below(&random, 2);
    first = random_below(&random, 2) ? 0 : random_below(&random, (uint32_t)r->length);
    if (random_below(&random, 2))
        first = first / 512 * 512;
    member->iov[0] = (struct iovec){r->buffer, first};
    member->iov[1] = (struct iovec){NULL, 0};
    member->iov[2] = (struct iovec){(char *)r->buffer + first, r->length - first};
}

static int64_t member_run(struct driver_file *file, const struct member *m)
{
    const struct request *r = m->request;

    return r->write ? twostate_pwritev(file_of(file), m->iov, 3, r->offset, m->flags)
                    : twostate_preadv(file_of(file), m->iov, 3, r->offset, m->flags);
}

static void member_start(struct driver_file *file, struct member *m)
{
    const struct request *r = m->request;
    int64_t result = 0;

    if (m->async && !(m->flags & TWOSTATE_IO_NOWAIT)) {
        result = r->write ? twostate_pwritev_async(file_of(file), m->iov, 3, r->offset, m->flags,
                                                   member_done, m)
                          : twostate_preadv_async(file_of(file), m->iov, 3, r->offset, m->flags,
                                                  member_done, m);
        if (result)
            member_end(m, result);
        return;
    }
    result = member_run(file, m);
    if ((m->flags & TWOSTATE_IO_NOWAIT) && result != (int64_t)r->length) {
        m->flags &= ~(unsigned)TWOSTATE_IO_NOWAIT;
        result = member_run(file, m);
    }
    member_end(m, result);
}

static void fuzz_transfer(struct driver_file *file, struct request *requests, unsigned count)
{
    struct batch batch = {.pending = count};
    struct member *members = zalloc(count, sizeof(*members));

    pthread_mutex_init(&batch.mutex, NULL);
    pthread_cond_init(&batch.changed, NULL);
    for (unsigned i = 0; i < count; i++) {
        members[i] = (struct member){.batch = &batch, .request = &requests[i]};
        member_choose(&members[i]);
        member_start(file, &members[i]);
    }
    pthread_mutex_lock(&batch.mutex);
    while (batch.pending > 0)
        pthread_cond_wait(&batch.changed, &batch.mutex);
    pthread_mutex_unlock(&batch.mutex);
    pthread_cond_destroy(&batch.changed);
    pthread_mutex_destroy(&batch.mutex);
    free(members);
}

static int64_t fuzz_append(struct driver_file *file, const void *buffer, size_t length, bool direct,
                           int64_t *offset)
{
    const struct iovec iov = {(void *)(uintptr_t)buffer, length};

    report_step(run.report, 0);
    return twostate_append(file_of(file), &iov, 1, direct ? TWOSTATE_IO_DIRECT : 0, offset);
}

static int fuzz_truncate(struct driver_file *file, int64_t length)
{
    report_step(run.report, 0);
    return twostate_truncate(file_of(file), length);
}

static int fuzz_punch(struct driver_file *file, int64_t offset, int64_t length)
{
    report_step(run.report, 0);
    return twostate_fallocate(file_of(file), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                              length);
}

static int64_t fuzz_remap(struct driver_file *file, int64_t from, int64_t to, int64_t length)
{
    report_step(run.report, 0);
    return twostate_remap(file_of(file), from, file_of(file), to, length);
}

static int fuzz_fsync(struct driver_file *file)
{
    report_step(run.report, 0);
    return twostate_fsync(file_of(file));
}

static int64_t fuzz_size(struct driver_file *file)
{
    struct twostate_file_stat stat;
    const int error = twostate_stat(file_of(file), &stat);

    return error ? error : stat.size;
}

static const struct driver fuzz_driver = {
    .name = "fuzz",
    .open = fuzz_open,
    .transfer = fuzz_transfer,
    .append = fuzz_append,
    .truncate = fuzz_truncate,
    .punch = fuzz_punch,
    .remap = fuzz_remap,
    .fsync = fuzz_fsync,
    .size = fuzz_size,
    .waited_ns = twostate_waited_ns,
    .close = fuzz_close,
};

static void choose_layout(uint64_t *random, struct layout_options *layout)
{
    const uint32_t sizes[] = {512, 4096, 8192, 12288, 65536, 262144, MIB};

    layout->block_size_count = 1 + random_below(random, 3);
    for (unsigned i = 0; i < layout->block_size_count; i++)
        layout->block_sizes[i] = sizes[random_below(random, 7)];
    layout->size = (1 + random_below(random, 12)) * MIB;
    layout->unaligned_pct = random_below(random, 2) * 30;
}

/* Threads of a few kinds each time, so that there are several of one; but always a writer. */
static void choose_threads(uint64_t *random, unsigned count, struct load_options *options)
{
    const double rates[KIND_COUNT] = {0, 0, 0, 0, 500, 30, 200, 200, 30};
    unsigned kinds[3];

    for (unsigned i = 0; i < 3; i++)
        kinds[i] = random_below(random, KIND_COUNT);
    options->threads[random_below(random, 2) ? KIND_BUFFERED_WRITE : KIND_DIRECT_WRITE] = 1;
    while (--count > 0)
        options->threads[random_below(random, 3) ? kinds[random_below(random, 3)]
                                                 : random_below(random, KIND_APPEND)]++;
    if (random_below(random, 2))
        memcpy(options->rate, rates, sizeof(rates));
    options->layout.private_slots = options->threads[KIND_REMAP];
}

static void judge(const struct load_result *result)
{
    char found[300] = "";
    size_t length = 0;

    for (unsigned i = 0; i < KIND_COUNT; i++) {
        const struct kind_result *k = &result->kinds[i];

        if (k->errors + k->found[FOUND_TORN] + k->found[FOUND_STALE] + k->found[FOUND_LOST] == 0)
            continue;
        length += (size_t)snprintf(
            found + length, sizeof(found) - length,
            " %s: errors %llu (%d) torn %llu stale %llu lost %llu", kind_names[i],
            (unsigned long long)k->errors, k->error, (unsigned long long)k->found[FOUND_TORN],
            (unsigned long long)k->found[FOUND_STALE], (unsigned long long)k->found[FOUND_LOST]);
        if (length >= sizeof(found))
            break;
    }
    if (found[0] || result->unchecked || result->fsync_eio)
        report_fail(run.report, "unchecked %d, fsync failed %llu,%s", result->unchecked,
                    (unsigned long long)result->fsync_eio, found);
}

void threads_run(void *arg, struct report *report)
{
    const struct threads_run *wanted = arg;
    const char *path = wanted->place->path;
    uint64_t random = wanted->seed;
    struct script *script = zalloc(1, sizeof(*script));
    struct load_options options = {.depth = 1 + random_below(&random, 8), .seed = wanted->seed};
    struct load_result *result = zalloc(1, sizeof(*result));
    char name[64];
    int error = 0;

    script_make(script, wanted->seed, wanted->choice, 0);
    run.setup = script->setup;
    run.report = report;
    run.numbers = wanted->seed;
    choose_layout(&random, &options.layout);
    choose_threads(&random, wanted->threads, &options);
    options.driver.backend = (enum twostate_backend)run.setup.backend;
    options.ops = 1 + random_below(&random, OPS_MOST);
    if (path == NULL) {
        (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", world_unnamed_file());
        path = name;
    }
    error = load_run(path, &fuzz_driver, &options, result);
    if (error)
        report_fail(report, "no run: %s", strerror(-error));
    judge(result);
    free(result);
    free(script);
}
