/* SPDX-License-Identifier: MIT */
/*
 * The seam of lib/io: its gate and its lease are compiled into the operations (ops_folio.c,
 * ops_lease.c), and what they do with atomics, mutexes and calls to the system is caught by name.
 *
 * Unlike the locks, they rely on plain stores. So here a plain store is not seen by others at once:
 * it is in its thread's store buffer, as on x86, until some time, or until the thread's next
 * read-modify-write, or until somebody's membarrier. Who looks where a store of another thread is on
 * its way finds it done, with all stores before it, or not done: both are tried.
 */
#ifndef MODEL_SEAM_IO_H
#define MODEL_SEAM_IO_H

#include "port.h"
#include "seam.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

uint32_t io_load32_(const uint32_t *address);
uint64_t io_load64_(const uint64_t *address);
void io_store32_(uint32_t *address, uint32_t value, int order);
void io_store64_(uint64_t *address, uint64_t value, int order);
bool io_cas32_(uint32_t *address, uint32_t *seen, uint32_t next);
bool io_cas64_(uint64_t *address, uint64_t *seen, uint64_t next);
uint32_t io_add32_(uint32_t *address, uint32_t change); /* the new value */
uint32_t io_sub32_(uint32_t *address, uint32_t change);
uint64_t io_and64_(uint64_t *address, uint64_t kept);
void io_lock_(pthread_mutex_t *mutex);
void io_unlock_(pthread_mutex_t *mutex);
long io_syscall_(long number, int command);

/* Waits for nothing; others do not see less of what the thread has stored when it has returned. */
void io_flush_(void);

/* Waits until all that the thread has stored is seen, and it needs its buffer no more. */
void io_end_(void);

/* Waits until the memory is 0 for others to see; instead of looking again and again. */
void io_await_zero_(const uint32_t *address);

/* Of ops_lease.c: what nobody ever writes to; what must be true after each access; its state. */
bool lease_unused_(const void *address);
void lease_check_(const void *touched);

#undef __atomic_load_n
#undef __atomic_compare_exchange_n
/* clang-format off */
#define __atomic_load_n(address, order)                                                            \
    _Generic((address), uint32_t *: io_load32_, const uint32_t *: io_load32_,                      \
             default: io_load64_)(address)
#define __atomic_store_n(address, value, order)                                                    \
    _Generic((address), uint32_t *: io_store32_, default: io_store64_)(address, value, order)
#define __atomic_compare_exchange_n(address, seen, next, weak, success, failure)                   \
    _Generic((address), uint32_t *: io_cas32_, default: io_cas64_)(address, seen, next)
/* clang-format on */
#define __atomic_add_fetch(address, change, order) io_add32_(address, change)
#define __atomic_sub_fetch(address, change, order) io_sub32_(address, change)
#define __atomic_and_fetch(address, kept, order)   io_and64_(address, kept)

#endif
