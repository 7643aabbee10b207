/* SPDX-License-Identifier: MIT */
/*
 * The IO pair: each path is a list of steps, taken in one order, and given back in one order.
 *
 * A step that takes something waits as the caller allows: not at all, until a deadline, or, with a
 * waiter, by being called back, when the steps go on in the thread that granted it (go_on).
 */
#include <twostate/iopair.h>
#include <twostate/validate.h>

#include "async.h"
#include "watch.h"

#include <errno.h>

/* Where the public function that this is used in was called from. */
#define SITE __builtin_return_address(0)

/* What a hold holds. The first six are also what a step may take. */
enum held {
    HELD_SHARED = 1,            /* the IOLOCK, shared */
    HELD_EXCLUSIVE = 2,         /* the IOLOCK, exclusive */
    HELD_BUFFERED = 4,          /* IOTYPE */
    HELD_DIRECT = 8,            /* IOTYPE */
    HELD_TARGET_EXCLUSIVE = 16, /* the destination's IOLOCK */
    HELD_TARGET_BUFFERED = 32,  /* the destination's IOTYPE */
    HELD_REMAPPING = 64,        /* the pair's IREMAPPING flag */
    HELD_EXTENDING = 128,       /* nothing; marks a hold that may turn to direct */
    HELD_SPLIT = 256,           /* nothing; marks the halves of a submitted hold */
    HELD_WHOLE = 512,           /* nothing; marks a hold that is never submitted */
};

#define HELD_IOLOCK (HELD_SHARED | HELD_EXCLUSIVE)
#define HELD_IOTYPE (HELD_BUFFERED | HELD_DIRECT)

void twostate_iopair_init(struct twostate_iopair *pair)
{
    twostate_iopair_init_with(pair, 0, TWOSTATE_PATIENCE_DEFAULT);
}

int twostate_iopair_init_with(struct twostate_iopair *pair, unsigned flags, uint32_t patience_us)
{
    const int result = twostate_iolock_init_with(&pair->iolock_, flags, patience_us);

    if (result)
        return result;
    pair->remapping_ = 0;
    pair->reserved_ = 0;
    return twostate_lock_init_with(&pair->iotype_, flags, patience_us);
}

void twostate_iopair_destroy(struct twostate_iopair *pair)
{
    twostate_iolock_destroy(&pair->iolock_);
    twostate_lock_destroy(&pair->iotype_);
}

void twostate_iopair_clear(struct twostate_iopair *pair)
{
    twostate_lock_clear(&pair->iotype_);
    sys_flag_store_(&pair->remapping_, 0);
    twostate_iolock_clear(&pair->iolock_);
}

static _Noreturn void die(const struct twostate_hold *hold, uint32_t held, const char *call)
{
    sys_die_("hold %p of pair %p: misuse: %s while it holds%s%s%s%s%s%s%s%s", (const void *)hold,
             (const void *)hold->pair_, call, held == 0 ? " nothing" : "",
             held & HELD_SHARED ? " IOLOCK-shared" : "",
             held & HELD_EXCLUSIVE ? " IOLOCK-exclusive" : "",
             held & HELD_REMAPPING ? " IREMAPPING" : "",
             held & HELD_BUFFERED ? " IOTYPE-buffered" : "",
             held & HELD_DIRECT ? " IOTYPE-direct" : "",
             held & HELD_TARGET_EXCLUSIVE ? " (and of another pair)" : "",
             held & HELD_SPLIT ? " (half of a submitted request)" : "");
}

static uint32_t held_of(const struct twostate_hold *hold)
{
    return sys_flag_load_(&hold->held_);
}

static void set_held(struct twostate_hold *hold, uint32_t held)
{
    sys_flag_store_(&hold->held_, held);
}

/* The steps. */

enum step {
    STEP_END,
    STEP_SHARED,           /* the IOLOCK */
    STEP_EXCLUSIVE,        /* the IOLOCK */
    STEP_DRAIN,            /* IOTYPE: nobody can take it under an exclusive IOLOCK, so that lasts */
    STEP_BUFFERED,         /* IOTYPE */
    STEP_DIRECT,           /* IOTYPE */
    STEP_TO_DIRECT,        /* IOTYPE: switch */
    STEP_TARGET_EXCLUSIVE, /* the destination's IOLOCK */
    STEP_TARGET_DRAIN,     /* the destination's IOTYPE */
    STEP_TARGET_BUFFERED,  /* the destination's IOTYPE */
    /* Those that take nothing. */
    STEP_DEMOTE,
    STEP_REMAPPING,        /* sets IREMAPPING, then demotes */
    STEP_UNLESS_REMAPPING, /* else starts again, exclusive: a remap keeps the IOLOCK shared */
};

static const unsigned char paths[][5] = {
    [TWOSTATE_BUFFERED_READ] = {STEP_SHARED, STEP_BUFFERED},
    [TWOSTATE_BUFFERED_WRITE] = {STEP_SHARED, STEP_UNLESS_REMAPPING, STEP_BUFFERED},
    [TWOSTATE_DIRECT] = {STEP_SHARED, STEP_DIRECT},
    [TWOSTATE_DIRECT_EXTEND] = {STEP_EXCLUSIVE, STEP_BUFFERED},
    [TWOSTATE_UNALIGNED] = {STEP_EXCLUSIVE, STEP_BUFFERED},
    [TWOSTATE_REMAP] = {STEP_EXCLUSIVE, STEP_REMAPPING, STEP_BUFFERED},
    [TWOSTATE_EXCLUSIVE_IO] = {STEP_EXCLUSIVE, STEP_DRAIN, STEP_BUFFERED},
};

static const uint32_t marks[] = {
    [TWOSTATE_DIRECT_EXTEND] = HELD_EXTENDING,
    [TWOSTATE_UNALIGNED] = HELD_WHOLE,
    [TWOSTATE_EXCLUSIVE_IO] = HELD_WHOLE,
};

static const unsigned char write_while_remapping[] = {STEP_EXCLUSIVE, STEP_BUFFERED, STEP_END};

/* IOLOCKs in the order of the pairs' addresses. */
static const unsigned char remap_two[2][7] = {
    {STEP_TARGET_EXCLUSIVE, STEP_EXCLUSIVE, STEP_REMAPPING, STEP_BUFFERED, STEP_TARGET_DRAIN,
     STEP_TARGET_BUFFERED},
    {STEP_EXCLUSIVE, STEP_REMAPPING, STEP_TARGET_EXCLUSIVE, STEP_BUFFERED, STEP_TARGET_DRAIN,
     STEP_TARGET_BUFFERED},
};

static const unsigned char extend_to_direct[] = {STEP_TO_DIRECT, STEP_DEMOTE, STEP_END};

#define SHARED_WANT                                                                                \
    {                                                                                              \
        .group = GROUP_A, .exclusive = true, .holds = 1, .call = "begin, which takes it shared"    \
    }
#define EXCLUSIVE_WANT                                                                             \
    {                                                                                              \
        .group = GROUP_B, .exclusive = true, .holds = 1, .call = "begin, which takes it exclusive" \
    }
#define DRAIN_WANT                                                                                 \
    {                                                                                              \
        .group = GROUP_DRAIN, .call = "begin, which drains it"                                     \
    }
#define BUFFERED_WANT                                                                              \
    {                                                                                              \
        .group = GROUP_A, .holds = 1, .call = "begin, which takes it buffered"                     \
    }

/* What the steps that take something want, and what is held then. */
static const struct {
    struct want want;
    uint32_t held;
} takes[] = {
    [STEP_SHARED] = {SHARED_WANT, HELD_SHARED},
    [STEP_EXCLUSIVE] = {EXCLUSIVE_WANT, HELD_EXCLUSIVE},
    [STEP_DRAIN] = {DRAIN_WANT, 0},
    [STEP_BUFFERED] = {BUFFERED_WANT, HELD_BUFFERED},
    [STEP_DIRECT] = {{.group = GROUP_B, .holds = 1, .call = "begin, which takes it direct"},
                     HELD_DIRECT},
    [STEP_TO_DIRECT] = {{.group = GROUP_B,
                         .from = GROUP_A,
                         .switching = true,
                         .holds = 1,
                         .call = "extend_to_direct"},
                        HELD_DIRECT},
    [STEP_TARGET_EXCLUSIVE] = {EXCLUSIVE_WANT, HELD_TARGET_EXCLUSIVE},
    [STEP_TARGET_DRAIN] = {DRAIN_WANT, 0},
    [STEP_TARGET_BUFFERED] = {BUFFERED_WANT, HELD_TARGET_BUFFERED},
};

static struct twostate_lock *lock_of(const struct twostate_hold *hold, enum step step)
{
    struct twostate_iopair *pair = step >= STEP_TARGET_EXCLUSIVE ? hold->destination_ : hold->pair_;

    return takes[step].want.exclusive ? &pair->iolock_.lock_ : &pair->iotype_;
}

/* Who watches knows the locks of a pair by it. Returns what to put back by unwatch. */
static struct watch_pairs watch(const struct twostate_iopair *pair,
                                const struct twostate_iopair *destination)
{
    const struct watch_pairs none = {{NULL, NULL}};

    return watched_() ? watch_pairs_((struct watch_pairs){{pair, destination}}) : none;
}

static void unwatch(struct watch_pairs before)
{
    if (watched_())
        watch_pairs_(before);
}

/* Gives back what `held` says: IOTYPE, IREMAPPING, IOLOCK. The pairs may be gone after the last. */
static void give_back(struct twostate_iopair *pair, struct twostate_iopair *destination,
                      uint32_t held)
{
    const struct watch_pairs before = watch(pair, destination);

    if (held & HELD_TARGET_BUFFERED)
        twostate_lock_release(&destination->iotype_, TWOSTATE_BUFFERED_STATE);
    if (held & HELD_TARGET_EXCLUSIVE)
        twostate_iolock_release(&destination->iolock_, TWOSTATE_EXCLUSIVE);
    if (held & HELD_BUFFERED)
        twostate_lock_release(&pair->iotype_, TWOSTATE_BUFFERED_STATE);
    if (held & HELD_DIRECT)
        twostate_lock_release(&pair->iotype_, TWOSTATE_DIRECT_STATE);
    if (held & HELD_REMAPPING)
        sys_flag_store_(&pair->remapping_, 0);
    if (held & HELD_SHARED)
        twostate_iolock_release(&pair->iolock_, TWOSTATE_SHARED);
    if (held & HELD_EXCLUSIVE)
        twostate_iolock_release(&pair->iolock_, TWOSTATE_EXCLUSIVE);
    unwatch(before);
}

static void note_taken(struct twostate_hold *hold, enum step step)
{
    if (step == STEP_TO_DIRECT)
        hold->held_ &= ~(uint32_t)(HELD_BUFFERED | HELD_EXTENDING);
    hold->held_ |= takes[step].held;
}

static void demote(struct twostate_hold *hold)
{
    hold->held_ = (hold->held_ & ~(uint32_t)HELD_EXCLUSIVE) | HELD_SHARED;
    twostate_iolock_demote(&hold->pair_->iolock_);
}

/* A step that takes nothing. Returns the next. */
static const unsigned char *settle(struct twostate_hold *hold, const unsigned char *steps)
{
    switch (*steps) {
    case STEP_UNLESS_REMAPPING:
        if (!sys_flag_load_(&hold->pair_->remapping_))
            return steps + 1;
        hold->held_ = 0;
        twostate_iolock_release(&hold->pair_->iolock_, TWOSTATE_SHARED);
        return write_while_remapping;
    case STEP_REMAPPING:
        sys_flag_store_(&hold->pair_->remapping_, 1);
        hold->held_ |= HELD_REMAPPING;
        break;
    default:
        break;
    }
    demote(hold);
    return steps + 1;
}

/* A step that could not be taken: the hold is as it was before the call. */
static int undo(struct twostate_hold *hold, enum step step, int result)
{
    const struct twostate_hold before = *hold;

    if (step == STEP_TO_DIRECT)
        return result;
    *hold = (struct twostate_hold){0};
    give_back(before.pair_, before.destination_, before.held_);
    return result;
}

static int run_steps(struct twostate_hold *hold, const unsigned char *steps,
                     const struct limit *limit)
{
    while (*steps != STEP_END) {
        const enum step step = (enum step) * steps;
        int result = 0;

        if (step >= STEP_DEMOTE) {
            steps = settle(hold, steps);
            continue;
        }
        if (limit->waiter)
            limit->waiter->steps_ = steps;
        if (!wait_fast_(lock_of(hold, step), &takes[step].want))
            result = wait_take_(lock_of(hold, step), &takes[step].want, limit);
        if (result == -EINPROGRESS)
            return result;
        if (result)
            return undo(hold, step, result);
        note_taken(hold, step);
        steps++;
    }
    return 0;
}

static int run(struct twostate_hold *hold, const unsigned char *steps, const struct limit *limit)
{
    const struct watch_pairs before = watch(hold->pair_, hold->destination_);
    const int result = run_steps(hold, steps, limit);

    unwatch(before);
    return result;
}

/* A queued step was granted, refused, or cancelled. */
static int go_on(struct twostate_waiter *waiter, int result)
{
    const unsigned char *steps = waiter->steps_;

    if (result)
        return undo(waiter->hold_, (enum step) * steps, result);
    note_taken(waiter->hold_, (enum step) * steps);
    return run(waiter->hold_, steps + 1, &(struct limit){.waiter = waiter, .site = waiter->site_});
}

static int run_async(struct twostate_hold *hold, const unsigned char *steps,
                     const struct limit *limit)
{
    struct twostate_waiter *waiter = limit->waiter;

    if (waiter == NULL)
        return run(hold, steps, limit);
    twostate_validate_disown_hold(hold); /* from here on its steps may go on in any thread */
    waiter->hold_ = hold;
    async_begin_(waiter, go_on);
    return async_end_(waiter, run(hold, steps, limit));
}

/* Another process could not call back: refused before anything changes, also what could be had. */
static bool refuses_waiter(const struct twostate_iopair *pair, const struct limit *limit)
{
    return limit->waiter && (sys_load_(&pair->iolock_.lock_.word_) & WORD_SHARED);
}

static int begin(struct twostate_iopair *pair, enum twostate_iopath path,
                 struct twostate_hold *hold, const struct limit *limit)
{
    if ((unsigned)path > TWOSTATE_EXCLUSIVE_IO)
        sys_die_("pair %p: misuse: begin of path %d, which does not exist", (const void *)pair,
                 (int)path);
    if (!wait_deadline_valid_(limit->deadline))
        return -EINVAL;
    if (refuses_waiter(pair, limit))
        return -ENOTSUP;
    *hold = (struct twostate_hold){.pair_ = pair, .held_ = marks[path]};
    return run_async(hold, paths[path], limit);
}

static int begin_two(struct twostate_iopair *source, struct twostate_iopair *destination,
                     struct twostate_hold *hold, const struct limit *limit)
{
    if (source == destination)
        return begin(source, TWOSTATE_EXCLUSIVE_IO, hold, limit);
    if (!wait_deadline_valid_(limit->deadline))
        return -EINVAL;
    if (refuses_waiter(source, limit) || refuses_waiter(destination, limit))
        return -ENOTSUP;
    *hold = (struct twostate_hold){.pair_ = source, .destination_ = destination};
    return run_async(hold, remap_two[(uintptr_t)source < (uintptr_t)destination], limit);
}

/* For the forms that can't tell of an error; the one there can be is misuse. */
static void must(int result, const struct twostate_iopair *pair, const char *call)
{
    if (result)
        sys_die_("pair %p: misuse: %s past the limit of holders", (const void *)pair, call);
}

void twostate_iopair_begin(struct twostate_iopair *pair, enum twostate_iopath path,
                           struct twostate_hold *hold)
{
    must(begin(pair, path, hold, &(struct limit){.infallible = true, .site = SITE}), pair, "begin");
}

bool twostate_iopair_try_begin(struct twostate_iopair *pair, enum twostate_iopath path,
                               struct twostate_hold *hold)
{
    return begin(pair, path, hold, &(struct limit){.nowait = true, .site = SITE}) == 0;
}

int twostate_iopair_begin_timed(struct twostate_iopair *pair, enum twostate_iopath path,
                                struct twostate_hold *hold, const struct timespec *deadline)
{
    return begin(pair, path, hold, &(struct limit){.deadline = deadline, .site = SITE});
}

int twostate_iopair_begin_async(struct twostate_iopair *pair, enum twostate_iopath path,
                                struct twostate_hold *hold, struct twostate_waiter *waiter)
{
    return begin(pair, path, hold, &(struct limit){.waiter = waiter, .site = SITE});
}

void twostate_iopair_begin_remap_two(struct twostate_iopair *source,
                                     struct twostate_iopair *destination,
                                     struct twostate_hold *hold)
{
    must(begin_two(source, destination, hold, &(struct limit){.infallible = true, .site = SITE}),
         source, "begin_remap_two");
}

bool twostate_iopair_try_begin_remap_two(struct twostate_iopair *source,
                                         struct twostate_iopair *destination,
                                         struct twostate_hold *hold)
{
    return begin_two(source, destination, hold, &(struct limit){.nowait = true, .site = SITE}) == 0;
}

int twostate_iopair_begin_remap_two_timed(struct twostate_iopair *source,
                                          struct twostate_iopair *destination,
                                          struct twostate_hold *hold,
                                          const struct timespec *deadline)
{
    return begin_two(source, destination, hold,
                     &(struct limit){.deadline = deadline, .site = SITE});
}

int twostate_iopair_begin_remap_two_async(struct twostate_iopair *source,
                                          struct twostate_iopair *destination,
                                          struct twostate_hold *hold,
                                          struct twostate_waiter *waiter)
{
    return begin_two(source, destination, hold, &(struct limit){.waiter = waiter, .site = SITE});
}

/*
 * Ends. Taking what is held out of the hold is one atomic step, so that of two threads that both
 * think they must end it, one does and the other stops the program.
 */
static uint32_t take_out(struct twostate_hold *hold, const char *call)
{
    const uint32_t held = sys_flag_exchange_(&hold->held_, 0);

    if (held == 0)
        die(hold, held, call);
    return held;
}

void twostate_iopair_end(struct twostate_hold *hold)
{
    struct twostate_iopair *pair = hold->pair_, *destination = hold->destination_;
    const uint32_t held = take_out(hold, "end");

    if (held & HELD_SPLIT)
        die(hold, held, "end");
    give_back(pair, destination, held);
}

void twostate_iopair_submitting(struct twostate_hold *hold, struct twostate_hold *completion)
{
    const uint32_t held = held_of(hold);
    const uint32_t never = HELD_REMAPPING | HELD_EXTENDING | HELD_SPLIT | HELD_WHOLE;
    const struct watch_call call = {.lock = &hold->pair_->iotype_,
                                    .name = "submitting",
                                    .site = SITE,
                                    .group = held & HELD_DIRECT ? GROUP_B : GROUP_A,
                                    .holds = 1};

    if (held == 0 || (held & never))
        die(hold, held, "submitting");
    if (completion == hold)
        die(hold, held, "submitting into the same hold");
    if (watched_())
        watch_disown_(&call);
    *completion = (struct twostate_hold){
        .pair_ = hold->pair_,
        .held_ = (held & HELD_IOTYPE) | HELD_SPLIT,
    };
    set_held(hold, (held & HELD_IOLOCK) | HELD_SPLIT);
}

void twostate_iopair_submitted(struct twostate_hold *hold)
{
    struct twostate_iopair *pair = hold->pair_;
    const uint32_t held = take_out(hold, "submitted");

    if ((held & HELD_SPLIT) == 0 || (held & HELD_IOLOCK) == 0)
        die(hold, held, "submitted");
    give_back(pair, NULL, held);
}

void twostate_iopair_complete(struct twostate_hold *completion)
{
    struct twostate_iopair *pair = completion->pair_;
    const uint32_t held = take_out(completion, "complete");

    if ((held & HELD_SPLIT) == 0 || (held & HELD_IOTYPE) == 0)
        die(completion, held, "complete");
    give_back(pair, NULL, held);
}

/* From one path to another. */

static int extend(struct twostate_hold *hold, const struct limit *limit)
{
    const uint32_t held = held_of(hold);

    if ((held & HELD_EXTENDING) == 0)
        die(hold, held, "extend_to_direct");
    if (refuses_waiter(hold->pair_, limit))
        return -ENOTSUP;
    return run_async(hold, extend_to_direct, limit);
}

void twostate_iopair_extend_to_direct(struct twostate_hold *hold)
{
    extend(hold, &(struct limit){.infallible = true, .site = SITE});
}

bool twostate_iopair_try_extend_to_direct(struct twostate_hold *hold)
{
    return extend(hold, &(struct limit){.nowait = true, .site = SITE}) == 0;
}

int twostate_iopair_extend_to_direct_timed(struct twostate_hold *hold,
                                           const struct timespec *deadline)
{
    return extend(hold, &(struct limit){.deadline = deadline, .site = SITE});
}

int twostate_iopair_extend_to_direct_async(struct twostate_hold *hold,
                                           struct twostate_waiter *waiter)
{
    return extend(hold, &(struct limit){.waiter = waiter, .site = SITE});
}

static int retry_unaligned(struct twostate_hold *hold, const struct limit *limit)
{
    struct twostate_iopair *pair = hold->pair_;
    const uint32_t held = held_of(hold);

    if (held != (HELD_SHARED | HELD_DIRECT))
        die(hold, held, "retry_unaligned");
    if (refuses_waiter(pair, limit))
        return -ENOTSUP;
    take_out(hold, "retry_unaligned");
    give_back(pair, NULL, held);
    return begin(pair, TWOSTATE_UNALIGNED, hold, limit);
}

void twostate_iopair_retry_unaligned(struct twostate_hold *hold)
{
    must(retry_unaligned(hold, &(struct limit){.infallible = true, .site = SITE}), hold->pair_,
         "retry_unaligned");
}

bool twostate_iopair_try_retry_unaligned(struct twostate_hold *hold)
{
    return retry_unaligned(hold, &(struct limit){.nowait = true, .site = SITE}) == 0;
}

int twostate_iopair_retry_unaligned_timed(struct twostate_hold *hold,
                                          const struct timespec *deadline)
{
    return retry_unaligned(hold, &(struct limit){.deadline = deadline, .site = SITE});
}

int twostate_iopair_retry_unaligned_async(struct twostate_hold *hold,
                                          struct twostate_waiter *waiter)
{
    return retry_unaligned(hold, &(struct limit){.waiter = waiter, .site = SITE});
}

struct twostate_iopair_info twostate_iopair_query(const struct twostate_iopair *pair)
{
    return (struct twostate_iopair_info){
        .iolock = twostate_iolock_query(&pair->iolock_),
        .iotype = twostate_lock_query(&pair->iotype_),
        .remapping = sys_flag_load_(&pair->remapping_) != 0,
    };
}

unsigned watch_locks_of_(const struct twostate_hold *hold, const struct twostate_lock *locks[4])
{
    const uint32_t held = held_of(hold);
    unsigned n = 0;

    if (held & HELD_IOLOCK)
        locks[n++] = &hold->pair_->iolock_.lock_;
    if (held & HELD_IOTYPE)
        locks[n++] = &hold->pair_->iotype_;
    if (held & HELD_TARGET_EXCLUSIVE)
        locks[n++] = &hold->destination_->iolock_.lock_;
    if (held & HELD_TARGET_BUFFERED)
        locks[n++] = &hold->destination_->iotype_;
    return n;
}
