/* SPDX-License-Identifier: MIT */
/*
 * Read-ahead for a user cache: who reads on where the last miss ended will go on doing so.
 *
 * A worker reads the next window while the reader is in the one before. It takes the path of a buffered
 * read, but never waits for it: so nothing is read into the cache while another mode has the file.
 */
#include "engine.h"

#include <urcu/compiler.h>

static void run(struct job *job)
{
    struct twostate_file *file = caa_container_of(job, struct twostate_file, ahead.job);
    struct twostate_hold hold;

    if (twostate_iopair_try_begin(&file->pair, TWOSTATE_BUFFERED_READ, &hold)) {
        file->cache->ops->fetch(file->cache, file->ahead.from, file->ahead.length);
        twostate_iopair_end(&hold);
    }
    __atomic_store_n(&file->ahead.busy, 0, __ATOMIC_RELEASE);
    file_leave_(file);
}

bool readahead_start_(void *context, int64_t from, int64_t length)
{
    struct twostate_file *file = context;
    uint32_t idle = 0;

    if (!__atomic_compare_exchange_n(&file->ahead.busy, &idle, 1, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return false;
    if (file_enter_async_(file)) {
        __atomic_store_n(&file->ahead.busy, 0, __ATOMIC_RELEASE);
        return false;
    }
    file->ahead.from = from;
    file->ahead.length = length;
    file->ahead.job.run = run;
    workers_add_(file->engine->workers, &file->ahead.job);
    return true;
}
