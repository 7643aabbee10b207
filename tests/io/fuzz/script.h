/* SPDX-License-Identifier: MIT */
/*
 * A script: an engine's options and a list of operations on its two files, one a line as text.
 *
 *     setup backend=2 cache=1 folio=4096
 *     write file=0 offset=4095 length=2 flags=direct+dsync async=1
 *     read file=0 length=5000
 *
 * What is 0 is left out. Everything is a number but for the flags, so that a script can be made
 * smaller without knowing what it means.
 */
#ifndef FUZZ_SCRIPT_H
#define FUZZ_SCRIPT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)

#define LENGTH_MOST (MIB + 300 * KIB) /* of one transfer */
#define SCRIPT_MOST 4000              /* operations */

/* X(kind, weight when scripts are made) */
#define OP_KINDS(X)                                                                                \
    X(read, 40)                                                                                    \
    X(write, 40)                                                                                   \
    X(append, 8) /* by twostate_append */                                                          \
    X(truncate, 6)                                                                                 \
    X(fallocate, 8)                                                                                \
    X(remap, 5)                                                                                    \
    X(seek, 3)                                                                                     \
    X(fsync, 2)                                                                                    \
    X(fdatasync, 1)                                                                                \
    X(check, 1)  /* fsync, and what the kernel then shows to others */                             \
    X(reopen, 1) /* with another cache, or folio */                                                \
    X(cancel, 3) /* the requests in flight whose number, counted from the oldest, is `data` */     \
    X(wait, 2)   /* for all requests in flight */

enum op_kind {
#define X(name, weight) OP_##name,
    OP_KINDS(X)
#undef X
        OP_KIND_COUNT
};

#define OP_FIELDS(X)                                                                               \
    X(file)  /* 0 or 1 */                                                                          \
    X(other) /* the destination of a remap */                                                      \
    X(offset)                                                                                      \
    X(length)                                                                                      \
    X(to)     /* of a remap */                                                                     \
    X(mode)   /* of a fallocate */                                                                 \
    X(async)  /* don't wait for it */                                                              \
    X(pieces) /* of the memory, besides the first */                                               \
    X(grain)  /* all pieces but the last are multiples of it; 0: 1 */                              \
    X(shift)  /* of the memory, from a page's start */                                             \
    X(data)   /* what is written */                                                                \
    X(cache)  /* from a reopen on */                                                               \
    X(folio)                                                                                       \
    X(flags)

struct op {
    enum op_kind kind;
#define X(name) int64_t name;
    OP_FIELDS(X)
#undef X
};

#define SETUP_FIELDS(X)                                                                            \
    X(backend)                                                                                     \
    X(queue_depth)                                                                                 \
    X(workers)                                                                                     \
    X(requests)                                                                                    \
    X(polled)                                                                                      \
    X(cache_bytes)                                                                                 \
    X(dirty_percent)                                                                               \
    X(writeback_ms)                                                                                \
    X(cache)                                                                                       \
    X(folio)                                                                                       \
    X(base)    /* where in the file everything happens; before it is a hole */                     \
    X(most)    /* the files' size beyond base, at most */                                          \
    X(reorder) /* completions of direct requests are held back, and released in this disorder */

struct setup {
#define X(name) int64_t name;
    SETUP_FIELDS(X)
#undef X
};

struct script {
    struct setup setup;
    size_t count;
    struct op ops[SCRIPT_MOST];
};

enum { OP_FIELD_COUNT = (sizeof(struct op) - offsetof(struct op, file)) / sizeof(int64_t) };
enum { SETUP_FIELD_COUNT = sizeof(struct setup) / sizeof(int64_t) };

/* The fields by number. The flags are the last one. */
int64_t *op_field(struct op *op, size_t field);
int64_t *setup_field(struct setup *setup, size_t field);

extern const char *const op_names[OP_KIND_COUNT];

void script_print(const struct script *script, FILE *to);
void op_print(const struct op *op, FILE *to);
/* 0, or the number of the line that is not understood. */
int script_parse(struct script *script, FILE *from);

/* What --cache and --backend allow: bits 1 << enum twostate_cache, 1 << enum twostate_backend. */
struct choice {
    unsigned caches;
    unsigned backends;
};

/* The script that the seed stands for, of at most `most` operations. */
void script_make(struct script *script, uint64_t seed, const struct choice *choice, size_t most);

#endif
