/* SPDX-License-Identifier: MIT */
/*
 * Between the engine and the kernel: calls that fail, do less than asked, or stop on their way.
 * The linker puts it there (--wrap, see CMakeLists.txt).
 */
#ifndef TESTS_ENGINE_INJECT_H
#define TESTS_ENGINE_INJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum call_kind {
    CALL_OPEN_DIRECT,
    CALL_FSTAT,
    CALL_READ,
    CALL_WRITE,
    CALL_SYNC, /* fsync and fdatasync */
    CALL_CLONE,
    CALL_COPY,
    CALL_PLAIN_WRITE, /* of a copy through memory */
    CALL_ALLOCATE,    /* malloc, calloc, posix_memalign */
    CALL_KINDS,
};

/* From the nth call on (1: the next), `times` calls fail with error. */
void inject_error(enum call_kind kind, uint32_t nth, uint32_t times, int error);

/* The next reads or writes transfer one more than half of what was asked, at most. */
void inject_short(enum call_kind kind, uint32_t times);

/* The next fstat, once the kernel has done it, or write, before, waits for inject_resume. */
void inject_pause(enum call_kind kind);
bool inject_paused(enum call_kind kind);
void inject_resume(enum call_kind kind);

/* Calls so far. */
uint32_t inject_count(enum call_kind kind);

/* Nothing more happens. */
void inject_nothing(void);

/* RWF_ flags that the file system does not have: answered with -EOPNOTSUPP. */
void inject_without_flags(int rw_flags);

/* The RWF_ flags of the writes since the last time. */
int inject_flags(void);

#endif
