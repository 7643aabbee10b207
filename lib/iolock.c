/* SPDX-License-Identifier: MIT */
/* The IOLOCK's calls: a two-state lock whose state B, exclusive, has one holder at a time. */
#include <twostate/iolock.h>

#include "async.h"
#include "tsan.h"

#include <errno.h>

/* Where the public function that this is used in was called from. */
#define SITE __builtin_return_address(0)

void twostate_iolock_init(struct twostate_iolock *lock)
{
    wait_init_(&lock->lock_, 0, TWOSTATE_PATIENCE_DEFAULT);
}

int twostate_iolock_init_with(struct twostate_iolock *lock, unsigned flags, uint32_t patience_us)
{
    return wait_init_(&lock->lock_, flags, patience_us);
}

void twostate_iolock_destroy(struct twostate_iolock *lock)
{
    wait_destroy_(&lock->lock_, true);
}

void twostate_iolock_clear(struct twostate_iolock *lock)
{
    wait_clear_(&lock->lock_, true);
}

static enum group group_of(const struct twostate_iolock *lock, enum twostate_iomode mode,
                           const char *call)
{
    if (mode != TWOSTATE_SHARED && mode != TWOSTATE_EXCLUSIVE)
        sys_die_("iolock %p: misuse: %s of mode %d, which does not exist", (const void *)lock, call,
                 (int)mode);
    return mode == TWOSTATE_SHARED ? GROUP_A : GROUP_B;
}

static struct want acquiring(const struct twostate_iolock *lock, enum twostate_iomode mode)
{
    return (struct want){
        .group = group_of(lock, mode, "acquire"),
        .exclusive = true,
        .holds = 1,
        .call = mode == TWOSTATE_SHARED ? "acquire shared" : "acquire exclusive",
    };
}

void twostate_iolock_acquire_slow_(struct twostate_iolock *lock, enum twostate_iomode mode)
{
    const struct want want = acquiring(lock, mode);

    wait_back_off_(&lock->lock_, want.group);
    if (wait_take_(&lock->lock_, &want, &(struct limit){.infallible = true, .site = SITE}) != 0)
        wait_misuse_(&lock->lock_, sys_load_(&lock->lock_.word_), true,
                     "acquire past the limit of holders");
}

bool twostate_iolock_try_slow_(struct twostate_iolock *lock, enum twostate_iomode mode)
{
    const struct want want = acquiring(lock, mode);

    return wait_take_(&lock->lock_, &want, &(struct limit){.nowait = true, .site = SITE}) == 0;
}

int twostate_iolock_acquire_timed(struct twostate_iolock *lock, enum twostate_iomode mode,
                                  const struct timespec *deadline)
{
    const struct want want = acquiring(lock, mode);

    if (!wait_deadline_valid_(deadline))
        return -EINVAL;
    if (twostate_iolock_fast_acquire_(lock, mode))
        return 0;
    return wait_take_(&lock->lock_, &want, &(struct limit){.deadline = deadline, .site = SITE});
}

int twostate_iolock_acquire_async(struct twostate_iolock *lock, enum twostate_iomode mode,
                                  struct twostate_waiter *waiter)
{
    const struct want want = acquiring(lock, mode);

    async_begin_(waiter, NULL);
    return async_end_(
        waiter, wait_take_(&lock->lock_, &want, &(struct limit){.waiter = waiter, .site = SITE}));
}

void twostate_iolock_release_slow_(struct twostate_iolock *lock, enum twostate_iomode mode)
{
    static const struct want shared = {
        .group = GROUP_A, .exclusive = true, .holds = 1, .call = "release shared"};
    static const struct want exclusive = {
        .group = GROUP_B, .exclusive = true, .holds = 1, .call = "release exclusive"};

    wait_release_(&lock->lock_, group_of(lock, mode, "release") == GROUP_A ? &shared : &exclusive,
                  SITE);
}

void twostate_iolock_demote(struct twostate_iolock *lock)
{
    static const struct want want = {.group = GROUP_A,
                                     .from = GROUP_B,
                                     .switching = true,
                                     .exclusive = true,
                                     .holds = 1,
                                     .call = "demote"};

    /* Exclusive is always alone, so this can't fail. */
    wait_take_(&lock->lock_, &want, &(struct limit){.nowait = true, .site = SITE});
}

struct twostate_iolock_info twostate_iolock_query(const struct twostate_iolock *lock)
{
    const uint64_t w = sys_load_(&lock->lock_.word_);

    if (tsan_sees_() && word_holders(w) == 0)
        tsan_unlocked_(&lock->lock_);
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

    if ((w & WORD_STATES) != word_held(group_of(lock, mode, "assert_held")))
        wait_misuse_(&lock->lock_, w, true,
                     mode == TWOSTATE_SHARED ? "assert held shared" : "assert held exclusive");
}
