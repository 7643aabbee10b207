/* SPDX-License-Identifier: MIT */
/*
 * Waiting: barge, wake once, then hand over.
 *
 * Newcomers and woken waiters compete for the lock, so a lock with short holds never goes idle for
 * the time it takes to wake somebody. A waiter whose patience is over claims the turn for its
 * group: from then on the other groups stay out until every registered waiter of the group is in. A
 * claim costs the parallelism of one phase and bounds the wait; the patience decides how often it
 * is paid.
 */
#include "wait.h"

#include "async.h"
#include "probe.h"
#include "tsan.h"
#include "watch.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#define NS_PER_S INT64_C(1000000000)
/* A waiter looks so many times before it sleeps, after 8, 16, 32, ... pauses: 4 us in all. */
#define LOOKS        5
#define FEWER_LOOKS  3
#define FIRST_PAUSES 8U
/* A group's futex bit is 1 << group; these are the others. */
#define FUTEX_SWITCHING 8U
#define FUTEX_NOBODY    16U
#define FUTEX_ALL       31U

bool wait_deadline_valid_(const struct timespec *deadline)
{
    return deadline == NULL || (deadline->tv_nsec >= 0 && deadline->tv_nsec < NS_PER_S);
}

/* Never later than it says, and never too late to say. */
static int64_t in_ns(const struct timespec *time)
{
    const int64_t seconds = time->tv_sec; /* it may be of 32 bits */

    if (seconds < 0)
        return 0;
    if (seconds >= INT64_MAX / NS_PER_S)
        return INT64_MAX;
    return seconds * NS_PER_S + time->tv_nsec;
}

int64_t wait_now_ns_(void)
{
    const struct timespec now = sys_now_();

    return in_ns(&now);
}

void wait_misuse_(const struct twostate_lock *lock, uint64_t word, bool exclusive, const char *call)
{
    static const char *const names[2][4] = {
        {"unlocked", "held in state A", "held in state B", "frozen"},
        {"unlocked", "held shared", "held exclusive", "corrupt"},
    };

    sys_die_("%s %p: misuse: %s while it is %s, holders: %" PRIu32 " (word 0x%016" PRIx64 ")",
             exclusive ? "iolock" : "lock", (const void *)lock, call,
             names[exclusive][(word & WORD_STATES) / word_held(GROUP_A)], word_holders(word), word);
}

static bool admits(uint64_t w, const struct want *want)
{
    if (want->switching)
        return word_holders(w) == 1;
    return word_admits(w, want->group, want->exclusive, want->holds);
}

/*
 * The first one in opens the fast path to those after it. Not under the holders of a lock between
 * processes: another process may watch, and have seen them come in.
 */
static uint64_t enter(uint64_t w, const struct want *want)
{
    if (want->switching)
        return (w & ~(WORD_STATES | WORD_SLEEP_SW)) | word_held(want->group);
    if (want->holds > 0 && (w & WORD_STATES) == 0 && !watched_())
        w |= WORD_FAST;
    return word_enter(w, want->group, want->exclusive, want->holds);
}

/* The lock is, and was while this waited, held by the caller in the state it switches from. */
static void check_switch(const struct twostate_lock *lock, uint64_t w, const struct want *want)
{
    if (want->switching && (w & WORD_STATES) != word_held(want->from))
        wait_misuse_(lock, w, want->exclusive, want->call);
}

/* After a step from the word w, when the lock may be gone. */
static void phase_over(const struct twostate_lock *lock, uint64_t w, bool exclusive,
                       enum group from)
{
    probe_mode_switch_(lock, from, exclusive);
    if (watched_() && (w & WORD_FAST) == 0)
        watch_phase_(lock, exclusive, from);
}

/* Wakes the groups whose sleep bits a step from `before` to `after` cleared; returns them. */
static uint32_t wake_threads(struct twostate_lock *lock, uint64_t before, uint64_t after,
                             bool exclusive)
{
    const uint64_t woken = before & ~after & WORD_SLEEPERS;
    const uint32_t groups = (uint32_t)(woken / word_sleep(GROUP_A));
    const uint32_t one = exclusive ? groups & (1U << GROUP_B) : 0;
    const bool shared = (before & WORD_SHARED) != 0;

    if (one)
        sys_futex_wake_(&lock->word_, one, shared, 1);
    if (groups & ~one)
        sys_futex_wake_(&lock->word_, groups & ~one, shared, INT_MAX);
    return groups;
}

/* Puts `next` in place of *seen, letting in at once whoever sleeps though `next` admits it. */
static bool step(struct twostate_lock *lock, uint64_t *seen, uint64_t next, struct waiter *waiter)
{
    const bool exclusive = waiter->want->exclusive;
    const uint64_t before = *seen;
    uint32_t woken = 0;

    next &= ~word_wake_admitted(next, exclusive);
    if (next != before && !sys_cas_(&lock->word_, seen, next))
        return false;
    if (waiter->want->switching && ((before ^ next) & WORD_STATES))
        phase_over(lock, before, exclusive, waiter->want->from);
    woken = wake_threads(lock, before, next, exclusive);
    if (waiter->async)
        waiter->woken |= woken;
    else if (woken && (before & WORD_ASYNC))
        async_woken_(lock, woken);
    return true;
}

static int try_take(struct twostate_lock *lock, const struct want *want)
{
    struct waiter waiter = {.want = want};
    uint64_t w = sys_load_(&lock->word_);

    for (;;) {
        check_switch(lock, w, want);
        if (!admits(w, want))
            return -EAGAIN;
        if (step(lock, &w, enter(w, want), &waiter))
            return 0;
    }
}

static int refusal(uint64_t w, const struct waiter *waiter)
{
    const struct want *want = waiter->want;

    if (want->switching && !waiter->switching && (w & WORD_SWITCHING))
        return -EDEADLK;
    if (!want->switching && !word_has_room(w, want->holds) &&
        (want->holds > TWOSTATE_LOCK_MAX_HOLDERS || (w & WORD_STATES) == word_held(want->group)))
        return -EOVERFLOW;
    return waiter->timed_out ? -ETIMEDOUT : 0;
}

static uint64_t leave(uint64_t w, const struct waiter *waiter)
{
    if (waiter->switching)
        w &= ~(WORD_SWITCHING | WORD_SLEEP_SW);
    if (waiter->registered)
        w = word_leave(w, waiter->want->group, waiter->want->exclusive);
    return waiter->async && waiter->last ? word_end_async(w) : w;
}

static bool can_register(uint64_t w, const struct waiter *waiter)
{
    const enum group g = waiter->want->group;

    return waiter->registered || word_waiting(w, g) < word_waiting_max(g);
}

/*
 * The word that this waiter may sleep on. One that can't be counted is nobody's to wake, unless it
 * is async, and claims nothing; but a switch says that it waits, so that a second one is refused.
 */
static uint64_t prepare(uint64_t w, const struct waiter *waiter, bool counted)
{
    const enum group g = waiter->want->group;

    if (counted && !waiter->registered)
        w += UINT64_C(1) << word_waiting_shift(g);
    if (waiter->want->switching)
        w |= WORD_SWITCHING;
    if (counted || waiter->async)
        w |= waiter->want->switching ? WORD_SLEEP_SW : word_sleep(g);
    if (waiter->async)
        w |= WORD_ASYNC;
    return counted && waiter->impatient ? word_claim(w, g) : w;
}

int wait_look_(struct twostate_lock *lock, uint64_t *w, struct waiter *waiter)
{
    const struct want *want = waiter->want;

    for (;;) {
        int refused = 0;
        bool counted = false;
        uint64_t next = 0;

        check_switch(lock, *w, want);
        if (admits(*w, want)) {
            if (step(lock, w, leave(enter(*w, want), waiter), waiter))
                return 0;
            continue;
        }
        refused = refusal(*w, waiter);
        if (refused) {
            if (step(lock, w, leave(*w, waiter), waiter))
                return refused;
            continue;
        }
        counted = can_register(*w, waiter);
        next = prepare(*w, waiter, counted);
        if (next != *w && !sys_cas_(&lock->word_, w, next))
            continue;
        if (word_claims(*w, next))
            probe_patience_(lock, want->group, want->exclusive);
        *w = next;
        waiter->registered = counted;
        waiter->switching = want->switching;
        return counted || waiter->async ? WAIT_SLEEPS : WAIT_UNCOUNTED;
    }
}

void wait_give_up_(struct twostate_lock *lock, struct waiter *waiter)
{
    uint64_t w = sys_load_(&lock->word_);

    while (!step(lock, &w, leave(w, waiter), waiter))
        ;
}

static void sleep_on(struct twostate_lock *lock, uint64_t w, uint32_t groups, int64_t until)
{
    const struct timespec time = {.tv_sec = (time_t)(until / NS_PER_S),
                                  .tv_nsec = (long)(until % NS_PER_S)};

    sys_futex_wait_(&lock->word_, w, groups, (w & WORD_SHARED) != 0,
                    until == INT64_MAX ? NULL : &time);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Sleeps on w, which a look made ready for it, until it may be time for another look. */
static void sleep_until_look(struct twostate_lock *lock, uint64_t w, struct waiter *waiter,
                             bool counted, int64_t deadline)
{
    const uint32_t group = waiter->want->switching ? FUTEX_SWITCHING : 1U << waiter->want->group;
    int64_t now = 0;

    if (waiter->patience_end == 0)
        waiter->patience_end = wait_now_ns_() + INT64_C(1000) * word_patience_us(w);
    if (!counted)
        sleep_on(lock, w, FUTEX_NOBODY, earlier(deadline, wait_now_ns_() + LOOK_AGAIN_NS));
    else if (!waiter->impatient)
        sleep_on(lock, w, group, earlier(deadline, waiter->patience_end));
    else if (w & WORD_SHARED) /* its claim may have gone with a count that was cleared */
        sleep_on(lock, w, group, earlier(deadline, wait_now_ns_() + LOOK_AGAIN_NS));
    else
        sleep_on(lock, w, group, deadline);
    /* Whatever ended the sleep: one that is woken again and again grows impatient too. */
    now = wait_now_ns_();
    waiter->impatient = now >= waiter->patience_end;
    waiter->timed_out = now >= deadline;
}

/* A thread's wait, as it is told to tracers and to those who watch. */
struct record {
    struct watch_wait wait;
    bool begun;
    int64_t since; /* 0: nobody watched when it began */
};

static void record_begin(struct record *record, uint64_t w)
{
    if (record->begun)
        return;
    record->begun = true;
    probe_contention_begin_(record->wait.lock, record->wait.group, record->wait.exclusive);
    if (watched_() && (w & WORD_FAST) == 0)
        record->since = wait_now_ns_();
}

/* Nothing is counted for nobody: so that what explores schedules has no more states to look at. */
static void record_sleep(struct record *record, uint64_t w)
{
    record_begin(record, w);
    if (record->since != 0 && record->wait.sleeps++ == 0)
        record->wait.queue = word_waiting_all(w);
}

static void record_end(struct record *record, const struct waiter *waiter, int result)
{
    if (!record->begun)
        return;
    probe_contention_end_(record->wait.lock, record->wait.group, record->wait.exclusive, result);
    if (record->since == 0)
        return;
    record->wait.impatient = waiter->impatient;
    record->wait.result = result;
    watch_waited_(&record->wait, wait_now_ns_() - record->since);
}

/*
 * Short holds end sooner than a sleep would. Less so when others wait: then there are more threads
 * than run, and the processor is worth more to one of those. Not at all when the lock is to be
 * handed over as soon as somebody waits: who only looks does not wait.
 */
static void look_before_sleep(const struct twostate_lock *lock, uint64_t *w,
                              const struct want *want, struct record *record)
{
    for (unsigned looks = 0; looks < LOOKS; looks++) {
        if (admits(*w, want))
            return;
        record_begin(record, *w);
        if (word_patience_us(*w) == 0 || (looks == FEWER_LOOKS && (*w & WORD_WAITING)))
            return;
        sys_pause_(FIRST_PAUSES << looks);
        record->wait.looks += record->since != 0;
        *w = sys_load_(&lock->word_);
    }
}

static int wait_until(struct twostate_lock *lock, const struct want *want,
                      const struct timespec *deadline)
{
    const int64_t end = deadline ? in_ns(deadline) : INT64_MAX;
    struct record record = {
        .wait = {.lock = lock, .group = want->group, .exclusive = want->exclusive}};
    struct waiter waiter = {.want = want};
    uint64_t w = sys_load_(&lock->word_);

    look_before_sleep(lock, &w, want, &record);
    waiter.impatient = word_patience_us(w) == 0;
    waiter.timed_out = deadline != NULL && wait_now_ns_() >= end; /* then it is a try */
    for (;;) {
        const int look = wait_look_(lock, &w, &waiter);

        if (look <= 0) {
            record_end(&record, &waiter, look);
            return look;
        }
        record_sleep(&record, w);
        sleep_until_look(lock, w, &waiter, look == WAIT_SLEEPS, end);
        w = sys_load_(&lock->word_);
    }
}

static struct watch_call watch_call_of(const struct twostate_lock *lock, const struct want *want,
                                       const void *site)
{
    return (struct watch_call){.lock = lock,
                               .name = want->call,
                               .site = site,
                               .group = want->group,
                               .exclusive = want->exclusive,
                               .switching = want->switching,
                               .holds = want->holds};
}

/* Its fast path is closed, so that whoever watches sees every call. */
static bool is_watched(const struct twostate_lock *lock)
{
    return watched_() && (sys_load_(&lock->word_) & WORD_FAST) == 0;
}

static int take(struct twostate_lock *lock, const struct want *want, const struct limit *limit)
{
    int result = 0;

    if (sys_load_(&lock->word_) & WORD_ASYNC)
        async_passed_by_(lock);
    if (limit->nowait)
        result = try_take(lock, want);
    else if (limit->waiter)
        result = async_take_(lock, want, limit->waiter, limit->site);
    else
        result = wait_until(lock, want, limit->deadline);
    if (want->group == GROUP_DRAIN && result != -EINPROGRESS)
        probe_drain_(lock, want->exclusive, result);
    return result;
}

/* A deadline that has passed already makes it a try. */
static bool may_wait(const struct limit *limit)
{
    return !limit->nowait && !limit->waiter &&
           (limit->deadline == NULL || in_ns(limit->deadline) > wait_now_ns_());
}

static int take_watched(struct twostate_lock *lock, const struct want *want,
                        const struct limit *limit)
{
    const bool waits = may_wait(limit);
    struct watch_call call = watch_call_of(lock, want, limit->site);
    int result = 0;

    call.async = limit->waiter != NULL;
    call.waits = waits;
    if (waits)
        result = watch_wait_(&call);
    if (result == 0 || limit->infallible)
        result = take(lock, want, limit);
    if (result == 0 && want->switching)
        watch_switched_(&call, want->from);
    else if (result == 0 && want->holds > 0)
        watch_held_(&call, call.async);
    else if (waits)
        watch_nothing_();
    return result;
}

int wait_take_(struct twostate_lock *lock, const struct want *want, const struct limit *limit)
{
    struct watch_call call = watch_call_of(lock, want, limit->site);
    const bool waits = limit->deadline == NULL && may_wait(limit);
    int result = 0;

    call.async = limit->waiter != NULL;
    if (!wait_deadline_valid_(limit->deadline))
        return -EINVAL;
    if (tsan_sees_())
        tsan_before_(&call, want->from, waits);
    result = is_watched(lock) ? take_watched(lock, want, limit) : take(lock, want, limit);
    if (result == 0 && tsan_sees_())
        tsan_taken_(&call, waits);
    return result;
}

int wait_join_(struct twostate_lock *lock, const struct want *want, const void *site)
{
    uint64_t w = sys_load_(&lock->word_);

    do {
        if ((w & WORD_STATES) != word_held(want->group))
            wait_misuse_(lock, w, want->exclusive, want->call);
        if (!word_has_room(w, want->holds))
            return -EOVERFLOW;
    } while (!sys_cas_(&lock->word_, &w, w + want->holds));
    if (watched_()) {
        const struct watch_call call = watch_call_of(lock, want, site);

        if (tsan_sees_())
            tsan_taken_(&call, false);
        if (is_watched(lock))
            watch_held_(&call, false);
    }
    return 0;
}

static void check_release(const struct twostate_lock *lock, uint64_t w, const struct want *want)
{
    char call[48];

    if ((w & WORD_STATES) == word_held(want->group) && word_holders(w) >= want->holds)
        return;
    if (tsan_sees_())
        tsan_misuse_(lock);
    if (want->holds > 1)
        snprintf(call, sizeof(call), "%s of %" PRIu32 " holds", want->call, want->holds);
    wait_misuse_(lock, w, want->exclusive, want->holds > 1 ? call : want->call);
}

void wait_release_(struct twostate_lock *lock, const struct want *want, const void *site)
{
    uint64_t w = sys_load_(&lock->word_);
    uint64_t next = 0;
    uint32_t woken = 0;

    if (watched_()) {
        const struct watch_call call = watch_call_of(lock, want, site);

        check_release(lock, w, want);
        if (tsan_sees_())
            tsan_release_(&call);
        if (is_watched(lock))
            watch_release_(&call);
    }
    do {
        check_release(lock, w, want);
        next = word_remove_holds(w, want->holds);
        if ((next & WORD_STATES) == 0)
            next &= ~word_wake_at_unlock(next, want->group);
        else if (word_holders(next) == 1)
            next &= ~WORD_SLEEP_SW;
    } while (!sys_cas_(&lock->word_, &w, next));
    if ((next & WORD_STATES) == 0 && word_wakes_others(w, next, want->group))
        phase_over(lock, w, want->exclusive, want->group);
    woken = wake_threads(lock, w, next, want->exclusive);
    if (woken && (w & WORD_ASYNC))
        async_woken_(lock, woken);
}

int wait_init_(struct twostate_lock *lock, unsigned flags, uint32_t patience_us)
{
    if ((flags & ~TWOSTATE_PROCESS_SHARED) || patience_us > TWOSTATE_PATIENCE_MAX)
        return -EINVAL;
    if (watched_())
        watch_init_(lock);
    lock->word_ = word_patience(patience_us) | (flags & TWOSTATE_PROCESS_SHARED ? WORD_SHARED : 0);
    return 0;
}

void wait_destroy_(struct twostate_lock *lock, bool exclusive)
{
    const uint64_t w = sys_load_(&lock->word_);

    if (watched_())
        watch_destroy_(lock, exclusive);
    if (w & (WORD_STATES | WORD_ASYNC))
        wait_misuse_(lock, w, exclusive, "destroy");
    if (w & WORD_WAITING)
        wait_misuse_(lock, w, exclusive, "destroy of a lock that somebody waits for");
    if (tsan_sees_())
        tsan_unlocked_(lock);
}

/* The live waiters look again, and find themselves not counted (word_leave). */
void wait_clear_(struct twostate_lock *lock, bool exclusive)
{
    uint64_t w = sys_load_(&lock->word_);

    if ((w & WORD_SHARED) == 0)
        wait_misuse_(lock, w, exclusive, "clear of a lock that is not shared between processes");
    if (watched_())
        watch_clear_(lock);
    while (!sys_cas_(&lock->word_, &w, w & (WORD_SHARED | WORD_PATIENCE | WORD_FAST)))
        ;
    sys_futex_wake_(&lock->word_, FUTEX_ALL, true, INT_MAX);
}
