/* SPDX-License-Identifier: MIT */
/*
 * Durability: fsync that tells the truth twice.
 *
 * When a write-back fails the kernel reports it to fsync once and forgets that the pages were
 * dirty: the next fsync(2) answers 0 though the data is gone. So the first failure is kept, and
 * answers every later sync of the file.
 */
#include "engine.h"

#include <errno.h>

int file_error_(const struct twostate_file *file)
{
    return __atomic_load_n(&file->error, __ATOMIC_ACQUIRE);
}

void file_note_write_(struct twostate_file *file)
{
    if (!__atomic_load_n(&file->unsynced, __ATOMIC_RELAXED))
        __atomic_store_n(&file->unsynced, 1, __ATOMIC_RELEASE);
}

/* One sync for all who wait; the mutex is held, but not during the sync. */
static void sync_for_all(struct twostate_file *file)
{
    struct sync_state *state = &file->syncs;
    const bool data_only = !state->metadata;
    int32_t none = 0;
    int result = 0;

    state->running = true;
    state->metadata = false;
    state->started++;
    pthread_mutex_unlock(&state->mutex);

    __atomic_store_n(&file->unsynced, 0, __ATOMIC_RELEASE);
    result = file->cache->ops->sync(file->cache, data_only);
    if (result)
        __atomic_compare_exchange_n(&file->error, &none, result, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE);

    pthread_mutex_lock(&state->mutex);
    state->running = false;
    state->finished = state->started;
    pthread_cond_broadcast(&state->changed);
}

/*
 * The kernel reports a failure to one of those that sync at the same time. So one syncs at a time,
 * for all who came before it started, and all of them hear what it heard.
 */
int file_sync_(struct twostate_file *file, bool data_only)
{
    struct sync_state *state = &file->syncs;
    uint64_t mine = 0;

    pthread_mutex_lock(&state->mutex);
    mine = state->started + 1;
    state->metadata = state->metadata || !data_only;
    while (state->finished < mine) {
        if (state->running)
            pthread_cond_wait(&state->changed, &state->mutex);
        else
            sync_for_all(file);
    }
    pthread_mutex_unlock(&state->mutex);
    return file_error_(file);
}

static int sync_call(struct twostate_file *file, bool data_only)
{
    int result = file_enter_(file);

    if (result)
        return result;
    result = file_sync_(file, data_only);
    file_leave_(file);
    return result;
}

int twostate_fsync(struct twostate_file *file)
{
    return sync_call(file, false);
}

int twostate_fdatasync(struct twostate_file *file)
{
    return sync_call(file, true);
}
