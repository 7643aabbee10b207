/* SPDX-License-Identifier: MIT */
/* Lock classes, in a table by address that is filled only while somebody watches. */
#include "class.h"

#include "aligned.h"
#include "holds.h"

#include <errno.h>
#include <pthread.h>

#define ENTRIES 16384
#define BUCKETS 4096
/* What word_patience(1024) would be, were it not 0. */
#define SEEN (UINT64_C(6) << 60)

struct entry {
    const struct twostate_lock *lock;
    const struct twostate_class *cls;
    struct entry *next;
};

static const struct twostate_class iolock_of_pair = {.name = "IOLOCK",
                                                     .rank = TWOSTATE_RANK_IOLOCK};
static const struct twostate_class iotype_of_pair = {.name = "IOTYPE",
                                                     .rank = TWOSTATE_RANK_IOTYPE};
static const struct twostate_class any_iolock = {.name = "iolock"};
static const struct twostate_class any_lock = {.name = "lock"};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct entry entries[ENTRIES];
static struct entry *buckets[BUCKETS];
static struct entry *unused;
static uint32_t fresh;  /* entries[fresh...] were never used */
static uint32_t filled; /* entries in the buckets; read without the mutex */

static _Thread_local struct watch_pairs pairs_of_thread;

struct watch_pairs watch_pairs_(struct watch_pairs now)
{
    const struct watch_pairs before = pairs_of_thread;

    pairs_of_thread = now;
    return before;
}

static struct entry **bucket(const struct twostate_lock *lock)
{
    return &buckets[(((uintptr_t)lock >> 3) * UINT64_C(0x9e3779b97f4a7c15)) >> 52];
}

/* Where the entry of the lock is linked, or would be. */
static struct entry **place(const struct twostate_lock *lock)
{
    struct entry **link = bucket(lock);

    while (*link != NULL && (*link)->lock != lock)
        link = &(*link)->next;
    return link;
}

static void drop(struct entry **link)
{
    struct entry *entry = *link;

    *link = entry->next;
    entry->next = unused;
    unused = entry;
    __atomic_store_n(&filled, filled - 1, __ATOMIC_RELAXED);
}

static struct entry *add(const struct twostate_lock *lock)
{
    struct entry **link = bucket(lock);
    struct entry *entry = unused;

    if (entry != NULL)
        unused = entry->next;
    else if (fresh < ENTRIES)
        entry = &entries[fresh++];
    else
        return NULL;
    *entry = (struct entry){.lock = lock, .next = *link};
    *link = entry;
    __atomic_store_n(&filled, filled + 1, __ATOMIC_RELAXED);
    return entry;
}

static int set(const struct twostate_lock *lock, const struct twostate_class *cls)
{
    struct entry **link = place(lock);

    if (cls == NULL) {
        if (*link != NULL)
            drop(link);
        return 0;
    }
    if (*link == NULL && add(lock) == NULL)
        return -ENOSPC;
    (*place(lock))->cls = cls;
    return 0;
}

/* NULL is one, too. Members that are reserved have a meaning in later versions only. */
static bool valid(const struct twostate_class *cls)
{
    return cls == NULL || (cls->name != NULL && (cls->reserved[0] | cls->reserved[1]) == 0);
}

int twostate_lock_set_class(struct twostate_lock *lock, const struct twostate_class *cls)
{
    int result = 0;

    if (!valid(cls))
        return -EINVAL;
    if ((__atomic_load_n(&watch_mask_, __ATOMIC_RELAXED) & WATCH_HOLDS) == 0)
        return 0;
    holds_lock_();
    class_lock_();
    result = set(lock, cls);
    class_unlock_();
    class_see_(lock);
    holds_unlock_();
    return result;
}

int twostate_iolock_set_class(struct twostate_iolock *lock, const struct twostate_class *cls)
{
    return twostate_lock_set_class(&lock->lock_, cls);
}

int twostate_iopair_set_class(struct twostate_iopair *pair, const struct twostate_class *iolock_cls,
                              const struct twostate_class *iotype_cls)
{
    int result = -EINVAL;

    if (valid(iotype_cls))
        result = twostate_lock_set_class(&pair->iolock_.lock_, iolock_cls);
    return result ? result : twostate_lock_set_class(&pair->iotype_, iotype_cls);
}

static const struct twostate_class *own_class(const struct twostate_lock *lock)
{
    const struct twostate_class *cls = NULL;
    struct entry *entry = NULL;

    if (__atomic_load_n(&filled, __ATOMIC_RELAXED) == 0)
        return NULL;
    class_lock_();
    entry = *place(lock);
    if (entry != NULL)
        cls = entry->cls;
    class_unlock_();
    return cls;
}

const struct twostate_class *class_of_(const struct twostate_lock *lock, bool exclusive)
{
    const struct twostate_class *cls = own_class(lock);

    if (cls != NULL)
        return cls;
    if (class_paired_(lock))
        return exclusive ? &iolock_of_pair : &iotype_of_pair;
    return exclusive ? &any_iolock : &any_lock;
}

bool class_is_default_(const struct twostate_class *cls)
{
    return cls == &any_iolock || cls == &any_lock;
}

bool class_paired_(const struct twostate_lock *lock)
{
    for (unsigned n = 0; n < 2; n++) {
        const struct twostate_iopair *pair = pairs_of_thread.pairs[n];

        if (pair != NULL && (lock == &pair->iolock_.lock_ || lock == &pair->iotype_))
            return true;
    }
    return false;
}

bool class_two_pairs_(void)
{
    return pairs_of_thread.pairs[1] != NULL;
}

static bool within(const struct twostate_lock *lock, const void *memory, size_t size)
{
    return (uintptr_t)lock - (uintptr_t)memory < size;
}

void class_forget_(const void *memory, size_t size)
{
    if (__atomic_load_n(&filled, __ATOMIC_RELAXED) == 0)
        return;
    class_lock_();
    if (size == sizeof(struct twostate_lock)) {
        struct entry **link = place(memory);

        if (*link != NULL)
            drop(link);
    } else {
        for (unsigned n = 0; n < BUCKETS; n++) {
            struct entry **link = &buckets[n];

            while (*link != NULL)
                if (within((*link)->lock, memory, size))
                    drop(link);
                else
                    link = &(*link)->next;
        }
    }
    class_unlock_();
}

void class_clear_(void)
{
    class_forget_(NULL, SIZE_MAX);
}

void class_lock_(void)
{
    pthread_mutex_lock(&mutex);
}

void class_unlock_(void)
{
    pthread_mutex_unlock(&mutex);
}

bool class_seen_(const struct twostate_lock *lock)
{
    return (__atomic_load_n(&lock->word_, __ATOMIC_ACQUIRE) & WORD_PATIENCE) != 0;
}

/* The caller is using the lock, through a pointer that its own call was not given as const. */
void class_see_(const struct twostate_lock *lock)
{
    aligned_u64 *word = (aligned_u64 *)(uintptr_t)&lock->word_;

    if (!class_seen_(lock))
        __atomic_fetch_or(word, SEEN, __ATOMIC_ACQ_REL);
}
