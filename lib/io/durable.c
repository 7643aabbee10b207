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
#include <urcu/compiler.h>

int file_error_(const struct twostate_file *file)
{
    return __atomic_load_n(&file->error, __ATOMIC_ACQUIRE);
}

void file_note_write_(struct twostate_file *file)
{
    if (!__atomic_load_n(&file->unsynced, __ATOMIC_RELAXED))
        __atomic_store_n(&file->unsynced, 1, __ATOMIC_RELEASE);
}

int file_sync_disk_(struct commit *commit, bool data_only)
{
    struct twostate_file *file = caa_container_of(commit, struct twostate_file, syncs);
    int32_t none = 0;
    bool lost = true;
    int result = 0;

    __atomic_store_n(&file->unsynced, 0, __ATOMIC_RELEASE);
    result = file->cache->ops->sync(file->cache, data_only, &lost);
    if (result && lost)
        __atomic_compare_exchange_n(&file->error, &none, result, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE);
    else if (result)
        file_note_write_(file);
    return result;
}

int file_sync_(struct twostate_file *file, bool data_only)
{
    int result = 0;

    backend_recall_(file->engine->backend);
    result = commit_run_(&file->syncs, data_only);
    return file_error_(file) ? file_error_(file) : result;
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
