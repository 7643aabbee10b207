/* SPDX-License-Identifier: MIT */
/* The lock as a sequential object: see sequential.h. */
#include "sequential.h"

unsigned call_group(const struct call *call)
{
    if (call->kind == CALL_CHANGE)
        return call->to;
    return call->kind == CALL_DRAIN ? MODE_FROZEN : call->mode;
}

static bool admits(const struct sequential *lock, enum mode mode, unsigned alone)
{
    return lock->mode == MODE_NONE || (lock->mode == mode && (alone & 1U << mode) == 0);
}

static bool remove_holds(struct sequential *lock, const struct call *call)
{
    if (lock->mode != call->mode || lock->holds < call->n)
        return false;
    lock->holds -= call->n;
    if (lock->holds == 0)
        lock->mode = MODE_NONE;
    return true;
}

static bool add_holds(struct sequential *lock, const struct call *call)
{
    lock->mode = call->mode;
    lock->holds += call->n;
    return true;
}

static bool done(struct sequential *lock, const struct call *call, unsigned alone)
{
    switch ((enum call_kind)call->kind) {
    case CALL_TAKE:
        return admits(lock, (enum mode)call->mode, alone) && add_holds(lock, call);
    case CALL_GIVE:
        return remove_holds(lock, call);
    case CALL_JOIN:
        return lock->mode == call->mode && add_holds(lock, call);
    case CALL_CHANGE:
        if (lock->mode != call->mode || lock->holds != 1)
            return false;
        lock->mode = call->to;
        return true;
    case CALL_DRAIN:
        return lock->mode == MODE_NONE || lock->mode == MODE_FROZEN;
    case CALL_LOOK:
        return lock->mode == call->seen && lock->holds == call->n;
    }
    return false;
}

static bool refused(const struct sequential *lock, const struct call *call, unsigned alone,
                    bool kept)
{
    switch ((enum call_kind)call->kind) {
    case CALL_TAKE:
        return kept || !admits(lock, (enum mode)call->mode, alone);
    case CALL_CHANGE: /* has a hold already, so nothing is kept from it */
        return lock->mode == call->mode && lock->holds > 1;
    case CALL_DRAIN: /* passes whoever has the turn */
        return lock->mode == MODE_A || lock->mode == MODE_B;
    default:
        return false;
    }
}

bool sequential_step(struct sequential *lock, const struct call *call, unsigned alone, bool kept)
{
    if (call->outcome == OUTCOME_DONE)
        return done(lock, call, alone);
    return call->outcome == OUTCOME_WITHDRAWN || refused(lock, call, alone, kept);
}
