/* SPDX-License-Identifier: MIT */
/* One of two shared objects: see dso.h. DSO is its name. */
#include "dso.h"

static void acquire(struct twostate_lock *lock, enum twostate_state state)
{
    twostate_lock_acquire(lock, state);
}

static bool try_acquire(struct twostate_lock *lock, enum twostate_state state)
{
    return twostate_lock_try_acquire(lock, state);
}

static void release(struct twostate_lock *lock, enum twostate_state state)
{
    twostate_lock_release(lock, state);
}

static void acquire_iolock(struct twostate_iolock *lock, enum twostate_iomode mode)
{
    twostate_iolock_acquire(lock, mode);
}

static bool try_acquire_iolock(struct twostate_iolock *lock, enum twostate_iomode mode)
{
    return twostate_iolock_try_acquire(lock, mode);
}

static void release_iolock(struct twostate_iolock *lock, enum twostate_iomode mode)
{
    twostate_iolock_release(lock, mode);
}

__attribute__((visibility("default"))) const struct dso DSO = {
    .acquire = acquire,
    .try_acquire = try_acquire,
    .release = release,
    .acquire_iolock = acquire_iolock,
    .try_acquire_iolock = try_acquire_iolock,
    .release_iolock = release_iolock,
};
