/* SPDX-License-Identifier: MIT */
/*
 * ThreadSanitizer's view of the locks: see tsan.h.
 *
 * Any thread may release what another acquired (G6), and the runtime can't be told that another
 * thread's lock is gone. So a thread's holds are noted here too. The first release by a thread that
 * has no hold, of a lock that has none of nobody's, shows that the program hands over this lock's
 * holds without saying so: from then on no thread is said to hold it.
 */
#include "tsan.h"

#include "aligned.h"
#include "class.h"
#include "sys.h"

#include <sched.h>

/* ThreadSanitizer's runtime, if there is one in the process. */
#define WEAK __attribute__((weak))
WEAK void __tsan_acquire(void *address);
WEAK void __tsan_release(void *address);
WEAK void __tsan_mutex_pre_lock(void *address, unsigned flags);
WEAK void __tsan_mutex_post_lock(void *address, unsigned flags, int recursion);
WEAK int __tsan_mutex_pre_unlock(void *address, unsigned flags);
WEAK void __tsan_mutex_post_unlock(void *address, unsigned flags);
WEAK void __tsan_mutex_destroy(void *address, unsigned flags);
WEAK void AnnotateIgnoreWritesBegin(const char *file, int line);
WEAK void AnnotateIgnoreWritesEnd(const char *file, int line);

enum {
    READ_LOCK = 1 << 3,
    TRY_LOCK = 1 << 4,
    TRY_LOCK_FAILED = 1 << 5,
};

#if defined(__SANITIZE_THREAD__)
#define INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define INSTRUMENTED 1
#endif
#endif

/* What happens before what. Each group's releases have an address of their own in the lock. */

static void *address_of(const struct twostate_lock *lock)
{
    return (void *)(uintptr_t)lock;
}

static void *releases_of(const struct twostate_lock *lock, enum group g)
{
    return (char *)address_of(lock) + 1 + g;
}

void tsan_unlocked_(const struct twostate_lock *lock)
{
    for (unsigned g = GROUP_A; g <= GROUP_DRAIN; g++)
        __tsan_acquire(releases_of(lock, (enum group)g));
}

/* Not after the releases of its own group, unless that has one holder at a time. */
static void after_releases(const struct watch_call *call)
{
    const bool alone = call->holds == 0 || (call->exclusive && call->group == GROUP_B);

    for (unsigned g = GROUP_A; g <= GROUP_DRAIN; g++)
        if (alone || g != call->group)
            __tsan_acquire(releases_of(call->lock, (enum group)g));
}

void tsan_pass_(const void *what)
{
    __tsan_release((void *)(uintptr_t)what);
}

void tsan_receive_(const void *what)
{
    __tsan_acquire((void *)(uintptr_t)what);
}

/*
 * The locks that the runtime knows, or that have holds of nobody's. Another may take the place of
 * one that nobody holds; one that finds no place is not seen to be held.
 *
 * What is a mutex to the runtime lies here, not in the lock: a thread whose hold another one released
 * must tell of it later, when the lock's memory may be gone.
 */

#define SETS 1024
#define WAYS 4

struct known {
    const struct twostate_lock *lock; /* NULL: none, or it is gone */
    uint64_t mutex;                   /* its address is what counts */
    uint32_t views;                   /* threads that hold it, as the runtime sees it */
    uint32_t nobodys;                 /* holds */
    bool foreign;                     /* its holds are released by threads that don't have them */
};

static struct set {
    uint32_t busy;
    struct known ways[WAYS];
} sets[SETS];

/* How often the runtime's view became wrong: then the threads look at theirs. */
static aligned_u64 changes;

/* Not a mutex of pthreads: the runtime sees those, and would take them for order. */
static struct set *enter(const struct twostate_lock *lock)
{
    struct set *set = &sets[((uintptr_t)lock * UINT64_C(0x9e3779b97f4a7c15)) >> 54];

    while (sys_flag_exchange_(&set->busy, 1))
        sched_yield();
    return set;
}

static void leave(struct set *set)
{
    sys_flag_store_(&set->busy, 0);
}

static void view_is_wrong(void)
{
    uint64_t seen = sys_load_(&changes);

    while (!sys_cas_(&changes, &seen, seen + 1))
        ;
}

static struct known *find(struct set *set, const struct twostate_lock *lock)
{
    for (struct known *known = set->ways; known < set->ways + WAYS; known++)
        if (known->lock == lock)
            return known;
    return NULL;
}

/* To the runtime this is a write too, and it does not see how the set's lock orders that. */
static void renew(struct known *known)
{
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    __tsan_mutex_destroy(&known->mutex, 0);
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
}

static struct known *find_or_add(struct set *set, const struct twostate_lock *lock)
{
    struct known *free = NULL;
    struct known *known = find(set, lock);

    if (known)
        return known;
    for (known = set->ways; known < set->ways + WAYS; known++) {
        const bool idle = known->views == 0 && known->nobodys == 0 && !known->foreign;

        if (idle && (free == NULL || known->lock == NULL))
            free = known;
    }
    if (free) {
        renew(free);
        free->lock = lock;
    }
    return free;
}

static void forget(struct set *set, const struct twostate_lock *lock)
{
    struct known *known = find(set, lock);

    if (known == NULL)
        return;
    known->lock = NULL;
    known->nobodys = 0;
    known->foreign = false;
    if (known->views > 0)
        view_is_wrong();
}

void tsan_forget_(const struct twostate_lock *lock)
{
    struct set *set = enter(lock);

    forget(set, lock);
    leave(set);
}

/* A lock that is zeroed is a new one. */
static void meet(const struct twostate_lock *lock)
{
    struct set *set = enter(lock);

    if (!class_seen_(lock)) {
        forget(set, lock);
        if ((__atomic_load_n(&watch_mask_, __ATOMIC_RELAXED) & WATCH_HOLDS) == 0)
            class_see_(lock); /* else the validator will */
    }
    leave(set);
}

static void add_nobodys(const struct twostate_lock *lock, uint32_t holds)
{
    struct set *set = enter(lock);
    struct known *known = find_or_add(set, lock);

    if (known)
        known->nobodys += holds;
    leave(set);
}

/* Takes up to `holds` of nobody's holds, and returns how many. */
static uint32_t take_nobodys(const struct twostate_lock *lock, uint32_t holds)
{
    struct set *set = enter(lock);
    struct known *known = find(set, lock);

    if (known == NULL || holds > known->nobodys)
        holds = known ? known->nobodys : 0;
    if (known)
        known->nobodys -= holds;
    leave(set);
    return holds;
}

static void set_foreign(const struct twostate_lock *lock)
{
    struct set *set = enter(lock);
    struct known *known = find_or_add(set, lock);

    if (known && !known->foreign) {
        known->foreign = true;
        view_is_wrong();
    }
    leave(set);
}

/* The lock, to be shown to the runtime and given back; NULL: it is not to be shown. */
static struct known *get_view(const struct twostate_lock *lock)
{
    struct set *set = enter(lock);
    struct known *known = find_or_add(set, lock);

    if (known && known->foreign)
        known = NULL;
    if (known)
        known->views++;
    leave(set);
    return known;
}

static void put_view(const struct twostate_lock *lock, struct known *known)
{
    struct set *set = enter(lock);

    known->views--;
    leave(set);
}

static void show_wait(struct known *known)
{
    __tsan_mutex_pre_lock(&known->mutex, READ_LOCK);
    __tsan_mutex_post_lock(&known->mutex, READ_LOCK | TRY_LOCK_FAILED, 0);
}

static void show_lock(struct known *known, bool waits)
{
    const unsigned flags = waits ? READ_LOCK : READ_LOCK | TRY_LOCK;

    __tsan_mutex_pre_lock(&known->mutex, flags);
    __tsan_mutex_post_lock(&known->mutex, flags, 0);
}

static void show_unlock(struct known *known)
{
    __tsan_mutex_pre_unlock(&known->mutex, READ_LOCK);
    __tsan_mutex_post_unlock(&known->mutex, READ_LOCK);
}

/* The locks that the runtime takes for held by this thread: half as many as it has room for. */

#define HELD_MOST 32

struct held {
    const struct twostate_lock *lock;
    struct known *known;
    uint32_t holds;
};

static _Thread_local struct {
    struct held held[HELD_MOST];
    unsigned count;
    uint64_t changes; /* as this thread saw them last */
} self;

static struct held *find_held(const struct twostate_lock *lock)
{
    for (struct held *held = self.held; held < self.held + self.count; held++)
        if (held->lock == lock)
            return held;
    return NULL;
}

static void drop(struct held *held)
{
    show_unlock(held->known);
    put_view(held->lock, held->known);
    *held = self.held[--self.count];
}

static void check_view(void)
{
    const uint64_t now = sys_load_(&changes);

    if (now == self.changes)
        return;
    self.changes = now;
    for (unsigned i = self.count; i-- > 0;) {
        struct held *held = &self.held[i];
        struct set *set = enter(held->lock);
        const bool wrong = held->known->lock != held->lock || held->known->foreign;

        leave(set);
        if (wrong)
            drop(held);
    }
}

static void hold(const struct twostate_lock *lock, uint32_t holds, bool waits)
{
    struct held *held = find_held(lock);
    struct known *known = NULL;

    if (held) {
        held->holds += holds;
        return;
    }
    if (self.count < HELD_MOST)
        known = get_view(lock);
    if (known == NULL) {
        add_nobodys(lock, holds);
        return;
    }
    self.held[self.count++] = (struct held){.lock = lock, .known = known, .holds = holds};
    show_lock(known, waits);
}

/* Gives up holds of this thread, and returns how many it had. */
static uint32_t give_up(const struct twostate_lock *lock, uint32_t holds)
{
    struct held *held = find_held(lock);

    if (held == NULL)
        return 0;
    if (held->holds > holds) {
        held->holds -= holds;
        return holds;
    }
    holds = held->holds;
    drop(held);
    return holds;
}

/* The calls. */

void tsan_before_(const struct watch_call *call, enum group from, bool waits)
{
    struct known *known = NULL;

    if (call->switching) {
        __tsan_release(releases_of(call->lock, from));
        return;
    }
    meet(call->lock);
    check_view();
    if (waits && find_held(call->lock) == NULL)
        known = get_view(call->lock);
    if (known) {
        show_wait(known);
        put_view(call->lock, known);
    }
}

/* Nothing here touches the lock: after a drain it may be gone. */
static void drained(const struct twostate_lock *lock)
{
    struct known *known = find_held(lock) ? NULL : get_view(lock);

    if (known) {
        show_lock(known, true);
        show_unlock(known);
        put_view(lock, known);
    }
}

void tsan_taken_(const struct watch_call *call, bool waits)
{
    after_releases(call);
    if (call->switching)
        return;
    if (call->async)
        add_nobodys(call->lock, call->holds);
    else if (call->holds > 0)
        hold(call->lock, call->holds, waits);
    else if (waits)
        drained(call->lock);
}

void tsan_release_(const struct watch_call *call)
{
    uint32_t others = 0;

    check_view();
    others = call->holds - give_up(call->lock, call->holds);
    if (others > take_nobodys(call->lock, others))
        set_foreign(call->lock);
    __tsan_release(releases_of(call->lock, call->group));
}

void tsan_misuse_(const struct twostate_lock *lock)
{
    __tsan_mutex_pre_unlock(address_of(lock), 0);
    __tsan_mutex_post_unlock(address_of(lock), 0);
}

void tsan_disown_(const struct twostate_lock *lock)
{
    if (give_up(lock, 1))
        add_nobodys(lock, 1);
}

void tsan_adopt_(const struct twostate_lock *lock)
{
    if (take_nobodys(lock, 1))
        hold(lock, 1, false);
}

#ifndef INSTRUMENTED
/* In a forked child another thread would stay in its set for ever. */
static void leave_all(void)
{
    for (struct set *set = sets; set < sets + SETS; set++)
        leave(set);
}

/* Before the constructors of C++ objects and of most others, which may use locks. */
__attribute__((constructor(101))) static void begin(void)
{
    if (__tsan_acquire && __tsan_release && __tsan_mutex_pre_lock && __tsan_mutex_post_lock &&
        __tsan_mutex_pre_unlock && __tsan_mutex_post_unlock && __tsan_mutex_destroy &&
        AnnotateIgnoreWritesBegin && AnnotateIgnoreWritesEnd) {
        pthread_atfork(NULL, NULL, leave_all);
        __atomic_fetch_or(&watch_mask_, WATCH_TSAN, __ATOMIC_RELEASE);
    }
}
#endif
