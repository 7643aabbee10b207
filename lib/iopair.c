/* SPDX-License-Identifier: MIT */
/* The IO pair: each path's locks, taken in one order and given back in one order. */
#include <twostate/iopair.h>

#include "sys.h"
#include "wait.h"

#include <errno.h>
#include <stdio.h>

/* What a hold holds. */
enum held {
    HELD_SHARED = 1,     /* the IOLOCK, shared */
    HELD_EXCLUSIVE = 2,  /* the IOLOCK, exclusive */
    HELD_REMAPPING = 4,  /* the pair's IREMAPPING flag */
    HELD_BUFFERED = 8,   /* IOTYPE */
    HELD_DIRECT = 16,    /* IOTYPE */
    HELD_EXTENDING = 32, /* nothing; marks a hold that may turn to direct */
    HELD_SPLIT = 64,     /* nothing; marks the halves of a submitted hold */
    HELD_WHOLE = 128,    /* nothing; marks a hold that is alone with the file till its end */
};

#define HELD_IOLOCK (HELD_SHARED | HELD_EXCLUSIVE)
#define HELD_IOTYPE (HELD_BUFFERED | HELD_DIRECT)

/* How long a begin may wait. */
struct limit {
    bool nowait;
    const struct timespec *deadline;
};

static const struct limit forever = {.nowait = false};
static const struct limit nowait = {.nowait = true};

void twostate_iopair_init(struct twostate_iopair *pair)
{
    *pair = (struct twostate_iopair)TWOSTATE_IOPAIR_INIT;
}

static _Noreturn void die(const struct twostate_hold *hold, uint32_t held, const char *call)
{
    sys_die_("hold %p of pair %p: misuse: %s while it holds%s%s%s%s%s%s%s", (const void *)hold,
             (const void *)hold->pair_, call, held == 0 ? " nothing" : "",
             held & HELD_SHARED ? " IOLOCK-shared" : "",
             held & HELD_EXCLUSIVE ? " IOLOCK-exclusive" : "",
             held & HELD_REMAPPING ? " IREMAPPING" : "",
             held & HELD_BUFFERED ? " IOTYPE-buffered" : "",
             held & HELD_DIRECT ? " IOTYPE-direct" : "",
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

/* The parts: each takes one thing and notes it, or returns why not. */

static int take_iolock(struct twostate_hold *hold, struct twostate_iopair *pair,
                       enum twostate_iomode mode, const struct limit *limit)
{
    int result = 0;

    if (limit->nowait)
        result = twostate_iolock_try_acquire(&pair->iolock_, mode) ? 0 : -EAGAIN;
    else if (limit->deadline)
        result = twostate_iolock_acquire_timed(&pair->iolock_, mode, limit->deadline);
    else
        twostate_iolock_acquire(&pair->iolock_, mode);
    if (result == 0 && pair == hold->pair_)
        hold->held_ |= mode == TWOSTATE_SHARED ? HELD_SHARED : HELD_EXCLUSIVE;
    return result;
}

static int take_iotype(struct twostate_hold *hold, struct twostate_iopair *pair,
                       enum twostate_state state, const struct limit *limit)
{
    int result = 0;

    if (limit->nowait)
        result = twostate_lock_try_acquire(&pair->iotype_, state) ? 0 : -EAGAIN;
    else if (limit->deadline)
        result = twostate_lock_acquire_timed(&pair->iotype_, state, limit->deadline);
    else
        twostate_lock_acquire(&pair->iotype_, state);
    if (result == 0 && pair == hold->pair_)
        hold->held_ |= state == TWOSTATE_BUFFERED_STATE ? HELD_BUFFERED : HELD_DIRECT;
    return result;
}

/* Nobody can take IOTYPE while the caller holds the IOLOCK exclusive, so drained stays drained. */
static int drain(struct twostate_iopair *pair, const struct limit *limit)
{
    if (limit->nowait)
        return twostate_lock_query(&pair->iotype_).holders == 0 ? 0 : -EAGAIN;
    return twostate_lock_drain_timed(&pair->iotype_, limit->deadline);
}

static void demote(struct twostate_hold *hold)
{
    hold->held_ = (hold->held_ & ~(uint32_t)HELD_EXCLUSIVE) | HELD_SHARED;
    twostate_iolock_demote(&hold->pair_->iolock_);
}

static void set_remapping(struct twostate_hold *hold)
{
    sys_flag_store_(&hold->pair_->remapping_, 1);
    hold->held_ |= HELD_REMAPPING;
    demote(hold);
}

/* Gives back what `held` says: IOTYPE, IREMAPPING, IOLOCK. The pair may be gone after the last. */
static void give_back(struct twostate_iopair *pair, uint32_t held)
{
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
}

/* The paths. */

static int begin_shared(struct twostate_hold *hold, enum twostate_state state,
                        const struct limit *limit)
{
    const int result = take_iolock(hold, hold->pair_, TWOSTATE_SHARED, limit);

    return result ? result : take_iotype(hold, hold->pair_, state, limit);
}

static int begin_exclusive(struct twostate_hold *hold, const struct limit *limit)
{
    const int result = take_iolock(hold, hold->pair_, TWOSTATE_EXCLUSIVE, limit);

    return result ? result : take_iotype(hold, hold->pair_, TWOSTATE_BUFFERED_STATE, limit);
}

/* A remap keeps the IOLOCK shared while IREMAPPING is set: exclusive waits for its end. */
static int begin_buffered_write(struct twostate_hold *hold, const struct limit *limit)
{
    const int result = take_iolock(hold, hold->pair_, TWOSTATE_SHARED, limit);

    if (result)
        return result;
    if (!sys_flag_load_(&hold->pair_->remapping_))
        return take_iotype(hold, hold->pair_, TWOSTATE_BUFFERED_STATE, limit);
    give_back(hold->pair_, hold->held_);
    hold->held_ = 0;
    return begin_exclusive(hold, limit);
}

static int begin_remap(struct twostate_hold *hold, const struct limit *limit)
{
    const int result = take_iolock(hold, hold->pair_, TWOSTATE_EXCLUSIVE, limit);

    if (result)
        return result;
    set_remapping(hold);
    return take_iotype(hold, hold->pair_, TWOSTATE_BUFFERED_STATE, limit);
}

static int begin_drained(struct twostate_hold *hold, const struct limit *limit)
{
    int result = take_iolock(hold, hold->pair_, TWOSTATE_EXCLUSIVE, limit);

    if (result == 0)
        result = drain(hold->pair_, limit);
    return result ? result : take_iotype(hold, hold->pair_, TWOSTATE_BUFFERED_STATE, limit);
}

static int begin_path(struct twostate_hold *hold, enum twostate_iopath path,
                      const struct limit *limit)
{
    switch (path) {
    case TWOSTATE_BUFFERED_READ:
        return begin_shared(hold, TWOSTATE_BUFFERED_STATE, limit);
    case TWOSTATE_BUFFERED_WRITE:
        return begin_buffered_write(hold, limit);
    case TWOSTATE_DIRECT:
        return begin_shared(hold, TWOSTATE_DIRECT_STATE, limit);
    case TWOSTATE_DIRECT_EXTEND:
        hold->held_ = HELD_EXTENDING;
        return begin_exclusive(hold, limit);
    case TWOSTATE_UNALIGNED:
        hold->held_ = HELD_WHOLE;
        return begin_exclusive(hold, limit);
    case TWOSTATE_REMAP:
        return begin_remap(hold, limit);
    case TWOSTATE_EXCLUSIVE_IO:
        hold->held_ = HELD_WHOLE;
        return begin_drained(hold, limit);
    }
    sys_die_("pair %p: misuse: begin of path %d, which does not exist", (const void *)hold->pair_,
             (int)path);
}

static int begin(struct twostate_iopair *pair, enum twostate_iopath path,
                 struct twostate_hold *hold, const struct limit *limit)
{
    int result = 0;

    *hold = (struct twostate_hold){.pair_ = pair};
    if (!wait_deadline_valid_(limit->deadline))
        return -EINVAL;
    result = begin_path(hold, path, limit);
    if (result) {
        give_back(pair, hold->held_);
        *hold = (struct twostate_hold){0};
    }
    return result;
}

void twostate_iopair_begin(struct twostate_iopair *pair, enum twostate_iopath path,
                           struct twostate_hold *hold)
{
    begin(pair, path, hold, &forever);
}

bool twostate_iopair_try_begin(struct twostate_iopair *pair, enum twostate_iopath path,
                               struct twostate_hold *hold)
{
    return begin(pair, path, hold, &nowait) == 0;
}

int twostate_iopair_begin_timed(struct twostate_iopair *pair, enum twostate_iopath path,
                                struct twostate_hold *hold, const struct timespec *deadline)
{
    return begin(pair, path, hold, &(struct limit){.deadline = deadline});
}

/* Remap between two files. */

#define DESTINATION_HELD (HELD_EXCLUSIVE | HELD_BUFFERED)

static int take_source_iolock(struct twostate_hold *hold, const struct limit *limit)
{
    const int result = take_iolock(hold, hold->pair_, TWOSTATE_EXCLUSIVE, limit);

    if (result == 0)
        set_remapping(hold);
    return result;
}

static int take_two_iolocks(struct twostate_hold *hold, struct twostate_iopair *destination,
                            uint32_t *destination_held, const struct limit *limit)
{
    const bool source_first = (uintptr_t)hold->pair_ < (uintptr_t)destination;
    int result = 0;

    if (source_first)
        result = take_source_iolock(hold, limit);
    if (result == 0)
        result = take_iolock(hold, destination, TWOSTATE_EXCLUSIVE, limit);
    if (result == 0) {
        *destination_held = HELD_EXCLUSIVE;
        if (!source_first)
            result = take_source_iolock(hold, limit);
    }
    return result;
}

static int take_two_iotypes(struct twostate_hold *hold, struct twostate_iopair *destination,
                            uint32_t *destination_held, const struct limit *limit)
{
    int result = take_iotype(hold, hold->pair_, TWOSTATE_BUFFERED_STATE, limit);

    if (result == 0)
        result = drain(destination, limit);
    if (result == 0)
        result = take_iotype(hold, destination, TWOSTATE_BUFFERED_STATE, limit);
    if (result == 0)
        *destination_held = DESTINATION_HELD;
    return result;
}

static int begin_two(struct twostate_iopair *source, struct twostate_iopair *destination,
                     struct twostate_hold *hold, const struct limit *limit)
{
    uint32_t destination_held = 0;
    int result = 0;

    if (source == destination)
        return begin(source, TWOSTATE_EXCLUSIVE_IO, hold, limit);
    *hold = (struct twostate_hold){.pair_ = source};
    if (!wait_deadline_valid_(limit->deadline))
        return -EINVAL;
    result = take_two_iolocks(hold, destination, &destination_held, limit);
    if (result == 0)
        result = take_two_iotypes(hold, destination, &destination_held, limit);
    if (result == 0) {
        hold->destination_ = destination;
        return 0;
    }
    give_back(destination, destination_held);
    give_back(source, hold->held_);
    *hold = (struct twostate_hold){0};
    return result;
}

void twostate_iopair_begin_remap_two(struct twostate_iopair *source,
                                     struct twostate_iopair *destination,
                                     struct twostate_hold *hold)
{
    begin_two(source, destination, hold, &forever);
}

bool twostate_iopair_try_begin_remap_two(struct twostate_iopair *source,
                                         struct twostate_iopair *destination,
                                         struct twostate_hold *hold)
{
    return begin_two(source, destination, hold, &nowait) == 0;
}

int twostate_iopair_begin_remap_two_timed(struct twostate_iopair *source,
                                          struct twostate_iopair *destination,
                                          struct twostate_hold *hold,
                                          const struct timespec *deadline)
{
    return begin_two(source, destination, hold, &(struct limit){.deadline = deadline});
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
    const uint32_t held = take_out(hold, "end");
    struct twostate_iopair *destination = hold->destination_;

    if (held & HELD_SPLIT)
        die(hold, held, "end");
    if (destination)
        give_back(destination, DESTINATION_HELD);
    give_back(hold->pair_, held);
}

void twostate_iopair_submitting(struct twostate_hold *hold, struct twostate_hold *completion)
{
    const uint32_t held = held_of(hold);
    const uint32_t never = HELD_REMAPPING | HELD_EXTENDING | HELD_SPLIT | HELD_WHOLE;

    if (held == 0 || (held & never) || hold->destination_)
        die(hold, held, "submitting");
    *completion = (struct twostate_hold){
        .pair_ = hold->pair_,
        .held_ = (held & HELD_IOTYPE) | HELD_SPLIT,
    };
    set_held(hold, (held & HELD_IOLOCK) | HELD_SPLIT);
}

void twostate_iopair_submitted(struct twostate_hold *hold)
{
    const uint32_t held = take_out(hold, "submitted");

    if ((held & HELD_SPLIT) == 0 || (held & HELD_IOLOCK) == 0)
        die(hold, held, "submitted");
    give_back(hold->pair_, held);
}

void twostate_iopair_complete(struct twostate_hold *completion)
{
    const uint32_t held = take_out(completion, "complete");

    if ((held & HELD_SPLIT) == 0 || (held & HELD_IOTYPE) == 0)
        die(completion, held, "complete");
    give_back(completion->pair_, held);
}

/* From one path to another. */

static int extend_to_direct(struct twostate_hold *hold, const struct limit *limit)
{
    struct twostate_lock *iotype = &hold->pair_->iotype_;
    const uint32_t held = held_of(hold);
    int result = 0;

    if ((held & HELD_EXTENDING) == 0)
        die(hold, held, "extend_to_direct");
    if (limit->nowait)
        result = twostate_lock_try_switch(iotype, TWOSTATE_DIRECT_STATE) ? 0 : -EAGAIN;
    else
        result = twostate_lock_switch_timed(iotype, TWOSTATE_DIRECT_STATE, limit->deadline);
    if (result == 0) {
        twostate_iolock_demote(&hold->pair_->iolock_);
        set_held(hold, HELD_SHARED | HELD_DIRECT);
    }
    return result;
}

void twostate_iopair_extend_to_direct(struct twostate_hold *hold)
{
    extend_to_direct(hold, &forever);
}

bool twostate_iopair_try_extend_to_direct(struct twostate_hold *hold)
{
    return extend_to_direct(hold, &nowait) == 0;
}

int twostate_iopair_extend_to_direct_timed(struct twostate_hold *hold,
                                           const struct timespec *deadline)
{
    return extend_to_direct(hold, &(struct limit){.deadline = deadline});
}

static int retry_unaligned(struct twostate_hold *hold, const struct limit *limit)
{
    struct twostate_iopair *pair = hold->pair_;
    const uint32_t held = held_of(hold);

    if (held != (HELD_SHARED | HELD_DIRECT))
        die(hold, held, "retry_unaligned");
    take_out(hold, "retry_unaligned");
    give_back(pair, held);
    return begin(pair, TWOSTATE_UNALIGNED, hold, limit);
}

void twostate_iopair_retry_unaligned(struct twostate_hold *hold)
{
    retry_unaligned(hold, &forever);
}

bool twostate_iopair_try_retry_unaligned(struct twostate_hold *hold)
{
    return retry_unaligned(hold, &nowait) == 0;
}

int twostate_iopair_retry_unaligned_timed(struct twostate_hold *hold,
                                          const struct timespec *deadline)
{
    return retry_unaligned(hold, &(struct limit){.deadline = deadline});
}

struct twostate_iopair_info twostate_iopair_query(const struct twostate_iopair *pair)
{
    return (struct twostate_iopair_info){
        .iolock = twostate_iolock_query(&pair->iolock_),
        .iotype = twostate_lock_query(&pair->iotype_),
        .remapping = sys_flag_load_(&pair->remapping_) != 0,
    };
}
