/* SPDX-License-Identifier: MIT */
/* Counts the system calls that libraries make through syscall(), as the locks' futex calls are. */
#ifndef BENCH_SYSCALLS_H
#define BENCH_SYSCALLS_H

#include <stdint.h>

/* By the calling thread, since it began. glibc's own (of mutexes, conditions) are not among them. */
uint64_t syscalls_made(void);

#endif
