/* SPDX-License-Identifier: MIT */
/* The kinds of operation that a load is made of, and the names that scripts know them by. */
#ifndef TOOL_KINDS_H
#define TOOL_KINDS_H

/* X(enumerator, name, default threads, default operations a second; 0: as many as possible) */
#define KINDS(X)                                                                                   \
    X(KIND_BUFFERED_READ, buffered_read, 1, 0)                                                     \
    X(KIND_BUFFERED_WRITE, buffered_write, 2, 0)                                                   \
    X(KIND_DIRECT_READ, direct_read, 1, 0)                                                         \
    X(KIND_DIRECT_WRITE, direct_write, 2, 0)                                                       \
    X(KIND_APPEND, append, 2, 200)                                                                 \
    X(KIND_TRUNCATE, truncate, 1, 5)                                                               \
    X(KIND_PUNCH, punch, 1, 20)                                                                    \
    X(KIND_REMAP, remap, 1, 20)                                                                    \
    X(KIND_FSYNC, fsync, 1, 4)

enum kind {
#define X(enumerator, name, threads, rate) enumerator,
    KINDS(X)
#undef X
        KIND_COUNT
};

extern const char *const kind_names[KIND_COUNT];

#endif
