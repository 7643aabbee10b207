/* SPDX-License-Identifier: MIT */
/* The two drivers `twostate`: the engine, with the kernel's page cache and with its own. */
#include "driver.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct twostate_driver_file {
    struct driver_file head;
    struct twostate_engine *engine;
    struct twostate_file *file;
};

static struct twostate_file *file_of(struct driver_file *file)
{
    return ((struct twostate_driver_file *)file)->file;
}

static int open_file(struct twostate_driver_file *own, const char *path,
                     const struct driver_options *options, enum twostate_cache cache)
{
    struct twostate_file_options how = {.cache = cache};
    int error = twostate_file_open_with(own->engine, path, O_RDWR, 0, &how, &own->file);

    if (error == 0 && options->serve) {
        error = twostate_engine_serve(own->engine, options->name);
        if (error) {
            twostate_file_close(own->file);
            error += DRIVER_SERVE_ERROR;
        }
    }
    return error;
}

static int engine_open(const char *path, const struct driver_options *options,
                       const struct driver *driver, enum twostate_cache cache,
                       struct driver_file **file)
{
    struct twostate_engine_options engine = {.backend = options->backend,
                                             .queue_depth = options->depth,
                                             .cache_bytes = options->cache_bytes};
    struct twostate_driver_file *own = zalloc(1, sizeof(*own));
    int error = twostate_engine_create(&engine, &own->engine);

    if (error) {
        free(own);
        return error;
    }
    error = open_file(own, path, options, cache);
    if (error) {
        twostate_engine_destroy(own->engine);
        free(own);
        return error;
    }
    own->head.driver = driver;
    *file = &own->head;
    return 0;
}

static int user_open(const char *path, const struct driver_options *options,
                     struct driver_file **file)
{
    return engine_open(path, options, &driver_user, TWOSTATE_CACHE_USER, file);
}

static int kernel_open(const char *path, const struct driver_options *options,
                       struct driver_file **file)
{
    return engine_open(path, options, &driver_kernel, TWOSTATE_CACHE_KERNEL, file);
}

static unsigned flags_of(bool direct)
{
    return direct ? TWOSTATE_IO_DIRECT : 0;
}

static void transfer_one(struct driver_file *file, struct request *r)
{
    int64_t result =
        r->write
            ? twostate_pwrite(file_of(file), r->buffer, r->length, r->offset, flags_of(r->direct))
            : twostate_pread(file_of(file), r->buffer, r->length, r->offset, flags_of(r->direct));

    request_end(r, result, twostate_waited_ns());
}

/* What the callbacks of a batch share. */
struct batch {
    pthread_mutex_t mutex;
    pthread_cond_t empty;
    unsigned pending;
};

struct member {
    struct batch *batch;
    struct request *request;
};

static void member_done(void *arg, ssize_t result)
{
    struct member *member = arg;
    struct batch *batch = member->batch;

    request_end(member->request, result, twostate_waited_ns());
    pthread_mutex_lock(&batch->mutex);
    if (--batch->pending == 0)
        pthread_cond_signal(&batch->empty);
    pthread_mutex_unlock(&batch->mutex);
}

static void submit(struct driver_file *file, struct member *member)
{
    struct request *r = member->request;
    struct iovec iov = {.iov_base = r->buffer, .iov_len = r->length};
    int error = r->write ? twostate_pwritev_async(file_of(file), &iov, 1, r->offset,
                                                  flags_of(r->direct), member_done, member)
                         : twostate_preadv_async(file_of(file), &iov, 1, r->offset,
                                                 flags_of(r->direct), member_done, member);

    if (error)
        member_done(member, error);
}

static void engine_transfer(struct driver_file *file, struct request *requests, unsigned count)
{
    struct batch batch = {.pending = count};
    int64_t begun = now_ns();

    for (unsigned i = 0; i < count; i++) {
        requests[i].begun_ns = begun;
        requests[i].ended_ns = 0;
    }
    if (count == 1) {
        transfer_one(file, requests);
        return;
    }
    struct member *members = zalloc(count, sizeof(*members));

    pthread_mutex_init(&batch.mutex, NULL);
    pthread_cond_init(&batch.empty, NULL);
    for (unsigned i = 0; i < count; i++) {
        members[i] = (struct member){.batch = &batch, .request = &requests[i]};
        submit(file, &members[i]);
        if (requests[i].submitted)
            requests[i].submitted(&requests[i]);
    }
    pthread_mutex_lock(&batch.mutex);
    while (batch.pending > 0)
        pthread_cond_wait(&batch.empty, &batch.mutex);
    pthread_mutex_unlock(&batch.mutex);
    pthread_cond_destroy(&batch.empty);
    pthread_mutex_destroy(&batch.mutex);
    free(members);
}

static int64_t engine_append(struct driver_file *file, const void *buffer, size_t length,
                             bool direct, int64_t *offset)
{
    /* const is lost because one struct serves reads and writes */
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buffer, .iov_len = length};

    return twostate_append(file_of(file), &iov, 1, flags_of(direct), offset);
}

static int engine_truncate(struct driver_file *file, int64_t length)
{
    return twostate_truncate(file_of(file), length);
}

static int engine_punch(struct driver_file *file, int64_t offset, int64_t length)
{
    return twostate_fallocate(file_of(file), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                              length);
}

static int64_t engine_remap(struct driver_file *file, int64_t from, int64_t to, int64_t length)
{
    return twostate_remap(file_of(file), from, file_of(file), to, length);
}

static int engine_fsync(struct driver_file *file)
{
    return twostate_fsync(file_of(file));
}

static int64_t engine_size(struct driver_file *file)
{
    struct twostate_file_stat stat;
    int error = twostate_stat(file_of(file), &stat);

    return error ? error : stat.size;
}

static void engine_query(struct driver_file *file, struct twostate_engine_info *info)
{
    twostate_engine_query(((struct twostate_driver_file *)file)->engine, info);
}

static int engine_close(struct driver_file *file)
{
    struct twostate_driver_file *own = (struct twostate_driver_file *)file;
    int error = twostate_file_close(own->file);

    twostate_engine_destroy(own->engine);
    free(own);
    return error;
}

/* All but what concerns the cache. */
#define ENGINE_DRIVER                                                                              \
    .name = "twostate", .transfer = engine_transfer, .append = engine_append,                      \
    .truncate = engine_truncate, .punch = engine_punch, .remap = engine_remap,                     \
    .fsync = engine_fsync, .size = engine_size, .waited_ns = twostate_waited_ns,                   \
    .close = engine_close

const struct driver driver_user = {
    ENGINE_DRIVER,     .cache = "user",       .title = "twostate, user cache",
    .open = user_open, .query = engine_query,
};

const struct driver driver_kernel = {
    ENGINE_DRIVER,
    .cache = "kernel",
    .title = "twostate, kernel cache",
    .open = kernel_open,
};
