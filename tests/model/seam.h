/* SPDX-License-Identifier: MIT */
/*
 * The seam's other side: stands in for lib/sys.h when the library is compiled for the explorer, by
 * -include. Every atomic, futex, mutex and clock call becomes a question to the scheduler. The
 * atomics of the public headers' inline fast paths are caught by name; nobody watches (watch.h).
 */
#ifndef MODEL_SEAM_H
#define MODEL_SEAM_H

#define TS_SYS_H /* in place of lib/sys.h */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct sys_mutex {
    uint32_t taken;
};

struct sys_thread {
    struct {
        uint64_t stage;
        uint64_t hold[3], completion[3];
    } left; /* to do, of the operation (ops.c); port.h wants it first */
    struct twostate_waiter *going_on, **going_on_end;
    struct twostate_waiter *done, **done_end;
    bool continuing;
    bool calling;
    uint16_t mutexes;   /* for the checks: how many this thread has locked, */
    uint16_t callbacks; /* and how many it is in */
    uint16_t buffer;    /* of its stores: which, from 1 on (seam_io.c) */
    uint32_t number;    /* lease.c's */
};

uint64_t sys_load_(const uint64_t *word);
void sys_store_(uint64_t *word, uint64_t value);
bool seam_cas_(uint64_t *word, uint64_t seen, uint64_t next, uint64_t *now);
uint32_t sys_flag_load_(const uint32_t *flag);
void sys_flag_store_(uint32_t *flag, uint32_t value);
uint32_t sys_flag_exchange_(uint32_t *flag, uint32_t value);
bool sys_flag_cas_(uint32_t *flag, uint32_t seen, uint32_t next);
void *sys_pointer_load_(void *const *pointer);
void sys_pointer_store_(void **pointer, void *value);
bool sys_pointer_cas_(void **pointer, void **seen, void *next);
void *sys_pointer_exchange_(void **pointer, void *value);
void sys_futex_wait_(const uint64_t *word, uint64_t value, uint32_t groups, bool shared,
                     const struct timespec *deadline);
void sys_futex_wake_(const uint64_t *word, uint32_t groups, bool shared, int most);
void sys_flag_wait_(const uint32_t *flag, uint32_t value, const struct timespec *deadline);
void sys_flag_wake_(const uint32_t *flag);
void sys_mutex_lock_(struct sys_mutex *mutex);
void sys_mutex_unlock_(struct sys_mutex *mutex);
struct sys_thread *sys_thread_(void);
struct timespec sys_now_(void);
_Noreturn void sys_die_(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline void sys_pause_(unsigned times)
{
    (void)times; /* time passes at every question anyway */
}

/* By value, so that what was seen can stay in a register: dead memory makes states differ. */
static inline bool sys_cas_(uint64_t *word, uint64_t *seen, uint64_t next)
{
    uint64_t now = 0;
    const bool done = seam_cas_(word, *seen, next, &now);

    if (!done)
        *seen = now;
    return done;
}

#ifndef MODEL_SEAM_ITSELF
#define __atomic_load_n(address, order)                                                            \
    _Generic((address), uint32_t * : 0U, default                                                   \
             : sys_load_((const uint64_t *)(const void *)(address)))
#define __atomic_compare_exchange_n(address, seen, next, weak, success, failure)                   \
    sys_cas_(address, seen, next)
#endif

#endif
