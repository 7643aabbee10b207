/* SPDX-License-Identifier: MIT */
/* The real locks behind the table of subjects.h. */
#include "subjects.h"

#include "threads.h"
#include "word.h"

#include <errno.h>
#include <stddef.h>

static enum twostate_state state_of(enum mode mode)
{
    return mode == MODE_A ? TWOSTATE_A : TWOSTATE_B;
}

static int tried(bool taken)
{
    return taken ? 0 : -EAGAIN;
}

static int finish(int queued, struct twostate_waiter *waiter, const struct timespec *deadline)
{
    return queued == -EINPROGRESS ? twostate_waiter_wait(waiter, deadline) : queued;
}

/* Apart from what it was made as. Shared locks leave sleep bits: a killed sleeper can't clear its
 * own. */
static bool word_rests(const struct twostate_lock *lock)
{
    const uint64_t w = __atomic_load_n(&lock->word_, __ATOMIC_ACQUIRE);

    return (w & ~(WORD_FAST | WORD_SHARED | WORD_PATIENCE |
                  ((w & WORD_SHARED) != 0 ? WORD_SLEEPERS : 0))) == 0;
}

/* The lock. */

static void lock_make(union object *object, uint32_t patience_us, bool shared)
{
    CHECK(twostate_lock_init_with(&object->lock, shared ? TWOSTATE_PROCESS_SHARED : 0,
                                  patience_us) == 0);
}

static int freeze(struct twostate_lock *lock, enum how how, const struct timespec *deadline)
{
    struct twostate_waiter waiter = {.done = NULL};

    switch (how) {
    case HOW_TRY:
        return tried(twostate_lock_try_freeze(lock));
    case HOW_TIMED:
        return twostate_lock_freeze_timed(lock, deadline);
    case HOW_ASYNC:
        return finish(twostate_lock_freeze_async(lock, &waiter), &waiter, deadline);
    default:
        twostate_lock_freeze(lock);
        return 0;
    }
}

static int acquire_one(struct twostate_lock *lock, enum twostate_state state, enum how how,
                       const struct timespec *deadline)
{
    struct twostate_waiter waiter = {.done = NULL};

    switch (how) {
    case HOW_TRY:
        return tried(twostate_lock_try_acquire(lock, state));
    case HOW_TIMED:
        return twostate_lock_acquire_timed(lock, state, deadline);
    case HOW_ASYNC:
        return finish(twostate_lock_acquire_async(lock, state, &waiter), &waiter, deadline);
    default:
        twostate_lock_acquire(lock, state);
        return 0;
    }
}

static int acquire_n(struct twostate_lock *lock, const struct hold *hold, enum how how,
                     const struct timespec *deadline)
{
    const enum twostate_state state = state_of(hold->mode);
    struct twostate_waiter waiter = {.done = NULL};

    switch (how) {
    case HOW_TRY:
        return tried(twostate_lock_try_acquire_n(lock, state, hold->n));
    case HOW_TIMED:
        return twostate_lock_acquire_n_timed(lock, state, hold->n, deadline);
    case HOW_ASYNC:
        return finish(twostate_lock_acquire_n_async(lock, state, hold->n, &waiter), &waiter,
                      deadline);
    default:
        return twostate_lock_acquire_n(lock, state, hold->n);
    }
}

static int lock_take(union object *object, struct hold *hold, enum how how,
                     const struct timespec *deadline)
{
    if (hold->mode == MODE_FROZEN)
        return freeze(&object->lock, how, deadline);
    if (hold->n == 1)
        return acquire_one(&object->lock, state_of(hold->mode), how, deadline);
    return acquire_n(&object->lock, hold, how, deadline);
}

static void lock_give(union object *object, struct hold *hold, uint32_t n)
{
    if (hold->mode == MODE_FROZEN)
        twostate_lock_thaw(&object->lock);
    else if (n == 1)
        twostate_lock_release(&object->lock, state_of(hold->mode));
    else
        twostate_lock_release_n(&object->lock, state_of(hold->mode), n);
}

static int lock_join(union object *object, struct hold *hold)
{
    return twostate_lock_join(&object->lock, state_of(hold->mode));
}

static int thaw_to(struct twostate_lock *lock, enum twostate_state to, enum how how,
                   const struct timespec *deadline)
{
    struct twostate_waiter waiter = {.done = NULL};

    switch (how) {
    case HOW_TRY:
        return tried(twostate_lock_try_thaw_to(lock, to));
    case HOW_TIMED:
        return twostate_lock_thaw_to_timed(lock, to, deadline);
    case HOW_ASYNC:
        return finish(twostate_lock_thaw_to_async(lock, to, &waiter), &waiter, deadline);
    default:
        return twostate_lock_thaw_to(lock, to);
    }
}

static int switch_to(struct twostate_lock *lock, enum twostate_state to, enum how how,
                     const struct timespec *deadline)
{
    struct twostate_waiter waiter = {.done = NULL};

    switch (how) {
    case HOW_TRY:
        return tried(twostate_lock_try_switch(lock, to));
    case HOW_TIMED:
        return twostate_lock_switch_timed(lock, to, deadline);
    case HOW_ASYNC:
        return finish(twostate_lock_switch_async(lock, to, &waiter), &waiter, deadline);
    default:
        return twostate_lock_switch(lock, to);
    }
}

static int lock_change(union object *object, struct hold *hold, enum mode to, enum how how,
                       const struct timespec *deadline)
{
    if (hold->mode == MODE_FROZEN)
        return thaw_to(&object->lock, state_of(to), how, deadline);
    return switch_to(&object->lock, state_of(to), how, deadline);
}

static int lock_drain(union object *object, enum how how, const struct timespec *deadline)
{
    const struct timespec past = {.tv_sec = 0};
    struct twostate_waiter waiter = {.done = NULL};

    switch (how) {
    case HOW_TRY:
        return twostate_lock_drain_timed(&object->lock, &past);
    case HOW_TIMED:
        return twostate_lock_drain_timed(&object->lock, deadline);
    case HOW_ASYNC:
        return finish(twostate_lock_drain_async(&object->lock, &waiter), &waiter, deadline);
    default:
        twostate_lock_drain(&object->lock);
        return 0;
    }
}

static int lock_queue(union object *object, struct hold *hold, struct twostate_waiter *waiter)
{
    if (hold->mode == MODE_NONE)
        return twostate_lock_drain_async(&object->lock, waiter);
    if (hold->mode == MODE_FROZEN)
        return twostate_lock_freeze_async(&object->lock, waiter);
    if (hold->n == 1)
        return twostate_lock_acquire_async(&object->lock, state_of(hold->mode), waiter);
    return twostate_lock_acquire_n_async(&object->lock, state_of(hold->mode), hold->n, waiter);
}

static struct view view_of(const struct twostate_lock *lock)
{
    const struct twostate_lock_info info = twostate_lock_query(lock);
    struct view view = {.mode = MODE_NONE,
                        .holds = info.holders + info.frozen,
                        .waiting = info.waiting_a + info.waiting_b + info.draining};

    CHECK(info.holders == 0 || info.frozen == 0);
    if (info.holders > 0)
        view.mode = info.state == TWOSTATE_A ? MODE_A : MODE_B;
    else if (info.frozen > 0)
        view.mode = MODE_FROZEN;
    return view;
}

static struct view lock_look(const union object *object)
{
    return view_of(&object->lock);
}

static bool lock_rests(const union object *object)
{
    return word_rests(&object->lock);
}

static void lock_destroy(union object *object)
{
    twostate_lock_destroy(&object->lock);
}

const struct subject subject_lock = {
    .name = "twostate",
    .can = CAN_N | CAN_JOIN | CAN_DRAIN | CAN_FREEZE | CAN_SWITCH,
    .make = lock_make,
    .take = lock_take,
    .give = lock_give,
    .join = lock_join,
    .change = lock_change,
    .drain = lock_drain,
    .queue = lock_queue,
    .cancel = twostate_waiter_cancel,
    .wait = twostate_waiter_wait,
    .look = lock_look,
    .at_rest = lock_rests,
    .destroy = lock_destroy,
};

/* The IOLOCK. */

static void iolock_make(union object *object, uint32_t patience_us, bool shared)
{
    CHECK(twostate_iolock_init_with(&object->iolock, shared ? TWOSTATE_PROCESS_SHARED : 0,
                                    patience_us) == 0);
}

static enum twostate_iomode iomode_of(enum mode mode)
{
    return mode == MODE_A ? TWOSTATE_SHARED : TWOSTATE_EXCLUSIVE;
}

static int iolock_take(union object *object, struct hold *hold, enum how how,
                       const struct timespec *deadline)
{
    const enum twostate_iomode mode = iomode_of(hold->mode);
    struct twostate_waiter waiter = {.done = NULL};

    switch (how) {
    case HOW_TRY:
        return tried(twostate_iolock_try_acquire(&object->iolock, mode));
    case HOW_TIMED:
        return twostate_iolock_acquire_timed(&object->iolock, mode, deadline);
    case HOW_ASYNC:
        return finish(twostate_iolock_acquire_async(&object->iolock, mode, &waiter), &waiter,
                      deadline);
    default:
        twostate_iolock_acquire(&object->iolock, mode);
        return 0;
    }
}

static void iolock_give(union object *object, struct hold *hold, uint32_t n)
{
    (void)n;
    twostate_iolock_release(&object->iolock, iomode_of(hold->mode));
}

static int iolock_change(union object *object, struct hold *hold, enum mode to, enum how how,
                         const struct timespec *deadline)
{
    (void)hold;
    (void)to;
    (void)how;
    (void)deadline;
    twostate_iolock_demote(&object->iolock);
    return 0;
}

static int iolock_queue(union object *object, struct hold *hold, struct twostate_waiter *waiter)
{
    return twostate_iolock_acquire_async(&object->iolock, iomode_of(hold->mode), waiter);
}

static struct view iolock_look(const union object *object)
{
    return view_of(&object->iolock.lock_);
}

static bool iolock_rests(const union object *object)
{
    return word_rests(&object->iolock.lock_);
}

static void iolock_destroy(union object *object)
{
    twostate_iolock_destroy(&object->iolock);
}

const struct subject subject_iolock = {
    .name = "iolock",
    .can = CAN_DEMOTE,
    .alone = 1U << MODE_B,
    .make = iolock_make,
    .take = iolock_take,
    .give = iolock_give,
    .change = iolock_change,
    .queue = iolock_queue,
    .cancel = twostate_waiter_cancel,
    .wait = twostate_waiter_wait,
    .look = iolock_look,
    .at_rest = iolock_rests,
    .destroy = iolock_destroy,
};

/* The pair. */

static void pair_make(union object *object, uint32_t patience_us, bool shared)
{
    CHECK(twostate_iopair_init_with(&object->pair, shared ? TWOSTATE_PROCESS_SHARED : 0,
                                    patience_us) == 0);
}

static enum twostate_iopath path_of(enum mode mode)
{
    if (mode == MODE_FROZEN)
        return TWOSTATE_EXCLUSIVE_IO;
    return mode == MODE_A ? TWOSTATE_BUFFERED_WRITE : TWOSTATE_DIRECT;
}

static int pair_take(union object *object, struct hold *hold, enum how how,
                     const struct timespec *deadline)
{
    const enum twostate_iopath path = path_of(hold->mode);
    struct twostate_waiter waiter = {.done = NULL};

    switch (how) {
    case HOW_TRY:
        return tried(twostate_iopair_try_begin(&object->pair, path, &hold->pair));
    case HOW_TIMED:
        return twostate_iopair_begin_timed(&object->pair, path, &hold->pair, deadline);
    case HOW_ASYNC:
        return finish(twostate_iopair_begin_async(&object->pair, path, &hold->pair, &waiter),
                      &waiter, deadline);
    default:
        twostate_iopair_begin(&object->pair, path, &hold->pair);
        return 0;
    }
}

static void pair_give(union object *object, struct hold *hold, uint32_t n)
{
    (void)object;
    (void)n;
    twostate_iopair_end(&hold->pair);
}

static int pair_queue(union object *object, struct hold *hold, struct twostate_waiter *waiter)
{
    return twostate_iopair_begin_async(&object->pair, path_of(hold->mode), &hold->pair, waiter);
}

/* Of IOTYPE, which says who is inside; the exclusive path holds it as buffered. */
static struct view pair_look(const union object *object)
{
    const struct twostate_iopair_info info = twostate_iopair_query(&object->pair);
    struct view view = view_of(&object->pair.iotype_);

    if (info.iolock.holders > 0 && info.iolock.mode == TWOSTATE_EXCLUSIVE && view.mode == MODE_A)
        view.mode = MODE_FROZEN;
    return view;
}

static bool pair_rests(const union object *object)
{
    return word_rests(&object->pair.iolock_.lock_) && word_rests(&object->pair.iotype_) &&
           object->pair.remapping_ == 0;
}

static void pair_destroy(union object *object)
{
    twostate_iopair_destroy(&object->pair);
}

const struct subject subject_pair = {
    .name = "pair",
    .can = CAN_FREEZE,
    .alone = 1U << MODE_FROZEN,
    .make = pair_make,
    .take = pair_take,
    .give = pair_give,
    .queue = pair_queue,
    .cancel = twostate_waiter_cancel,
    .wait = twostate_waiter_wait,
    .look = pair_look,
    .at_rest = pair_rests,
    .destroy = pair_destroy,
};
