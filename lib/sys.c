/* SPDX-License-Identifier: MIT */
/* The seam's calls into Linux: futex, clock, and the end of a program that misuses a lock. */
#include "sys.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_futex /* 32-bit machines that never had the old one */
#define SYS_futex SYS_futex_time64
#endif

/* The call that takes the time as this library was compiled with it. */
static long futex_call(void)
{
#ifdef SYS_futex_time64
    if (sizeof(time_t) > sizeof(long))
        return SYS_futex_time64;
#endif
    return SYS_futex;
}

/* A futex is 32 bits; ours is the upper half of the word, wherever the machine keeps that. */
static const uint32_t *upper_half(const uint64_t *word)
{
    return (const uint32_t *)(const void *)word + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
}

static int scope(bool shared)
{
    return shared ? 0 : FUTEX_PRIVATE_FLAG;
}

void sys_futex_wait_(const uint64_t *word, uint64_t value, uint32_t groups, bool shared,
                     const struct timespec *deadline)
{
    const int saved = errno;

    syscall(futex_call(), upper_half(word), FUTEX_WAIT_BITSET | scope(shared),
            (uint32_t)(value >> 32), deadline, NULL, groups);
    errno = saved;
}

void sys_futex_wake_(const uint64_t *word, uint32_t groups, bool shared, int most)
{
    const int saved = errno;

    syscall(futex_call(), upper_half(word), FUTEX_WAKE_BITSET | scope(shared), most, NULL, NULL,
            groups);
    errno = saved;
}

void sys_flag_wait_(const uint32_t *flag, uint32_t value, const struct timespec *deadline)
{
    const int saved = errno;

    syscall(futex_call(), flag, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value, deadline, NULL,
            FUTEX_BITSET_MATCH_ANY);
    errno = saved;
}

void sys_flag_wake_(const uint32_t *flag)
{
    const int saved = errno;

    syscall(futex_call(), flag, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
    errno = saved;
}

struct sys_thread *sys_thread_(void)
{
    static _Thread_local struct sys_thread thread;

    return &thread;
}

struct timespec sys_now_(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now;
}

/* A thread that is to be cancelled must not end in the middle of it. */
void sys_die_(const char *format, ...)
{
    va_list args;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    va_start(args, format);
    fputs("twostate: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}
