/* SPDX-License-Identifier: MIT */
/* The IOLOCK's calls: a two-state lock whose state B, exclusive, has one holder at a time. */
#include <twostate/iolock.h>

#include "wait.h"

#include <errno.h>

void twostate_iolock_init(struct twostate_iolock *lock)
{
    *lock = (struct twostate_iolock)TWOSTATE_IOLOCK_INIT;
}

static struct want acquiring(const struct twostate_iolock *lock, enum twostate_iomode mode)
{
    if (mode != TWOSTATE_SHARED && mode != TWOSTATE_EXCLUSIVE)
        sys_die_("iolock %p: misuse: acquire of mode %d, which does not exist", (const void *)lock,
                 (int)mode);
    return (struct want){
        .group = mode == TWOSTATE_SHARED ? GROUP_A : GROUP_B,
        .exclusive = true,
        .call = mode == TWOSTATE_SHARED ? "acquire shared" : "acquire exclusive",
    };
}

void twostate_iolock_acquire_slow_(struct twostate_iolock *lock, enum twostate_iomode mode)
{
    const struct want want = acquiring(lock, mode);

    sys_pause_(WAIT_BACK_OFF_PAUSES_);
    if (wait_until_(&lock->lock_, &want, NULL) != 0)
        wait_misuse_(&lock->lock_, sys_load_(&lock->lock_.word_), true,
                     "acquire past the limit of holders");
}

bool twostate_iolock_try_slow_(struct twostate_iolock *lock, enum twostate_iomode mode)
{
    const struct want want = acquiring(lock, mode);

    return wait_try_(&lock->lock_, &want);
}

int twostate_iolock_acquire_timed(struct twostate_iolock *lock, enum twostate_iomode mode,
                                  const struct timespec *deadline)
{
    const struct want want = acquiring(lock, mode);

    if (!wait_deadline_valid_(deadline))
        return -EINVAL;
    return twostate_iolock_fast_acquire_(lock, mode) ? 0
                                                     : wait_until_(&lock->lock_, &want, deadline);
}

void twostate_iolock_release_slow_(struct twostate_iolock *lock, enum twostate_iomode mode)
{
    if (mode == TWOSTATE_SHARED)
        wait_release_(&lock->lock_, GROUP_A, true, "release shared");
    else
        wait_release_(&lock->lock_, GROUP_B, true, "release exclusive");
}

void twostate_iolock_demote(struct twostate_iolock *lock)
{
    const struct want want = {
        .group = GROUP_A, .exclusive = true, .switching = true, .call = "demote"};

    wait_try_(&lock->lock_, &want); /* exclusive is always alone, so this can't fail */
}

struct twostate_iolock_info twostate_iolock_query(const struct twostate_iolock *lock)
{
    const uint64_t w = sys_load_(&lock->lock_.word_);

    return (struct twostate_iolock_info){
        .holders = word_holders(w),
        .mode = (w & word_held(GROUP_B)) ? TWOSTATE_EXCLUSIVE : TWOSTATE_SHARED,
        .waiting_shared = word_waiting(w, GROUP_A),
        .waiting_exclusive = word_waiting(w, GROUP_B),
    };
}

void twostate_iolock_assert_held(const struct twostate_iolock *lock, enum twostate_iomode mode)
{
    const uint64_t w = sys_load_(&lock->lock_.word_);

    if ((w & WORD_STATES) != word_held(mode == TWOSTATE_SHARED ? GROUP_A : GROUP_B))
        wait_misuse_(&lock->lock_, w, true,
                     mode == TWOSTATE_SHARED ? "assert held shared" : "assert held exclusive");
}
