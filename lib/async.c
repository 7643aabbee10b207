/* SPDX-License-Identifier: MIT */
/*
 * Waiters without a thread: queued by the address of their lock, granted by whoever makes room.
 *
 * A queued waiter goes through the same looks at the word as a thread does (wait.c); only that
 * others look for it: whoever clears its group's sleep bit, and, so that its patience counts,
 * every newcomer. The word's async bit sends both here. A bucket's mutex is held for looks only;
 * what was granted is told to the waiters after it, in deliver().
 *
 * A waiter is in its lock's bucket if and only if its state is QUEUED and lock_ names the lock; so
 * the lock can't be gone while the bucket's mutex is held and the waiter is in it.
 */
#include "async.h"
#include "aligned.h"

#include "probe.h"
#include "tsan.h"
#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

enum state {
    QUEUED = 1,
    MOVING = 2,         /* between being granted and being told, or from one lock to the next */
    MOVING_WATCHED = 3, /* the same, and somebody sleeps until it is over */
    GRANTED = 4,
    CANCELLED = 5,
};

/* want_: a struct want and the progress of a struct waiter, in bits. */
enum {
    BITS_GROUP = 3,
    BITS_FROM_SHIFT = 2,
    BITS_EXCLUSIVE = 16,
    BITS_SWITCHING = 32,
    BITS_REGISTERED = 64,
    BITS_MARKED = 128, /* the word's switching bit is this waiter's */
    BITS_IMPATIENT = 256,
};

struct waiters {
    struct twostate_waiter *first, **end;
};

#define BUCKETS 64

static struct bucket {
    struct sys_mutex mutex;
    struct waiters queue;
    aligned_u64 due; /* in ns, when the first patience ends; 0: no waiter is patient */
} buckets[BUCKETS];

/* A forked child has one thread, and nobody in it waits; a mutex may have been another thread's. */
static void forget_all(void)
{
    memset(buckets, 0, sizeof(buckets));
    *sys_thread_() = (struct sys_thread){0};
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_all);
}

static struct bucket *bucket_of(const void *lock)
{
    const uint64_t hash = (uint64_t)(uintptr_t)lock * UINT64_C(0x9e3779b97f4a7c15);

    return &buckets[hash >> 58];
}

static void push(struct twostate_waiter **first, struct twostate_waiter ***end,
                 struct twostate_waiter *waiter)
{
    if (*first == NULL)
        *end = first;
    waiter->next_ = NULL;
    waiter->previous_ = *end;
    **end = waiter;
    *end = &waiter->next_;
}

static struct twostate_waiter *pop(struct twostate_waiter **first)
{
    struct twostate_waiter *waiter = *first;

    if (waiter) {
        *first = waiter->next_;
        if (waiter->next_)
            waiter->next_->previous_ = first;
    }
    return waiter;
}

static void unlink_waiter(struct waiters *queue, struct twostate_waiter *waiter)
{
    *waiter->previous_ = waiter->next_;
    if (waiter->next_)
        waiter->next_->previous_ = waiter->previous_;
    else
        queue->end = waiter->previous_;
}

/* The state of a waiter that another thread may have granted. */
static uint32_t state_of(const struct twostate_waiter *waiter)
{
    const uint32_t state = sys_flag_load_(&waiter->state_);

    if (state >= GRANTED && tsan_sees_())
        tsan_receive_(waiter);
    return state;
}

/* The waiter may be gone as soon as its state is final, if it has no callback. */
static void set_state(struct twostate_waiter *waiter, enum state state)
{
    const bool waited_for = waiter->done == NULL && state >= GRANTED;

    if (waited_for && tsan_sees_())
        tsan_pass_(waiter);
    if (sys_flag_exchange_(&waiter->state_, state) == MOVING_WATCHED || waited_for)
        sys_flag_wake_(&waiter->state_);
}

static struct want want_of(const struct twostate_waiter *waiter)
{
    return (struct want){.group = (enum group)(waiter->want_ & BITS_GROUP),
                         .from = (enum group)(waiter->want_ >> BITS_FROM_SHIFT & BITS_GROUP),
                         .switching = (waiter->want_ & BITS_SWITCHING) != 0,
                         .exclusive = (waiter->want_ & BITS_EXCLUSIVE) != 0,
                         .holds = waiter->holds_,
                         .call = waiter->call_};
}

static void set_want(struct twostate_waiter *waiter, const struct want *want)
{
    waiter->want_ = (uint32_t)want->group | (uint32_t)want->from << BITS_FROM_SHIFT |
                    (want->switching ? BITS_SWITCHING : 0) | (want->exclusive ? BITS_EXCLUSIVE : 0);
    waiter->holds_ = want->holds;
    waiter->call_ = want->call;
}

static struct waiter progress_of(const struct twostate_waiter *waiter, const struct want *want)
{
    return (struct waiter){.want = want,
                           .patience_end = waiter->patience_end_,
                           .registered = (waiter->want_ & BITS_REGISTERED) != 0,
                           .switching = (waiter->want_ & BITS_MARKED) != 0,
                           .impatient = (waiter->want_ & BITS_IMPATIENT) != 0,
                           .async = true};
}

static void set_progress(struct twostate_waiter *waiter, const struct waiter *progress)
{
    waiter->want_ &= ~(uint32_t)(BITS_REGISTERED | BITS_MARKED | BITS_IMPATIENT);
    waiter->want_ |= (progress->registered ? BITS_REGISTERED : 0) |
                     (progress->switching ? BITS_MARKED : 0) |
                     (progress->impatient ? BITS_IMPATIENT : 0);
}

/* Whether a queued waiter is the only one for its lock. */
static bool is_last(const struct bucket *bucket, const struct twostate_waiter *waiter)
{
    const struct twostate_waiter *other = bucket->queue.first;

    while (other && (other == waiter || other->lock_ != waiter->lock_))
        other = other->next_;
    return other == NULL;
}

/* Those of the hold that the waiter is to complete, if it waits for one. */
static struct watch_pairs pairs_of(const struct twostate_waiter *waiter)
{
    const struct twostate_hold *hold = waiter->go_on_ ? waiter->hold_ : NULL;

    if (hold == NULL)
        return (struct watch_pairs){{NULL, NULL}};
    return (struct watch_pairs){{hold->pair_, hold->destination_}};
}

static struct watch_call watch_call_of(const struct twostate_waiter *waiter,
                                       const struct want *want)
{
    return (struct watch_call){.lock = waiter->lock_,
                               .name = want->call,
                               .site = waiter->site_,
                               .group = want->group,
                               .exclusive = want->exclusive,
                               .switching = want->switching,
                               .async = true,
                               .holds = want->holds};
}

/* A drain's lock may be gone, but there is nothing to tell of a drain. */
static void tell_watch(const struct twostate_waiter *waiter)
{
    const struct want want = want_of(waiter);
    const struct watch_call call = watch_call_of(waiter, &want);
    struct watch_pairs pairs;

    if (tsan_sees_())
        tsan_taken_(&call, false);
    if (want.holds == 0 || (sys_load_(&call.lock->word_) & WORD_FAST) != 0)
        return;
    pairs = watch_pairs_(pairs_of(waiter));
    if (want.switching)
        watch_switched_(&call, want.from);
    else
        watch_held_(&call, true);
    watch_pairs_(pairs);
}

/* A queued waiter does not wait any more: granted, refused, or cancelled. Watched: of the word w. */
static void tell_waited(const struct twostate_waiter *waiter, uint64_t w, int result)
{
    const struct want want = want_of(waiter);
    const struct watch_wait wait = {.lock = waiter->lock_,
                                    .group = want.group,
                                    .exclusive = want.exclusive,
                                    .impatient = (waiter->want_ & BITS_IMPATIENT) != 0,
                                    .queue = word_waiting_all(w),
                                    .async = true,
                                    .result = result};
    struct watch_pairs pairs;

    if (result == 0)
        probe_grant_(waiter->lock_, want.group, want.exclusive, waiter);
    if (want.group == GROUP_DRAIN)
        probe_drain_(waiter->lock_, want.exclusive, result);
    if (!watched_() || (w & WORD_FAST) != 0)
        return;
    pairs = watch_pairs_(pairs_of(waiter));
    watch_waited_(&wait, wait_now_ns_() - waiter->since_);
    watch_pairs_(pairs);
}

static void note_due(struct bucket *bucket, const struct twostate_waiter *waiter)
{
    const int64_t due = (int64_t)sys_load_(&bucket->due);

    if (due == 0 || waiter->patience_end_ < due)
        sys_store_(&bucket->due, (uint64_t)waiter->patience_end_);
}

/* One look for a queued waiter. If it is the last, it takes the async bit with it. */
static int look(struct bucket *bucket, struct twostate_waiter *waiter, uint32_t *woken)
{
    struct twostate_lock *lock = waiter->lock_;
    const struct want want = want_of(waiter);
    struct waiter progress = progress_of(waiter, &want);
    uint64_t w = sys_load_(&lock->word_);
    int result = 0;

    progress.last = is_last(bucket, waiter);
    result = wait_look_(lock, &w, &progress);
    *woken |= progress.woken;
    if (result <= 0) {
        unlink_waiter(&bucket->queue, waiter);
        return result;
    }
    set_progress(waiter, &progress);
    if (progress.impatient && !progress.registered) { /* so it could not claim: it tries again */
        waiter->want_ &= ~(uint32_t)BITS_IMPATIENT;
        waiter->patience_end_ = wait_now_ns_() + LOOK_AGAIN_NS;
        note_due(bucket, waiter);
    }
    return result;
}

static uint32_t group_bit(const struct twostate_waiter *waiter)
{
    return waiter->want_ & BITS_SWITCHING ? 8U : 1U << (waiter->want_ & BITS_GROUP);
}

static bool patience_over(struct twostate_waiter *waiter, int64_t now)
{
    if ((waiter->want_ & BITS_IMPATIENT) || now < waiter->patience_end_)
        return false;
    waiter->want_ |= BITS_IMPATIENT;
    return true;
}

/* Too early is never wrong: whoever finds it past looks for when it really is. */
static void set_due(struct bucket *bucket)
{
    int64_t due = 0;

    for (const struct twostate_waiter *waiter = bucket->queue.first; waiter; waiter = waiter->next_)
        if ((waiter->want_ & BITS_IMPATIENT) == 0 && (due == 0 || waiter->patience_end_ < due))
            due = waiter->patience_end_;
    sys_store_(&bucket->due, (uint64_t)due);
}

static bool is_due(const struct bucket *bucket, int64_t now)
{
    const int64_t due = (int64_t)sys_load_(&bucket->due);

    return due != 0 && now >= due;
}

/*
 * One round for the lock's waiters of `groups`, and for those whose patience is over now. One of A
 * or B that must sleep on speaks for the patient ones of its group behind it: its sleep bit is
 * theirs. Returns the groups that this let in; those that are through move to `through`.
 */
static uint32_t look_once(struct bucket *bucket, const struct twostate_lock *lock, uint32_t groups,
                          int64_t now, struct waiters *through)
{
    const bool due = is_due(bucket, now);
    struct twostate_waiter *next = NULL;
    uint32_t woken = 0, asleep = 0;

    for (struct twostate_waiter *waiter = bucket->queue.first;
         waiter && (due || (groups & ~asleep)); waiter = next) {
        bool over = false;
        uint64_t w = 0;

        next = waiter->next_;
        if (waiter->lock_ != lock)
            continue;
        over = due && patience_over(waiter, now);
        if (!over && ((asleep & group_bit(waiter)) || !(groups & group_bit(waiter))))
            continue;
        w = watched_() ? sys_load_(&lock->word_) : 0;
        waiter->result_ = look(bucket, waiter, &woken);
        if (waiter->result_ > 0) {
            asleep |= group_bit(waiter) & ~(1U << GROUP_DRAIN);
            continue;
        }
        if (waiter->result_ == 0 && watched_())
            tell_watch(waiter); /* before anybody else can know */
        tell_waited(waiter, w, waiter->result_);
        sys_flag_store_(&waiter->state_, MOVING);
        push(&through->first, &through->end, waiter);
    }
    if (due)
        set_due(bucket);
    return woken;
}

/* Looks as long as that lets others in. */
static void look_for(struct bucket *bucket, const struct twostate_lock *lock, uint32_t groups,
                     struct waiters *through)
{
    const int64_t now = wait_now_ns_();

    do
        groups = look_once(bucket, lock, groups, now, through);
    while (groups);
}

/* A waiter has all that it wanted, or was refused. Without a callback, it may be gone after this. */
static void finish(struct sys_thread *thread, struct twostate_waiter *waiter, int result)
{
    waiter->result_ = result;
    if (waiter->done)
        push(&thread->done, &thread->done_end, waiter);
    set_state(waiter, GRANTED);
}

/*
 * Tells waiters that they are through, with nothing locked. Those that want more locks go on first,
 * and no callback runs before they have: so a callback can cancel any waiter without waiting for
 * its own thread. Callbacks are not nested: the outermost call runs them one after another.
 */
static void deliver(struct sys_thread *thread, struct waiters *through)
{
    struct twostate_waiter *waiter = NULL;

    while ((waiter = pop(&through->first)) != NULL) {
        if (waiter->go_on_)
            push(&thread->going_on, &thread->going_on_end, waiter);
        else
            finish(thread, waiter, waiter->result_);
    }
    if (thread->continuing)
        return;
    thread->continuing = true;
    while ((waiter = pop(&thread->going_on)) != NULL) {
        const int result = waiter->go_on_(waiter, waiter->result_);

        if (result != -EINPROGRESS) /* else it is queued for the next lock, or gone already */
            finish(thread, waiter, result);
    }
    thread->continuing = false;
    if (thread->calling)
        return;
    thread->calling = true;
    while ((waiter = pop(&thread->done)) != NULL)
        waiter->done(waiter, waiter->result_);
    thread->calling = false;
}

void async_begin_(struct twostate_waiter *waiter,
                  int (*go_on)(struct twostate_waiter *waiter, int result))
{
    waiter->go_on_ = go_on;
    sys_flag_store_(&waiter->state_, MOVING);
}

int async_end_(struct twostate_waiter *waiter, int result)
{
    if (result == -EINPROGRESS)
        return result;
    waiter->result_ = result;
    sys_flag_store_(&waiter->state_, GRANTED);
    return result;
}

int async_take_(struct twostate_lock *lock, const struct want *want, struct twostate_waiter *waiter,
                const void *site)
{
    const uint64_t w = sys_load_(&lock->word_);
    struct bucket *bucket = bucket_of(lock);
    struct waiters through = {0};
    uint32_t woken = 0;
    int result = 0;

    if (w & WORD_SHARED)
        return -ENOTSUP;
    set_want(waiter, want);
    waiter->site_ = site;
    waiter->since_ = wait_now_ns_();
    waiter->patience_end_ = waiter->since_ + INT64_C(1000) * word_patience_us(w);
    if (word_patience_us(w) == 0)
        waiter->want_ |= BITS_IMPATIENT;
    sys_mutex_lock_(&bucket->mutex);
    sys_pointer_store_(&waiter->lock_, lock);
    push(&bucket->queue.first, &bucket->queue.end, waiter);
    note_due(bucket, waiter);
    result = look(bucket, waiter, &woken);
    if (result > 0)
        set_state(waiter, QUEUED);
    if (woken)
        look_for(bucket, lock, woken, &through);
    sys_mutex_unlock_(&bucket->mutex);
    deliver(sys_thread_(), &through);
    return result > 0 ? -EINPROGRESS : result;
}

void async_woken_(struct twostate_lock *lock, uint32_t groups)
{
    struct bucket *bucket = bucket_of(lock);
    struct waiters through = {0};

    sys_mutex_lock_(&bucket->mutex);
    look_for(bucket, lock, groups, &through);
    sys_mutex_unlock_(&bucket->mutex);
    deliver(sys_thread_(), &through);
}

void async_passed_by_(struct twostate_lock *lock)
{
    if (is_due(bucket_of(lock), wait_now_ns_()))
        async_woken_(lock, 0);
}

/* A queued waiter, whose bucket's mutex is held, goes without what it waited for. */
static void give_up(struct bucket *bucket, struct twostate_waiter *waiter, struct waiters *through)
{
    struct twostate_lock *lock = waiter->lock_;
    const struct want want = want_of(waiter);
    struct waiter progress = progress_of(waiter, &want);

    tell_waited(waiter, watched_() ? sys_load_(&lock->word_) : 0, -ECANCELED);
    progress.last = is_last(bucket, waiter);
    unlink_waiter(&bucket->queue, waiter);
    wait_give_up_(lock, &progress);
    sys_flag_store_(&waiter->state_, MOVING);
    if (progress.woken)
        look_for(bucket, lock, progress.woken, through);
}

/* What it holds of several locks is given back before anybody is told anything (see deliver). */
static void end_cancelled(struct sys_thread *thread, struct twostate_waiter *waiter)
{
    const bool continuing = thread->continuing;

    thread->continuing = true;
    if (waiter->go_on_)
        waiter->go_on_(waiter, -ECANCELED);
    set_state(waiter, CANCELLED);
    thread->continuing = continuing;
}

static bool cancel_queued(struct twostate_waiter *waiter)
{
    void *lock = sys_pointer_load_(&waiter->lock_);
    struct bucket *bucket = bucket_of(lock);
    struct waiters through = {0};
    bool queued = false;

    sys_mutex_lock_(&bucket->mutex);
    queued = sys_flag_load_(&waiter->state_) == QUEUED && sys_pointer_load_(&waiter->lock_) == lock;
    if (queued)
        give_up(bucket, waiter, &through);
    sys_mutex_unlock_(&bucket->mutex);
    if (queued) {
        end_cancelled(sys_thread_(), waiter);
        deliver(sys_thread_(), &through);
    }
    return queued;
}

/* Zeroed and never queued, it would be waited for for ever. */
static uint32_t state_known(const struct twostate_waiter *waiter, const char *call)
{
    const uint32_t state = state_of(waiter);

    if (state < QUEUED || state > CANCELLED)
        sys_die_("waiter %p: misuse: %s of a waiter that was not queued", (const void *)waiter,
                 call);
    return state;
}

bool twostate_waiter_cancel(struct twostate_waiter *waiter)
{
    for (;;) {
        const uint32_t state = state_known(waiter, "cancel");

        if (state == CANCELLED || (state == QUEUED && cancel_queued(waiter)))
            return true;
        if (state == GRANTED)
            return false;
        if (state == MOVING_WATCHED ||
            (state == MOVING && sys_flag_cas_(&waiter->state_, MOVING, MOVING_WATCHED)))
            sys_flag_wait_(&waiter->state_, MOVING_WATCHED, NULL);
    }
}

/* Before a thread waits for a queued waiter. False: it would wait for itself. */
static bool may_wait(struct twostate_waiter *waiter, const void *site)
{
    void *lock = sys_pointer_load_(&waiter->lock_);
    struct bucket *bucket = bucket_of(lock);
    int result = 0;

    sys_mutex_lock_(&bucket->mutex);
    if (sys_flag_load_(&waiter->state_) == QUEUED && sys_pointer_load_(&waiter->lock_) == lock) {
        const struct want want = want_of(waiter);
        const struct watch_pairs pairs = watch_pairs_(pairs_of(waiter));
        struct watch_call call = watch_call_of(waiter, &want);

        call.site = site;
        result = watch_wait_(&call);
        watch_pairs_(pairs);
    }
    sys_mutex_unlock_(&bucket->mutex);
    return result == 0;
}

static bool is_past(const struct timespec *deadline)
{
    const struct timespec now = sys_now_();

    return deadline && (now.tv_sec > deadline->tv_sec ||
                        (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec));
}

static int wait_for(struct twostate_waiter *waiter, const struct timespec *deadline)
{
    for (;;) {
        const uint32_t state = state_known(waiter, "wait");

        if (state == GRANTED)
            return waiter->result_;
        if (state == CANCELLED)
            return -ECANCELED;
        sys_flag_wait_(&waiter->state_, state, deadline);
        if (is_past(deadline) && sys_flag_load_(&waiter->state_) == QUEUED &&
            twostate_waiter_cancel(waiter))
            return -ETIMEDOUT;
    }
}

int twostate_waiter_wait(struct twostate_waiter *waiter, const struct timespec *deadline)
{
    int result = 0;

    if (!wait_deadline_valid_(deadline))
        return -EINVAL;
    if (!watched_() || is_past(deadline) || sys_flag_load_(&waiter->state_) != QUEUED)
        return wait_for(waiter, deadline);
    if (!may_wait(waiter, __builtin_return_address(0)) && twostate_waiter_cancel(waiter))
        result = -EDEADLK;
    else
        result = wait_for(waiter, deadline);
    watch_nothing_();
    return result;
}

int twostate_waiter_result(const struct twostate_waiter *waiter)
{
    return waiter->result_;
}
