/* SPDX-License-Identifier: MIT */
/*
 * A syscall() in the program comes before that of the C library, for shared libraries too: so this
 * one counts, and hands on.
 */
#include "syscalls.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

static _Thread_local uint64_t made;
static long (*real)(long number, ...);

static void find_real(void)
{
    *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    if (real == NULL)
        abort();
}

uint64_t syscalls_made(void)
{
    return made;
}

__attribute__((visibility("default"))) long syscall(long number, ...)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    long argument[6];
    va_list arguments;

    pthread_once(&once, find_real);
    made++;
    /* As the C library's does: all that there may be, whatever the caller gave. */
    va_start(arguments, number);
    for (unsigned i = 0; i < 6; i++)
        argument[i] = va_arg(arguments, long);
    va_end(arguments);
    return real(number, argument[0], argument[1], argument[2], argument[3], argument[4],
                argument[5]);
}
