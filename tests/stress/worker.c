/* SPDX-License-Identifier: MIT */
/* The torture's operations, one random call after the other: see torture.h. */
#include "torture.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

struct timespec any_deadline(void)
{
    const struct timespec past = {.tv_sec = 0};
    const uint32_t how = below(8);
    struct timespec time;

    if (how < 2)
        return past;
    if (how == 7)
        return after_ms(1 + (long)below(3));
    time = after_ms(0);
    time.tv_nsec += 1000 * (long)below(100);
    if (time.tv_nsec >= 1000000000) {
        time.tv_nsec -= 1000000000;
        time.tv_sec++;
    }
    return time;
}

enum how any_how(void)
{
    const uint32_t how = below(8);

    if (how < 3)
        return HOW_WAIT;
    if (how < 5)
        return HOW_TRY;
    return how < 7 ? HOW_TIMED : HOW_ASYNC;
}

static struct hold any_hold(uint32_t kind)
{
    const unsigned can = torture.subject->can;
    struct hold hold = {.mode = kind % 2 ? MODE_B : MODE_A, .n = 1};

    if ((can & CAN_FREEZE) != 0 && kind % 16 == 0)
        hold.mode = MODE_FROZEN;
    else if ((can & CAN_N) != 0 && kind % 8 < 2)
        hold.n = 1 + below(5);
    return hold;
}

static bool take(struct place *place, struct hold *hold, enum how how)
{
    static const char *const names[MODES][4] = {
        {"acquires A", "tries A", "acquires A until its deadline", "acquires A by a waiter"},
        {"acquires B", "tries B", "acquires B until its deadline", "acquires B by a waiter"},
        {"freezes", "tries to freeze", "freezes until its deadline", "freezes by a waiter"},
    };
    struct timespec deadline = {.tv_sec = 0};
    int result = 0;

    if (how == HOW_TIMED || how == HOW_ASYNC)
        deadline = any_deadline();
    doing(names[hold->mode][how], place);
    result = torture.subject->take(place->object, hold, how, &deadline);
    if (result == -ENOTSUP && how == HOW_ASYNC) /* the lock is process-shared */
        result = torture.subject->take(place->object, hold, HOW_WAIT, NULL);
    if (result == 0)
        return true;
    if (how == HOW_WAIT || result != (how == HOW_TRY ? -EAGAIN : -ETIMEDOUT))
        found("an acquire failed for no reason");
    return false;
}

/* Calls that are errors, and must change nothing. */
static void err(struct place *place)
{
    const struct timespec never = {.tv_nsec = 1000000000};
    struct hold hold = {.mode = MODE_A, .n = 1};

    if (torture.subject->take(place->object, &hold, HOW_TIMED, &never) != -EINVAL)
        found("an impossible deadline was accepted");
    if ((torture.subject->can & CAN_N) == 0)
        return;
    hold.n = 0;
    if (torture.subject->take(place->object, &hold, HOW_WAIT, NULL) != -EINVAL)
        found("no holds were acquired");
    hold.n = TWOSTATE_LOCK_MAX_HOLDERS + 1;
    if (torture.subject->take(place->object, &hold, HOW_WAIT, NULL) != -EOVERFLOW)
        found("more holds were acquired than there are");
}

static void drain(struct place *place)
{
    const struct timespec deadline = any_deadline();
    const enum how how = any_how();
    struct drain_check check;
    int result = 0;

    drain_begins(place, &check);
    doing("drains", place);
    result = torture.subject->drain(place->object, how, &deadline);
    if (result == 0)
        drain_returned(&check);
    else if (result != (how == HOW_ASYNC ? -ENOTSUP : -ETIMEDOUT) &&
             (result != -ETIMEDOUT || how == HOW_WAIT))
        found("a drain failed for no reason");
    place_entered();
}

static void change(struct entry *entry)
{
    const enum mode from = entry->hold->mode;
    const enum how how = any_how();
    const unsigned can = torture.subject->can;

    if (entry->hold->n != 1)
        return;
    if ((can & CAN_SWITCH) != 0) {
        if (from == MODE_FROZEN)
            entry_change(entry, below(2) ? MODE_A : MODE_B, how);
        else
            entry_change(entry, from == MODE_A ? MODE_B : MODE_A, how);
        entry_stay(entry);
    } else if ((can & CAN_DEMOTE) != 0 && from == MODE_B) {
        entry_change(entry, MODE_A, HOW_WAIT);
        entry_stay(entry);
    }
}

static void join(struct entry *entry)
{
    if ((torture.subject->can & CAN_JOIN) == 0 || entry->hold->mode == MODE_FROZEN)
        return;
    doing("joins", entry->place);
    if (torture.subject->join(entry->place->object, entry->hold) != 0)
        found("a join failed for no reason");
    entry->hold->n++;
}

static void hold_for_a_while(struct entry *entry, struct place *place)
{
    const uint32_t kind = below(32);

    entry_enter(entry, place, &entry->own);
    place_entered();
    doing("holds", place);
    entry_stay(entry);
    if (kind < 4)
        change(entry);
    else if (kind < 8)
        join(entry);
    if (below(torture.pace / 2) == 0)
        store(&entry->status, ENTRY_LEFT);
    else
        entry_end(entry);
}

static void operate(void)
{
    const uint32_t kind = below(256);
    struct entry *entry = NULL;
    struct place *place = NULL;

    if (kind == 0) {
        place_free();
        return;
    }
    entry = entry_new();
    place = place_enter();
    if (kind == 1) {
        err(place);
    } else if (kind < 12 && (torture.subject->can & CAN_DRAIN) != 0) {
        drain(place);
    } else if (kind < 50) {
        entry->own = any_hold(kind);
        request_operate(place, &entry->own);
    } else {
        entry->own = any_hold(kind);
        if (take(place, &entry->own, any_how()))
            hold_for_a_while(entry, place);
    }
    place_entered();
}

void worker_run(void *worker)
{
    self = worker;
    self->others = random_stream(torture.seed, self->number, UINT64_MAX);
    while (!load(&torture.stop) && self->operations < self->limit) {
        struct worker *other = &torture.workers[(self->number + 1) % torture.threads];

        self->random = random_stream(torture.seed, self->number, self->operations);
        if (below(8) == 0) {
            doing("completes for another", NULL);
            entries_adopt(other);
            request_cancel_of(other);
        }
        operate();
        store(&self->operations, self->operations + 1);
    }
    doing("is done", NULL);
    entries_adopt(self);
}
