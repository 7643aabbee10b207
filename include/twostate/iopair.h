/* SPDX-License-Identifier: MIT */
/*
 * The IO pair: IOLOCK, then IOTYPE, for one file.
 *
 * IOTYPE is a two-state lock: state A is BUFFERED, state B is DIRECT, unlocked is "no IO in
 * flight". Each kind of IO takes the two in one order and gives them back in one order; a struct
 * twostate_hold says what a request holds on its way from begin to end.
 *
 *   path            IOLOCK                               IOTYPE
 *   BUFFERED_READ   shared                               BUFFERED
 *   BUFFERED_WRITE  shared; exclusive during a remap     BUFFERED
 *   DIRECT          shared                               DIRECT
 *   DIRECT_EXTEND   exclusive; then demoted to shared    BUFFERED, to zero from EOF; then DIRECT
 *   UNALIGNED       exclusive                            BUFFERED
 *   REMAP           exclusive, IREMAPPING, then shared   BUFFERED
 *   EXCLUSIVE_IO    exclusive                            drained, then BUFFERED, alone
 *
 * What waits for what ("-": they run together; "cache": together, made atomic by the cache's own
 * locks; X: one waits for the other):
 *
 *                         read   write  direct  extend  unaligned  remap  exclusive
 *   buffered read         -      cache  X       X       X          -      X
 *   buffered write        cache  cache  X       X       X          X      X
 *   direct                X      X      -       X       X          X      X
 *   extend, till demoted  X      X      X       X       X          X      X
 *   unaligned             X      X      X       X       X          X      X
 *   remap (source)        -      X      X       X       X          X      X
 *   exclusive             X      X      X       X       X          X      X
 *
 * A BUFFERED_WRITE that was submitted, and is not complete, is not in the way of who takes IOTYPE
 * BUFFERED with the IOLOCK exclusive (extend until its switch, unaligned, remap): its data is in the
 * cache, and only not durable yet. It is in the way of direct and exclusive.
 *
 * What the choice of a path depends on, such as the size of the file, is looked at again under the
 * hold: it may have changed meanwhile. Then end, and begin the other path (or retry_unaligned).
 *
 * Each begin has three forms. begin waits; try_begin answers at once (NOWAIT), and false leaves no
 * trace; begin_timed waits until deadline (absolute, CLOCK_MONOTONIC; NULL: for ever) and returns
 * 0, -ETIMEDOUT, -EINVAL if tv_nsec is not in 0..999999999, or -EOVERFLOW at the limit of holders,
 * again without a trace.
 *
 * A hold belongs to the request, not to a thread: any thread may end it (the validator takes it for
 * the thread's until submitting, or until twostate_validate_disown_hold). It ends exactly once; a
 * second end, an end of what was never begun, or a step that the hold's path does not have, stops
 * the program with the hold, what it holds and the call. A hold must not be copied. It is 24 bytes
 * at most, need not be initialised before begin, and refers to its pair until it has ended.
 *
 * Memory: a pair is 24 bytes. Zeroed memory is a free pair; nothing has to be destroyed. As soon as
 * its last hold has ended, the pair may be freed by whoever knows it (lock.h, G7).
 * Order: never begin a hold while holding another of the same pair. Two pairs are held together by
 * begin_remap_two only.
 *
 * Source: the IOLOCK and IOTYPE scheme for XFS that Dave Chinner described on linux-xfs in April
 * 2025 (path names: Buffered IO, IREMAPPING IO, Direct IO, Direct IO extension, unaligned DIO
 * write, truncate).
 *
 * Example, an asynchronous direct write:
 *
 *     struct twostate_hold hold;
 *
 *     twostate_iopair_begin(&file->pair, TWOSTATE_DIRECT, &hold);
 *     twostate_iopair_submitting(&hold, &request->hold);   // IOTYPE goes with the request
 *     submit(request);                                     // may complete before this returns
 *     twostate_iopair_submitted(&hold);                    // drops the IOLOCK
 *     ...
 *     twostate_iopair_complete(&request->hold);            // in the completion, by any thread
 *
 * Requires: twostate/lock.h, twostate/iolock.h. Link with libtwostate.
 */
#ifndef TWOSTATE_IOPAIR_H
#define TWOSTATE_IOPAIR_H

#include <twostate/iolock.h>
#include <twostate/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TWOSTATE_BUFFERED_STATE TWOSTATE_A
#define TWOSTATE_DIRECT_STATE   TWOSTATE_B

/* The members are private; query tells what may be known of them. */
struct twostate_iopair {
    struct twostate_iolock iolock_;
    struct twostate_lock iotype_;
    uint32_t remapping_;
    uint32_t reserved_;
};

#define TWOSTATE_IOPAIR_INIT                                                                       \
    {                                                                                              \
        TWOSTATE_IOLOCK_INIT, TWOSTATE_LOCK_INIT, 0, 0                                             \
    }

/* What a request holds. The members are private. */
struct TWOSTATE_SAYS_(capability("hold")) twostate_hold {
    struct twostate_iopair *pair_;
    struct twostate_iopair *destination_; /* of a remap of two files, else NULL */
    uint32_t held_;
    uint32_t reserved_;
};

enum twostate_iopath {
    TWOSTATE_BUFFERED_READ,
    TWOSTATE_BUFFERED_WRITE,
    TWOSTATE_DIRECT,
    TWOSTATE_DIRECT_EXTEND,
    TWOSTATE_UNALIGNED,
    TWOSTATE_REMAP,
    TWOSTATE_EXCLUSIVE_IO,
};

/* What a pair looked like: three snapshots, each old as soon as it is returned. */
struct twostate_iopair_info {
    struct twostate_iolock_info iolock;
    struct twostate_lock_info iotype; /* TWOSTATE_A: BUFFERED, TWOSTATE_B: DIRECT */
    bool remapping;
};

/* Makes *pair a free pair. The same as zeroing it. Nobody may be using it. */
TWOSTATE_API void twostate_iopair_init(struct twostate_iopair *pair);

/*
 * As twostate_lock_init_with, _destroy and _clear, for both locks of a pair. With
 * TWOSTATE_PROCESS_SHARED a hold is still of the process that began it: the pairs of a hold are
 * remembered as addresses, and two files are ordered by them, so all processes must map the pairs
 * at the same addresses, or use begin_remap_two in one process only.
 */
TWOSTATE_API int twostate_iopair_init_with(struct twostate_iopair *pair, unsigned flags,
                                           uint32_t patience_us);
TWOSTATE_API void twostate_iopair_destroy(struct twostate_iopair *pair);
TWOSTATE_API void twostate_iopair_clear(struct twostate_iopair *pair);

/* Starts an IO of the path: takes what the table says, in that order, and notes it in *hold. */
TWOSTATE_API void twostate_iopair_begin(struct twostate_iopair *pair, enum twostate_iopath path,
                                        struct twostate_hold *hold)
    TWOSTATE_SAYS_(acquire_capability(*hold));
TWOSTATE_API bool twostate_iopair_try_begin(struct twostate_iopair *pair, enum twostate_iopath path,
                                            struct twostate_hold *hold)
    TWOSTATE_SAYS_(try_acquire_capability(true, *hold));
TWOSTATE_API int twostate_iopair_begin_timed(struct twostate_iopair *pair,
                                             enum twostate_iopath path, struct twostate_hold *hold,
                                             const struct timespec *deadline)
    TWOSTATE_SAYS_(try_acquire_capability(0, *hold));

/*
 * Starts a remap from one file to another: REMAP on the source, EXCLUSIVE_IO on the destination, in
 * one hold. The IOLOCKs are taken in the order of the pairs' addresses, so that a to b and b to a
 * can't wait for each other. source == destination is one EXCLUSIVE_IO hold.
 */
TWOSTATE_API void twostate_iopair_begin_remap_two(struct twostate_iopair *source,
                                                  struct twostate_iopair *destination,
                                                  struct twostate_hold *hold)
    TWOSTATE_SAYS_(acquire_capability(*hold));
TWOSTATE_API bool twostate_iopair_try_begin_remap_two(struct twostate_iopair *source,
                                                      struct twostate_iopair *destination,
                                                      struct twostate_hold *hold)
    TWOSTATE_SAYS_(try_acquire_capability(true, *hold));
TWOSTATE_API int twostate_iopair_begin_remap_two_timed(struct twostate_iopair *source,
                                                       struct twostate_iopair *destination,
                                                       struct twostate_hold *hold,
                                                       const struct timespec *deadline)
    TWOSTATE_SAYS_(try_acquire_capability(0, *hold));

/* Ends a hold of any path, from any thread: gives back all that it holds, IOTYPE first. */
TWOSTATE_API void twostate_iopair_end(struct twostate_hold *hold)
    TWOSTATE_SAYS_(release_capability(*hold));

/*
 * Before a request is submitted (DIRECT, or BUFFERED_WRITE that is held until durable): moves
 * IOTYPE from *hold to *completion, which the request carries, and leaves the IOLOCK in *hold. From
 * here each is ended by its own call, in either order, by any thread: so the completion may run,
 * and the request be gone, before the submitter goes on. If nothing could be submitted, the
 * submitter makes both calls.
 */
TWOSTATE_API void twostate_iopair_submitting(struct twostate_hold *hold,
                                             struct twostate_hold *completion)
    TWOSTATE_SAYS_(requires_capability(*hold));

/* After submission: drops the IOLOCK and ends *hold. */
TWOSTATE_API void twostate_iopair_submitted(struct twostate_hold *hold)
    TWOSTATE_SAYS_(release_capability(*hold));

/* In the completion: drops IOTYPE and ends *completion. Its last touch of the pair. */
TWOSTATE_API void twostate_iopair_complete(struct twostate_hold *completion);

/*
 * Turns a DIRECT_EXTEND hold, after [EOF, position) is zeroed, into a DIRECT hold: switches IOTYPE
 * from BUFFERED to DIRECT, without unlocking in between, and demotes the IOLOCK. Waits only for
 * BUFFERED_WRITE holds that were submitted and are not complete. A failed try or timed form leaves
 * the DIRECT_EXTEND hold as it was.
 */
TWOSTATE_API void twostate_iopair_extend_to_direct(struct twostate_hold *hold)
    TWOSTATE_SAYS_(requires_capability(*hold));
TWOSTATE_API bool twostate_iopair_try_extend_to_direct(struct twostate_hold *hold)
    TWOSTATE_SAYS_(requires_capability(*hold));
TWOSTATE_API int twostate_iopair_extend_to_direct_timed(struct twostate_hold *hold,
                                                        const struct timespec *deadline)
    TWOSTATE_SAYS_(requires_capability(*hold));

/*
 * Turns a DIRECT hold, whose write turned out to need more than overwriting whole blocks, into an
 * UNALIGNED one. It lets go in between: whatever was checked under the hold must be checked again.
 * If the try or timed form fails, the hold has ended.
 */
TWOSTATE_API void twostate_iopair_retry_unaligned(struct twostate_hold *hold)
    TWOSTATE_SAYS_(requires_capability(*hold));
TWOSTATE_API bool twostate_iopair_try_retry_unaligned(struct twostate_hold *hold)
    TWOSTATE_SAYS_(release_capability(*hold), try_acquire_capability(true, *hold));
TWOSTATE_API int twostate_iopair_retry_unaligned_timed(struct twostate_hold *hold,
                                                       const struct timespec *deadline)
    TWOSTATE_SAYS_(release_capability(*hold), try_acquire_capability(0, *hold));

/* A snapshot of the pair's parts. */
TWOSTATE_API struct twostate_iopair_info twostate_iopair_query(const struct twostate_iopair *pair);

#ifdef __cplusplus
}
#endif

#endif
