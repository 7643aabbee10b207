/* SPDX-License-Identifier: MIT */
/* What the cases of bench_io share: options, the test file, a sum of what threads measured. */
#ifndef BENCH_IO_H
#define BENCH_IO_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <twostate/io.h>

#include "hist.h"

#define IO_BLOCK 4096

struct io_options {
    const char *dir;
    bool quick;
    unsigned runs;
};

/* A written file that no name leads to, open in every way that is compared. */
struct io_file {
    int fd;
    int direct_fd;
    int64_t blocks;
    struct twostate_engine *engine;
    struct twostate_file *twostate;
    const char *fs;
};

/* These stop the program if something fails: there is nothing to measure then. */
struct io_file io_file_make(const struct io_options *options);
void io_file_destroy(struct io_file *file);
_Noreturn void io_die(const char *what, int error);

/* Memory for direct IO, filled with something. */
void *io_buffer(void);

static inline uint64_t io_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed >> 16;
}

static inline int64_t io_random_offset(const struct io_file *file, uint64_t *seed)
{
    return (int64_t)(io_random(seed) % (uint64_t)file->blocks) * IO_BLOCK;
}

/* The cases. Each prints its table and returns its rows of JSON. */
json_t *io_mixed(const struct io_options *options);
json_t *io_direct(const struct io_options *options);

#endif
