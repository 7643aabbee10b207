/* SPDX-License-Identifier: MIT */
/*
 * The driver `rwlock`: the system calls under a pthread_rwlock. Direct requests, which may be many
 * at once, share it; buffered ones and all else, which must see no direct IO, take it alone.
 */
#include "driver_raw.h"
#include "util.h"

#include <pthread.h>
#include <stdlib.h>

struct rwlock_file {
    struct driver_file head;
    struct raw_file raw;
    pthread_rwlock_t lock;
};

static _Thread_local int64_t waited;

static struct rwlock_file *acquire(struct driver_file *file, bool shared)
{
    struct rwlock_file *rwlock = (struct rwlock_file *)file;
    int64_t begun = now_ns();

    if (shared)
        pthread_rwlock_rdlock(&rwlock->lock);
    else
        pthread_rwlock_wrlock(&rwlock->lock);
    waited = now_ns() - begun;
    return rwlock;
}

static int64_t release(struct rwlock_file *rwlock, int64_t result)
{
    pthread_rwlock_unlock(&rwlock->lock);
    return result;
}

static int rwlock_open(const char *path, const struct driver_options *options,
                       struct driver_file **file)
{
    struct rwlock_file *rwlock = zalloc(1, sizeof(*rwlock));
    int error = raw_open(&rwlock->raw, path);

    (void)options;
    if (error) {
        free(rwlock);
        return error;
    }
    pthread_rwlock_init(&rwlock->lock, NULL);
    rwlock->head.driver = &driver_rwlock;
    *file = &rwlock->head;
    return 0;
}

/* A rwlock must be released by who acquired it, so it is held around all of a batch. */
static void rwlock_transfer(struct driver_file *file, struct request *requests, unsigned count)
{
    int64_t begun = now_ns();
    bool direct = true;

    for (unsigned i = 0; i < count; i++) {
        requests[i].begun_ns = begun;
        direct = direct && raw_is_direct(&((struct rwlock_file *)file)->raw, &requests[i]);
    }
    struct rwlock_file *rwlock = acquire(file, direct);
    int64_t own_wait = waited;

    raw_transfer(&rwlock->raw, requests, count);
    release(rwlock, 0);
    for (unsigned i = 0; i < count; i++)
        request_end(&requests[i], requests[i].result, own_wait);
}

static int64_t rwlock_append(struct driver_file *file, const void *buffer, size_t length,
                             bool direct, int64_t *offset)
{
    struct rwlock_file *rwlock = acquire(file, false);

    *offset = -1;
    return release(rwlock, raw_append(&rwlock->raw, buffer, length, direct));
}

static int rwlock_truncate(struct driver_file *file, int64_t length)
{
    struct rwlock_file *rwlock = acquire(file, false);

    return (int)release(rwlock, raw_truncate(&rwlock->raw, length));
}

static int rwlock_punch(struct driver_file *file, int64_t offset, int64_t length)
{
    struct rwlock_file *rwlock = acquire(file, false);

    return (int)release(rwlock, raw_punch(&rwlock->raw, offset, length));
}

static int64_t rwlock_remap(struct driver_file *file, int64_t from, int64_t to, int64_t length)
{
    struct rwlock_file *rwlock = acquire(file, false);

    return release(rwlock, raw_remap(&rwlock->raw, from, to, length));
}

static int rwlock_fsync(struct driver_file *file)
{
    struct rwlock_file *rwlock = acquire(file, false);

    return (int)release(rwlock, raw_fsync(&rwlock->raw));
}

static int64_t rwlock_size(struct driver_file *file)
{
    struct rwlock_file *rwlock = acquire(file, false);

    return release(rwlock, raw_size(&rwlock->raw));
}

static int64_t rwlock_waited_ns(void)
{
    return waited;
}

static int rwlock_close(struct driver_file *file)
{
    struct rwlock_file *rwlock = (struct rwlock_file *)file;
    int error = raw_close(&rwlock->raw);

    pthread_rwlock_destroy(&rwlock->lock);
    free(rwlock);
    return error;
}

const struct driver driver_rwlock = {
    .name = "rwlock",
    .cache = "kernel",
    .title = "rwlock",
    .open = rwlock_open,
    .transfer = rwlock_transfer,
    .append = rwlock_append,
    .truncate = rwlock_truncate,
    .punch = rwlock_punch,
    .remap = rwlock_remap,
    .fsync = rwlock_fsync,
    .size = rwlock_size,
    .waited_ns = rwlock_waited_ns,
    .close = rwlock_close,
};
