/* SPDX-License-Identifier: MIT */
/*
 * A world: an engine, its two files beside their models, and how to look at the files past the
 * engine.
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include "child.h"
#include "flight.h"
#include "model.h"
#include "script.h"

#include <twostate/io.h>

struct file {
    struct twostate_file *file;
    struct model model;
    int fd; /* the kernel's view */
    char path[64];
    enum twostate_cache cache;
};

struct world {
    const struct setup *setup;
    struct report *report;
    struct twostate_engine *engine;
    struct file files[2];
    struct flights flights;
    struct reorder *reorder; /* NULL: the backend is left alone */
    bool has_direct;
    size_t step;
    const struct op *op;
};

/* Where the files are. path: the first one's name, the second has .2 behind it; they stay, empty at
   the beginning. NULL: files without a name in $TWOSTATE_TEST_DIR, or here. */
struct place {
    const char *path;
};

void world_enter(struct world *world, const struct setup *setup, const struct place *place,
                 struct report *report);
/* Everything is compared once more; whatever is open is closed. */
void world_leave(struct world *world);

/* Closes the file and opens it with that cache. */
void world_reopen(struct world *world, struct file *file, enum twostate_cache cache, int64_t folio);

/* The operation has failed. */
__attribute__((noreturn, format(printf, 2, 3))) void world_fail(const struct world *world,
                                                                const char *format, ...);

/* The two agree; what: whose bytes they are. */
void world_compare(const struct world *world, const char *what, const void *real, const void *model,
                   int64_t length);

/* Everything of the file as others see it, through the kernel's cache or past it. It was synced. */
void world_check_kernel(struct world *world, struct file *file, bool direct);

/* A range is on disk; nobody has written to its blocks since it was made durable. */
void world_check_disk(struct world *world, struct file *file, int64_t offset, int64_t length);

/* Nothing is in flight: the sizes agree, and the file is on disk no larger than it is. */
void world_check_sizes(struct world *world, struct file *file);

/* A new file that has no name, for reading and writing, where such are. -1: there is none. */
int world_unnamed_file(void);

/* Whether the files' file system has the mode of fallocate(2). */
bool world_has_mode(struct world *world, int mode);

#endif
