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
#include <sys/uio.h>

enum call_kind {
    CALL_OPEN, /* eventfd too */
    CALL_OPEN_DIRECT,
    CALL_FSTAT,
    CALL_READ,
    CALL_WRITE,
    CALL_SYNC, /* fsync and fdatasync */
    CALL_TRUNCATE,
    CALL_FALLOCATE,
    CALL_CLONE,
    CALL_COPY,
    CALL_PLAIN_WRITE, /* of a copy through memory */
    CALL_ALLOCATE,    /* malloc, calloc, posix_memalign, mmap */
    CALL_THREAD,      /* pthread_create */
    /* These only where inject_backend.c is linked in. */
    CALL_OP,     /* what the backend is given */
    CALL_RING,   /* io_uring_queue_init */
    CALL_SUBMIT, /* io_uring_submit */
    CALL_REAP,   /* the wait for a completion */
    CALL_KINDS,
};

/* What becomes of a call. */
enum fault {
    FAULT_NONE,
    FAULT_ERROR,      /* it fails, and has done nothing */
    FAULT_LATE_ERROR, /* it is done, and fails all the same */
    FAULT_TORN,       /* every other sector of a write is written, then it fails */
    FAULT_SHORT,      /* it transfers about half */
    FAULT_HELD,       /* of an op: it begins later, and after those that come after it */
    FAULT_HELD_DONE,  /* of an op: the same with its end */
};

struct hit {
    enum fault fault;
    int error;
};

/* From the nth call on (1: the next), `times` calls go wrong. */
void inject_fault(enum call_kind kind, enum fault fault, uint32_t nth, uint32_t times, int error);

/* The same with FAULT_ERROR. */
void inject_error(enum call_kind kind, uint32_t nth, uint32_t times, int error);

/* Calls that went wrong since inject_nothing. */
uint32_t inject_hits(void);

/* From now on only transfers of this file are counted, and go wrong. Until inject_nothing. */
void inject_only_file(int fd);

/* The calling thread's calls are not counted, and nothing happens to them. Whether it was so before. */
bool inject_spare(bool spare);

/* For who stands between engine and kernel: counts a call in, and tells what is to become of it. */
struct hit inject_next(enum call_kind kind);

/*
 * Whether the kernel was told, successfully, to make the files durable after the last change to one
 * that it has told to have made. Only when nothing is in flight. And the number of such changes, but
 * of those that it had to make durable at once.
 */
bool inject_durable(void);
uint32_t inject_changes(void);
/* A write came to an end past the calls that are watched here. */
void inject_note_write(int rw_flags);

/* Writes every other sector. */
void inject_tear(int fd, const struct iovec *iov, int count, off_t offset);

/* The next reads or writes transfer one more than half of what was asked, at most. */
void inject_short(enum call_kind kind, uint32_t times);

/* The next fstat or ftruncate, once the kernel has done it, or write, before, waits for inject_resume. */
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
