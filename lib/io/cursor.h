/* SPDX-License-Identifier: MIT */
/* A cursor over a caller's iovec: where a transfer stands, and the window it moves next. */
#ifndef TS_IO_CURSOR_H
#define TS_IO_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct cursor {
    struct iovec *iov; /* own copy; what is done is cut off its front */
    int count;
    size_t left; /* bytes not yet moved */
    /* The window: its iov is the cursor's, its last piece shortened by `hidden`. */
    int window_count;
    size_t window;
    size_t hidden;
    struct iovec *allocated;
    struct iovec few[8];
};

/* 0; -EINVAL for null, negative, too many, or more than SSIZE_MAX bytes; -ENOMEM. */
int cursor_init_(struct cursor *cursor, const struct iovec *iov, int count);
void cursor_destroy_(struct cursor *cursor);

/* Shows at most `most` bytes of what is left. */
void cursor_show_(struct cursor *cursor, size_t most);

/* Leaves out what is beyond the window for good. */
void cursor_truncate_(struct cursor *cursor);

/* Cuts off n bytes, at most the window, and shows the rest of the window. */
void cursor_advance_(struct cursor *cursor, size_t n);

/* Whether the window's addresses are multiples of `memory`, and its lengths of `length`. */
bool cursor_memory_aligned_(const struct cursor *cursor, size_t memory, size_t length);

/* Between the window and plain memory, n bytes from the window's start. */
void cursor_copy_in_(const struct cursor *cursor, const void *from, size_t n);
void cursor_copy_out_(const struct cursor *cursor, void *to, size_t n);

#endif
