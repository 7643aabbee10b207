/* SPDX-License-Identifier: MIT */
/* Proper use: the analysis has nothing to say. */
#include "file.h"

#include <errno.h>

static struct twostate_lock lock = TWOSTATE_LOCK_INIT;
static long counter TWOSTATE_GUARDED_BY_A(&lock);

long states(struct file *file);
long states(struct file *file)
{
    long size = 0;

    twostate_iolock_acquire(&file->iolock, TWOSTATE_SHARED);
    size = file->size + size_of(file);
    twostate_lock_acquire(&file->iotype, A);
    file->dirty++;
    file->requests++;
    mark_dirty(file);
    twostate_lock_release(&file->iotype, A);
    twostate_lock_acquire(&file->iotype, B);
    file->flying++;
    file->requests++;
    twostate_lock_release(&file->iotype, B);
    twostate_iolock_release(&file->iolock, TWOSTATE_SHARED);
    twostate_lock_drain(&file->iotype);
    return size;
}

/* Two locks at once. */
void two(struct file *file);
void two(struct file *file)
{
    twostate_lock_acquire(&lock, A);
    counter++;
    twostate_lock_acquire(&file->iotype, B);
    file->flying++;
    twostate_lock_release(&lock, A);
    twostate_lock_release(&file->iotype, B);
}

int tries(struct file *file, const struct timespec *deadline);
int tries(struct file *file, const struct timespec *deadline)
{
    int result = 0;

    if (!twostate_lock_try_acquire(&file->iotype, A))
        return -EAGAIN;
    file->dirty = 0;
    twostate_lock_release(&file->iotype, A);
    result = twostate_lock_acquire_timed(&file->iotype, B, deadline);
    if (result)
        return result;
    file->flying = 0;
    twostate_lock_release(&file->iotype, B);
    if (twostate_lock_freeze_timed(&file->iotype, deadline) == 0)
        twostate_lock_thaw(&file->iotype);
    return 0;
}

void switches(struct file *file);
void switches(struct file *file)
{
    twostate_lock_acquire(&file->iotype, A);
    file->dirty++;
    if (twostate_lock_switch(&file->iotype, B) == 0) {
        file->flying++;
        twostate_lock_release(&file->iotype, B);
    } else {
        file->dirty--;
        twostate_lock_release(&file->iotype, A);
    }
}

void freezes(struct file *file);
void freezes(struct file *file)
{
    twostate_lock_freeze(&file->iotype);
    file->requests = 0;
    if (twostate_lock_try_thaw_to(&file->iotype, A)) {
        file->dirty = 0;
        twostate_lock_release(&file->iotype, A);
    } else {
        twostate_lock_thaw(&file->iotype);
    }
}

long demotes(struct file *file);
long demotes(struct file *file)
{
    long size = 0;

    twostate_iolock_acquire(&file->iolock, TWOSTATE_EXCLUSIVE);
    file->size++;
    twostate_iolock_demote(&file->iolock);
    size = file->size;
    twostate_iolock_release(&file->iolock, TWOSTATE_SHARED);
    if (!twostate_iolock_try_acquire(&file->iolock, TWOSTATE_EXCLUSIVE))
        return size;
    file->size = 0;
    twostate_iolock_release(&file->iolock, TWOSTATE_EXCLUSIVE);
    return size;
}

/* What the analysis can't see, it is told: several holds, and what another thread gives back. */
void told(struct file *file);
void told(struct file *file)
{
    if (twostate_lock_acquire_n(&file->iotype, A, 2) != 0)
        return;
    twostate_lock_assert_held(&file->iotype, A);
    file->dirty++;
    mark_dirty(file);
    twostate_lock_release_n(&file->iotype, A, 2);
}

void handed_over(struct file *file);
void handed_over(struct file *file)
{
    begin(file);
    file->flying++;
    submit(file);
}

void dynamic(struct file *file, enum twostate_state state);
void dynamic(struct file *file, enum twostate_state state)
{
    void (*release)(struct twostate_lock *, enum twostate_state) = twostate_lock_release;

    twostate_lock_acquire(&file->iotype, state);
    release(&file->iotype, state);
}

void unchecked(struct file *file) TWOSTATE_UNCHECKED;
void unchecked(struct file *file)
{
    twostate_lock_release(&file->iotype, B);
}

int holds(struct file *file, struct twostate_hold *completion, const struct timespec *deadline);
int holds(struct file *file, struct twostate_hold *completion, const struct timespec *deadline)
{
    struct twostate_hold hold;
    int result = 0;

    twostate_iopair_begin(&file->pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_submitting(&hold, completion);
    twostate_iopair_submitted(&hold);
    twostate_iopair_complete(completion);
    if (!twostate_iopair_try_begin(&file->pair, TWOSTATE_DIRECT, &hold))
        return -EAGAIN;
    if (!twostate_iopair_try_retry_unaligned(&hold))
        return -EAGAIN; /* it has ended */
    twostate_iopair_end(&hold);
    result = twostate_iopair_begin_timed(&file->pair, TWOSTATE_DIRECT_EXTEND, &hold, deadline);
    if (result)
        return result;
    twostate_iopair_extend_to_direct(&hold);
    twostate_iopair_end(&hold);
    return 0;
}
