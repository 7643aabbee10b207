/* SPDX-License-Identifier: MIT */
/*
 * The seam: every atomic, futex, mutex, thread-local and clock call of the locks goes through here,
 * so that the same C can be compiled against the machine or against something that explores its
 * schedules. (The fast paths in the public headers use the same builtins directly.)
 */
#ifndef TS_SYS_H
#define TS_SYS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "aligned.h"

static inline uint64_t sys_load_(const uint64_t *address)
{
    const aligned_u64 *word = address;

    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void sys_store_(uint64_t *address, uint64_t value)
{
    aligned_u64 *word = address;

    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Acquire, release, or both: one order for every slow step; *seen is updated on failure. */
static inline bool sys_cas_(uint64_t *address, uint64_t *seen, uint64_t next)
{
    aligned_u64 *word = address;

    return __atomic_compare_exchange_n(word, seen, next, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline uint32_t sys_flag_load_(const uint32_t *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static inline void sys_flag_store_(uint32_t *flag, uint32_t value)
{
    __atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

static inline uint32_t sys_flag_exchange_(uint32_t *flag, uint32_t value)
{
    return __atomic_exchange_n(flag, value, __ATOMIC_ACQ_REL);
}

static inline bool sys_flag_cas_(uint32_t *flag, uint32_t seen, uint32_t next)
{
    return __atomic_compare_exchange_n(flag, &seen, next, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static inline void *sys_pointer_load_(void *const *pointer)
{
    return __atomic_load_n(pointer, __ATOMIC_ACQUIRE);
}

static inline void sys_pointer_store_(void **pointer, void *value)
{
    __atomic_store_n(pointer, value, __ATOMIC_RELEASE);
}

static inline bool sys_pointer_cas_(void **pointer, void **seen, void *next)
{
    return __atomic_compare_exchange_n(pointer, seen, next, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static inline void *sys_pointer_exchange_(void **pointer, void *value)
{
    return __atomic_exchange_n(pointer, value, __ATOMIC_ACQ_REL);
}

/* Lets `times` moments pass without touching memory, in which others have their cache lines. */
static inline void sys_pause_(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
        __asm__ volatile("yield");
#else
        __asm__ volatile("");
#endif
    }
}

/*
 * Sleeps while the upper half of *word is that of `value`, until a wake for one of `groups` or the
 * absolute CLOCK_MONOTONIC deadline (NULL: none), or for no reason at all. The caller looks why.
 * shared: the sleepers and wakers of several processes.
 */
void sys_futex_wait_(const uint64_t *word, uint64_t value, uint32_t groups, bool shared,
                     const struct timespec *deadline);

/* Wakes up to `most` sleepers of `groups`. *word may be gone already: it is only an address. */
void sys_futex_wake_(const uint64_t *word, uint32_t groups, bool shared, int most);

/* The same for a flag, with one kind of sleepers, all woken. */
void sys_flag_wait_(const uint32_t *flag, uint32_t value, const struct timespec *deadline);
void sys_flag_wake_(const uint32_t *flag);

/* A lock for a few instructions, never held while anything waits or is called back. Zero: free. */
struct sys_mutex {
    pthread_mutex_t mutex; /* its initializer is zero in every libc of Linux */
};

static inline void sys_mutex_lock_(struct sys_mutex *mutex)
{
    pthread_mutex_lock(&mutex->mutex);
}

static inline void sys_mutex_unlock_(struct sys_mutex *mutex)
{
    pthread_mutex_unlock(&mutex->mutex);
}

/* What the calling thread is about to tell to waiters that it granted (async.c). Zero at first. */
struct sys_thread {
    struct twostate_waiter *going_on, **going_on_end; /* hold one lock of several */
    struct twostate_waiter *done, **done_end;
    bool continuing;
    bool calling;
};

struct sys_thread *sys_thread_(void);

struct timespec sys_now_(void);

/* Writes the message and stops the program. */
_Noreturn void sys_die_(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
