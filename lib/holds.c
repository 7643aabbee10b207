/* SPDX-License-Identifier: MIT */
/* Who holds what: records in a pool, found by lock and by thread. */
#include "holds.h"

#include "class.h"
#include "sys.h"

#include <pthread.h>
#include <unistd.h>

#define HOLDS   8192
#define BUCKETS 2048

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct hold pool[HOLDS];
static struct hold *unused; /* linked by next_of_lock */
static uint32_t fresh;      /* pool[fresh...] were never used */
static uint32_t known;
static uint64_t missed;
static struct hold *buckets[BUCKETS]; /* newest first */
static struct holder *waiting;

static _Thread_local struct holder self;

void holds_lock_(void)
{
    pthread_mutex_lock(&mutex);
}

void holds_unlock_(void)
{
    pthread_mutex_unlock(&mutex);
}

struct holder *holds_self_(void)
{
    if (self.thread == 0)
        self.thread = gettid();
    return &self;
}

static struct hold **bucket(const struct twostate_lock *lock)
{
    return &buckets[(((uintptr_t)lock >> 3) * UINT64_C(0x9e3779b97f4a7c15)) >> 53];
}

static bool within(const struct hold *hold, const void *memory, size_t size)
{
    return (uintptr_t)hold->lock - (uintptr_t)memory < size;
}

static struct hold *get(void)
{
    struct hold *hold = unused;

    if (hold != NULL)
        unused = hold->next_of_lock;
    else if (fresh < HOLDS)
        hold = &pool[fresh++];
    if (hold != NULL)
        known++;
    else
        missed++;
    return hold;
}

static void put(struct hold *hold)
{
    hold->lock = NULL;
    hold->next_of_lock = unused;
    unused = hold;
    known--;
}

static void link_to_holder(struct hold *hold, struct holder *holder)
{
    hold->holder = holder;
    if (holder == NULL)
        return;
    hold->next_of_holder = holder->newest;
    holder->newest = hold;
}

static void unlink_from_holder(struct hold *hold)
{
    struct hold **link = NULL;

    if (hold->holder == NULL)
        return;
    for (link = &hold->holder->newest; *link != hold; link = &(*link)->next_of_holder)
        ;
    *link = hold->next_of_holder;
    hold->holder = NULL;
}

static void unlink_from_lock(struct hold *hold)
{
    struct hold **link = bucket(hold->lock);

    while (*link != hold)
        link = &(*link)->next_of_lock;
    *link = hold->next_of_lock;
}

void holds_add_(const struct watch_call *call, const struct stack *stack, struct holder *holder)
{
    const struct timespec now = sys_now_();
    struct hold *hold = get();

    if (hold == NULL)
        return;
    *hold = (struct hold){
        .lock = call->lock,
        .cls = class_of_(call->lock, call->exclusive),
        .name = call->name,
        .group = call->group,
        .exclusive = call->exclusive,
        .shared = (__atomic_load_n(&call->lock->word_, __ATOMIC_RELAXED) & WORD_SHARED) != 0,
        .ordered = call->waits && holder != NULL && !class_two_pairs_(),
        .count = call->holds,
        .since = now.tv_sec * INT64_C(1000000000) + now.tv_nsec,
        .thread = holds_self_()->thread,
        .next_of_lock = *bucket(call->lock),
    };
    if (stack != NULL)
        hold->stack = *stack;
    *bucket(call->lock) = hold;
    link_to_holder(hold, holder);
}

struct hold *holds_find_(const struct twostate_lock *lock, enum group group)
{
    struct hold *nobodys = NULL;
    struct hold *oldest = NULL;

    for (struct hold *hold = self.newest; hold != NULL; hold = hold->next_of_holder)
        if (hold->lock == lock && hold->group == group)
            return hold;
    for (struct hold *hold = *bucket(lock); hold != NULL; hold = hold->next_of_lock)
        if (hold->lock == lock && hold->group == group) {
            oldest = hold;
            if (hold->holder == NULL)
                nobodys = hold;
        }
    return nobodys != NULL ? nobodys : oldest;
}

struct hold holds_take_(struct hold *hold, uint32_t most)
{
    struct hold taken = *hold;

    if (hold->count > most) {
        hold->count -= most;
        taken.count = most;
        return taken;
    }
    unlink_from_holder(hold);
    unlink_from_lock(hold);
    put(hold);
    return taken;
}

struct hold *holds_own_(const struct twostate_lock *lock)
{
    struct hold *hold = self.newest;

    while (hold != NULL && hold->lock != lock)
        hold = hold->next_of_holder;
    return hold;
}

struct hold *holds_nobodys_(const struct twostate_lock *lock)
{
    struct hold *oldest = NULL;

    for (struct hold *hold = *bucket(lock); hold != NULL; hold = hold->next_of_lock)
        if (hold->lock == lock && hold->holder == NULL)
            oldest = hold;
    return oldest;
}

void holds_hand_(struct hold *hold, struct holder *holder)
{
    struct hold *rest = hold->count > 1 ? get() : NULL;

    if (rest != NULL) {
        struct hold **link = bucket(hold->lock);

        *rest = *hold;
        rest->count--;
        rest->next_of_lock = *link;
        *link = rest;
        link_to_holder(rest, hold->holder);
        hold->count = 1;
    }
    unlink_from_holder(hold);
    link_to_holder(hold, hold->count == 1 ? holder : NULL);
    hold->ordered = false;
}

void holds_abandon_(struct holder *holder)
{
    while (holder->newest != NULL)
        unlink_from_holder(holder->newest);
}

struct hold *holds_next_in_(struct hold *after, const void *memory, size_t size)
{
    for (struct hold *hold = after == NULL ? pool : after + 1; hold < pool + fresh; hold++)
        if (hold->lock != NULL && within(hold, memory, size))
            return hold;
    return NULL;
}

static struct hold *first_of(const struct twostate_lock *lock)
{
    struct hold *hold = *bucket(lock);

    while (hold != NULL && hold->lock != lock)
        hold = hold->next_of_lock;
    return hold;
}

void holds_forget_(const void *memory, size_t size)
{
    struct hold *hold = NULL;

    if (known == 0)
        return;
    if (size == sizeof(struct twostate_lock)) {
        while ((hold = first_of(memory)) != NULL)
            holds_take_(hold, hold->count);
        return;
    }
    while ((hold = holds_next_in_(hold, memory, size)) != NULL)
        holds_take_(hold, hold->count);
}

void holds_wait_(const struct twostate_lock *lock)
{
    struct holder **link = &waiting;

    if ((self.waits_for != NULL) != (lock != NULL)) {
        while (*link != NULL && *link != &self)
            link = &(*link)->next_waiting;
        if (lock == NULL) {
            *link = self.next_waiting;
        } else {
            self.next_waiting = NULL;
            *link = &self;
        }
    }
    self.waits_for = lock;
}

const struct holder *holds_waiter_in_(const void *memory, size_t size)
{
    for (const struct holder *holder = waiting; holder != NULL; holder = holder->next_waiting)
        if ((uintptr_t)holder->waits_for - (uintptr_t)memory < size &&
            (__atomic_load_n(&holder->waits_for->word_, __ATOMIC_ACQUIRE) & WORD_WAITING) != 0)
            return holder;
    return NULL;
}

void holds_fork_child_(void)
{
    holds_forget_(NULL, SIZE_MAX);
    waiting = NULL;
    self.waits_for = NULL;
    self.thread = 0;
}

uint32_t holds_known_(void)
{
    return known;
}

uint64_t holds_missed_(void)
{
    return missed;
}

void holds_clear_(void)
{
    holds_forget_(NULL, SIZE_MAX);
    missed = 0;
}
