/* SPDX-License-Identifier: MIT */
/*
 * The hooks of the locks, handed on to those who watch; and the ends of threads, and forks.
 *
 * The table of holds is kept for all of them.
 */
#include "watch.h"

#include "class.h"
#include "holds.h"
#include "stats.h"
#include "tsan.h"
#include "validate_order.h"
#include "validate_report.h"
#include "validate_rules.h"
#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

#define LAST_ROUND (PTHREAD_DESTRUCTOR_ITERATIONS - 1)

uint32_t watch_mask_;

static pthread_key_t end_key;
static bool have_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local bool armed; /* this thread's end will be seen */

static bool on(uint32_t who)
{
    return (__atomic_load_n(&watch_mask_, __ATOMIC_RELAXED) & who) != 0;
}

/*
 * Nobody wants to know who holds it; or it was used before anybody watched: then its fast paths are
 * open, and not all calls come here.
 */
static bool unseen(const struct twostate_lock *lock)
{
    return !on(WATCH_HOLDS) || (__atomic_load_n(&lock->word_, __ATOMIC_RELAXED) & WORD_FAST) != 0;
}

static void forget(const struct twostate_lock *lock)
{
    holds_forget_(lock, sizeof(*lock));
    order_forget_(lock, sizeof(*lock));
    class_forget_(lock, sizeof(*lock));
}

/* What is known of this address was of a lock that is gone: it was zeroed since. */
static void renew(const struct twostate_lock *lock)
{
    if (class_seen_(lock))
        return;
    forget(lock);
    class_see_(lock);
}

/*
 * A thread that ends may give back what it holds in the destructors of its other keys; so this one
 * waits until the last round of them but one. (In the last, ThreadSanitizer forgets the thread.)
 */
static void thread_ends(void *argument)
{
    struct holder *holder = argument;

    if (++holder->ends < LAST_ROUND) {
        pthread_setspecific(end_key, holder);
        return;
    }
    holds_lock_();
    if (on(WATCH_VALIDATE))
        rules_thread_end_(holder);
    holds_abandon_(holder);
    holds_wait_(NULL);
    holds_unlock_();
}

static void fork_is_judged(void)
{
    holds_lock_();
    if (on(WATCH_VALIDATE))
        rules_fork_();
    holds_unlock_();
}

static void fork_begins(void)
{
    holds_lock_();
    class_lock_();
}

static void fork_ends(void)
{
    class_unlock_();
    holds_unlock_();
}

static void fork_ends_in_child(void)
{
    holds_fork_child_();
    report_fork_child_();
    fork_ends();
}

/*
 * A program's own handlers of forks may take locks, to find them whole in the child. So those that
 * close our tables are there before them: they come last before the fork, and first after it. This
 * one comes after most of them, so it is called before: what they take is no fault.
 */
static void start_once(void)
{
    have_key = pthread_key_create(&end_key, thread_ends) == 0;
    pthread_atfork(fork_is_judged, NULL, NULL);
}

struct holder *watch_self_(void)
{
    struct holder *self = holds_self_();

    if (!armed) {
        pthread_once(&once, start_once);
        armed = have_key && pthread_setspecific(end_key, self) == 0;
    }
    return armed && self->ends < LAST_ROUND ? self : NULL;
}

/* Before the program's own constructors, which may use locks. Here, where it is always linked. */
__attribute__((constructor(101))) static void start(void)
{
    pthread_atfork(fork_begins, fork_ends, fork_ends_in_child);
    validate_start_by_environment_();
}

int watch_wait_(const struct watch_call *call)
{
    const int saved = errno;
    bool for_itself = false;

    if (!on(WATCH_VALIDATE) || unseen(call->lock))
        return 0;
    holds_lock_();
    renew(call->lock);
    for_itself = rules_wait_(call);
    if (watch_self_() != NULL)
        holds_wait_(call->lock);
    holds_unlock_();
    errno = saved;
    return for_itself ? -EDEADLK : 0;
}

static void stop_waiting(bool async)
{
    if (async || !on(WATCH_HOLDS))
        return;
    holds_lock_();
    holds_wait_(NULL);
    holds_unlock_();
}

void watch_nothing_(void)
{
    stop_waiting(false);
}

/* Of a lock between processes, the fast path may have been opened by another while this waited. */
void watch_held_(const struct watch_call *call, bool async)
{
    const int saved = errno;
    struct stack stack = {0};

    if (unseen(call->lock)) {
        stop_waiting(async);
        return;
    }
    if (on(WATCH_VALIDATE))
        report_stack_(&stack, call->site);
    holds_lock_();
    renew(call->lock);
    holds_add_(call, &stack, async ? NULL : watch_self_());
    if (!async)
        holds_wait_(NULL);
    holds_unlock_();
    if (on(WATCH_STATS))
        stats_held_(call);
    errno = saved;
}

/* Takes up to `most` out of the record, and tells who wants to know how long they lasted. */
static uint32_t end_of_hold(struct hold *hold, uint32_t most)
{
    const struct hold taken = holds_take_(hold, most);

    if (on(WATCH_STATS))
        stats_hold_over_(&taken, wait_now_ns_());
    return taken.count;
}

void watch_release_(const struct watch_call *call)
{
    const int saved = errno;
    uint32_t left = call->holds;

    if (unseen(call->lock))
        return;
    holds_lock_();
    while (left > 0) {
        struct hold *hold = holds_find_(call->lock, call->group);

        if (hold == NULL)
            break;
        if (on(WATCH_VALIDATE))
            rules_give_back_(call, hold);
        left -= end_of_hold(hold, left);
    }
    holds_unlock_();
    errno = saved;
}

void watch_switched_(const struct watch_call *call, enum group from)
{
    const int saved = errno;
    struct holder *holder = NULL;
    struct hold *hold = NULL;
    struct stack stack = {0};

    if (unseen(call->lock)) {
        stop_waiting(call->async);
        return;
    }
    if (on(WATCH_VALIDATE))
        report_stack_(&stack, call->site);
    holds_lock_();
    hold = holds_find_(call->lock, from);
    if (hold != NULL) {
        if (on(WATCH_VALIDATE) && !call->async)
            rules_give_back_(call, hold);
        holder = call->async ? NULL : hold->holder;
        end_of_hold(hold, 1);
        holds_add_(call, &stack, holder);
    }
    if (!call->async)
        holds_wait_(NULL);
    holds_unlock_();
    if (on(WATCH_STATS))
        stats_held_(call);
    errno = saved;
}

void watch_disown_(const struct watch_call *call)
{
    struct hold *hold = NULL;

    if (tsan_sees_())
        tsan_disown_(call->lock);
    if (unseen(call->lock))
        return;
    holds_lock_();
    hold = holds_find_(call->lock, call->group);
    if (hold != NULL && hold->holder == holds_self_())
        holds_hand_(hold, NULL);
    holds_unlock_();
}

void watch_init_(const struct twostate_lock *lock)
{
    if (tsan_sees_())
        tsan_forget_(lock);
    if (!on(WATCH_HOLDS))
        return;
    holds_lock_();
    if (on(WATCH_VALIDATE))
        rules_lock_end_(lock, "init");
    forget(lock);
    holds_unlock_();
}

void watch_destroy_(const struct twostate_lock *lock, bool exclusive)
{
    (void)exclusive;
    if (tsan_sees_())
        tsan_forget_(lock);
    if (!on(WATCH_HOLDS))
        return;
    holds_lock_();
    if (on(WATCH_VALIDATE))
        rules_lock_end_(lock, "destroy");
    forget(lock);
    holds_unlock_();
}

void watch_clear_(const struct twostate_lock *lock)
{
    if (!on(WATCH_HOLDS))
        return;
    holds_lock_();
    holds_forget_(lock, sizeof(*lock));
    holds_unlock_();
}

void watch_waited_(const struct watch_wait *wait, int64_t ns)
{
    if (on(WATCH_STATS))
        stats_waited_(wait, ns);
}

void watch_phase_(const struct twostate_lock *lock, bool exclusive, enum group from)
{
    if (on(WATCH_STATS))
        stats_phase_(lock, exclusive, from);
}
