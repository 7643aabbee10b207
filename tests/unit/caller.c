/* SPDX-License-Identifier: MIT */
/* A thread that makes one call: see caller.h. */
#include "caller.h"

static int make_call(struct caller *c)
{
    switch (c->call) {
    case CALL_ACQUIRE:
        twostate_lock_acquire(c->lock, c->state);
        return 0;
    case CALL_ACQUIRE_TIMED:
        return twostate_lock_acquire_timed(c->lock, c->state, &c->deadline);
    case CALL_DRAIN:
        twostate_lock_drain(c->lock);
        return 0;
    case CALL_DRAIN_TIMED:
        return twostate_lock_drain_timed(c->lock, &c->deadline);
    case CALL_SWITCH:
        return twostate_lock_switch(c->lock, c->state);
    case CALL_SWITCH_TIMED:
        return twostate_lock_switch_timed(c->lock, c->state, &c->deadline);
    case CALL_ACQUIRE_N:
        return twostate_lock_acquire_n(c->lock, c->state, c->n);
    case CALL_ACQUIRE_N_TIMED:
        return twostate_lock_acquire_n_timed(c->lock, c->state, c->n, &c->deadline);
    case CALL_FREEZE:
        twostate_lock_freeze(c->lock);
        return 0;
    case CALL_FREEZE_TIMED:
        return twostate_lock_freeze_timed(c->lock, &c->deadline);
    case CALL_THAW_TO:
        return twostate_lock_thaw_to(c->lock, c->state);
    case CALL_THAW_TO_TIMED:
        return twostate_lock_thaw_to_timed(c->lock, c->state, &c->deadline);
    }
    return -1;
}

static void run(void *argument)
{
    struct caller *caller = argument;

    caller->result = make_call(caller);
}

void caller_start_timed(struct caller *caller, struct twostate_lock *lock, enum call call,
                        enum twostate_state state, long ms)
{
    *caller = (struct caller){
        .lock = lock, .call = call, .state = state, .n = 3, .deadline = after_ms(ms)};
    task_start(&caller->task, run, caller);
}

void caller_start_n(struct caller *caller, struct twostate_lock *lock, enum twostate_state state,
                    uint32_t n)
{
    *caller = (struct caller){.lock = lock, .call = CALL_ACQUIRE_N, .state = state, .n = n};
    task_start(&caller->task, run, caller);
}

void caller_start(struct caller *caller, struct twostate_lock *lock, enum call call,
                  enum twostate_state state)
{
    caller_start_timed(caller, lock, call, state, 0);
}

bool caller_done(const struct caller *caller)
{
    return task_done(&caller->task);
}

int caller_join(struct caller *caller)
{
    task_join(&caller->task);
    return caller->result;
}
