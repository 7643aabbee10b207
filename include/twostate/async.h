/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous waiting: a caller that must not block leaves a waiter, and is told when it holds.
 *
 * Every call here either gets what it wants at once, or queues the waiter and returns -EINPROGRESS.
 * A queued waiter is granted by whichever thread makes room for it, in its turn: fairness, patience
 * and bounds are those of a thread that waits (lock.h, G3). What was granted is held: it is given
 * back by the usual release, thaw or end, by any thread.
 *
 * struct twostate_waiter is the caller's, wherever it likes; it need not be initialised but for the
 * first two members, and is in use from a call that returned -EINPROGRESS until it was granted or
 * cancelled. While it is in use it must not be moved, nor its lock be freed.
 *
 * The callback `done` is called exactly once for every queued waiter that is not cancelled:
 *
 *   - with result 0 when the caller holds what it wanted, or -EOVERFLOW at the limit of holders;
 *   - in the thread that made room, after that thread's last touch of the lock, with nothing of
 *     the library's locked;
 *   - it may use every function of the library, on this lock too, and free the waiter and (if it
 *     has the right to) the lock; callbacks are never nested: one that makes room for other waiters
 *     returns before theirs are called;
 *   - it must not block, for it runs in somebody else's call on the lock, a release as a rule; nor
 *     may it queue again and again what it has just released, for that call goes on as long as its
 *     callbacks make room for others: a loop goes through grants (below).
 *
 * With done == NULL the waiter is for twostate_waiter_wait: a wait that another thread can cancel.
 *
 * Threads: cancel may be called from any thread, also from a callback.
 * Processes: locks that are TWOSTATE_PROCESS_SHARED have no asynchronous waiters (-ENOTSUP): another
 * process could not call back. After a fork the child has none of its parent's waiters.
 * Memory: no call here allocates.
 *
 * Source: design of this library; see "Asynchronous waiters" in docs/design.md.
 *
 * Example:
 *
 *     static void done(struct twostate_waiter *waiter, int result)
 *     {
 *         struct request *request = waiter->context;
 *         ...                                              // holds state B
 *     }
 *
 *     request->waiter.done = done;
 *     request->waiter.context = request;
 *     if (twostate_lock_acquire_async(&lock, TWOSTATE_B, &request->waiter) == 0)
 *         done(&request->waiter, 0);                       // held at once: no callback comes
 *
 * Requires: twostate/lock.h, twostate/iolock.h, twostate/iopair.h. Link with libtwostate.
 */
#ifndef TWOSTATE_ASYNC_H
#define TWOSTATE_ASYNC_H

#include <twostate/iolock.h>
#include <twostate/iopair.h>
#include <twostate/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

struct twostate_waiter {
    void (*done)(struct twostate_waiter *waiter, int result);
    void *context; /* the caller's */

    /* Private. */
    struct twostate_waiter *next_;
    struct twostate_waiter **previous_;
    void *lock_;
    const char *call_;
    const void *site_;
    int (*go_on_)(struct twostate_waiter *waiter, int result);
    struct twostate_hold *hold_;
    const unsigned char *steps_;
    int64_t since_;
    int64_t patience_end_;
    uint32_t want_;
    uint32_t holds_;
    uint32_t state_;
    int result_;
    void *reserved_[2];
};

/*
 * The asynchronous forms of acquire, acquire_n, drain, freeze, switch, thaw_to, and of the IOLOCK's
 * acquire. Each returns 0 (held, or drained, at once: done is not called), -EINPROGRESS (done will
 * be), -EOVERFLOW, -EDEADLK, -EINVAL as the timed form does, or -ENOTSUP. On an error nothing has
 * changed. Who does not want to be queued either calls the try form.
 */
TWOSTATE_API int twostate_lock_acquire_async(struct twostate_lock *lock, enum twostate_state state,
                                             struct twostate_waiter *waiter);
TWOSTATE_API int twostate_lock_acquire_n_async(struct twostate_lock *lock,
                                               enum twostate_state state, uint32_t n,
                                               struct twostate_waiter *waiter);
TWOSTATE_API int twostate_lock_drain_async(struct twostate_lock *lock,
                                           struct twostate_waiter *waiter);
TWOSTATE_API int twostate_lock_freeze_async(struct twostate_lock *lock,
                                            struct twostate_waiter *waiter);
TWOSTATE_API int twostate_lock_switch_async(struct twostate_lock *lock, enum twostate_state to,
                                            struct twostate_waiter *waiter);
TWOSTATE_API int twostate_lock_thaw_to_async(struct twostate_lock *lock, enum twostate_state to,
                                             struct twostate_waiter *waiter);
TWOSTATE_API int twostate_iolock_acquire_async(struct twostate_iolock *lock,
                                               enum twostate_iomode mode,
                                               struct twostate_waiter *waiter);

/*
 * The asynchronous forms of the pair's begin and of what changes a hold's path. *hold is the
 * library's until the waiter is granted or cancelled. A cancelled or failed begin leaves no trace;
 * a cancelled extend_to_direct leaves the DIRECT_EXTEND hold as it was; with a cancelled
 * retry_unaligned the hold has ended.
 */
TWOSTATE_API int twostate_iopair_begin_async(struct twostate_iopair *pair,
                                             enum twostate_iopath path, struct twostate_hold *hold,
                                             struct twostate_waiter *waiter);
TWOSTATE_API int twostate_iopair_begin_remap_two_async(struct twostate_iopair *source,
                                                       struct twostate_iopair *destination,
                                                       struct twostate_hold *hold,
                                                       struct twostate_waiter *waiter);
TWOSTATE_API int twostate_iopair_extend_to_direct_async(struct twostate_hold *hold,
                                                        struct twostate_waiter *waiter);
TWOSTATE_API int twostate_iopair_retry_unaligned_async(struct twostate_hold *hold,
                                                       struct twostate_waiter *waiter);

/*
 * Gives up a waiter that was queued. True: cancelled; done will not be called, and nothing is held.
 * False: it was granted (or refused) before; done was called, is being called or will be, and what
 * was granted must be given back. May wait for another thread that is just granting one of several
 * locks, never for a lock. The waiter must not have been reused or freed. Stops the program if it is
 * zeroed and was never queued; so does wait.
 */
TWOSTATE_API bool twostate_waiter_cancel(struct twostate_waiter *waiter);

/*
 * Waits for a waiter that was queued with done == NULL, until deadline (absolute, CLOCK_MONOTONIC;
 * NULL: for ever). One thread may wait; others may cancel.
 * Returns 0 (granted), -EOVERFLOW, -ECANCELED, -ETIMEDOUT (it is cancelled then), or -EINVAL if
 * tv_nsec is not in 0..999999999 (it is queued still). Under the validator also -EDEADLK, if the
 * thread would wait for itself (it is cancelled then).
 */
TWOSTATE_API int twostate_waiter_wait(struct twostate_waiter *waiter,
                                      const struct timespec *deadline);

/*
 * Grants for an event loop: a queue of the waiters that were granted, with an eventfd to poll. Set
 * a waiter's done to twostate_grants_done and its context to the grants; when the descriptor is
 * readable, take waiters from the queue.
 *
 *     struct twostate_waiter *waiter;
 *
 *     while ((waiter = twostate_grants_next(&grants)) != NULL)
 *         ...                                  // waiter holds; twostate_waiter_result(waiter)
 *
 * What a call got at once (it returned 0) does not come through the queue.
 *
 * Threads: any number may grant and take.
 */
struct twostate_grants {
    int fd; /* readable (EPOLLIN) exactly while there is a waiter to take */

    /* Private. */
    struct twostate_waiter *first_;
    struct twostate_waiter **end_;
    void *reserved_[2];
};

/* Makes an empty queue. Returns 0, or -errno of eventfd(2): -EMFILE, -ENFILE, -ENOMEM. */
TWOSTATE_API int twostate_grants_init(struct twostate_grants *grants);

/* Closes the descriptor. Every waiter must have been taken or cancelled. */
TWOSTATE_API void twostate_grants_destroy(struct twostate_grants *grants);

/* For a waiter's done: puts the waiter into the grants that are its context. */
TWOSTATE_API void twostate_grants_done(struct twostate_waiter *waiter, int result);

/* The waiter that was granted first, or NULL when there is none. */
TWOSTATE_API struct twostate_waiter *twostate_grants_next(struct twostate_grants *grants);

/* What `done` got, of a waiter that was granted. */
TWOSTATE_API int twostate_waiter_result(const struct twostate_waiter *waiter);

#ifdef __cplusplus
}
#endif

#endif
