/* SPDX-License-Identifier: MIT */
/* What the cases of bench_io share: options, test files, engines, threads, and figures. */
#ifndef BENCH_IO_H
#define BENCH_IO_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hist.h"
#include "io_calls.h"

#define IO_BLOCK   4096
#define IO_LARGEST (1 << 20) /* bytes of one transfer */
#define IO_MIB     (INT64_C(1) << 20)

struct io_options {
    const char *dir;
    bool quick;
    unsigned runs;
};

/* These stop the program if something fails: there is nothing to measure then. */
_Noreturn void io_die(const char *what, int error);
/* The bytes moved must be as many as asked for. */
void io_check(const char *what, ssize_t moved, size_t length);

/* Memory for direct IO, filled with something. */
void *io_buffer(size_t length);
void *io_alloc(size_t count, size_t size);

static inline uint64_t io_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed >> 16;
}

/* A multiple of block, such that a block there ends within size. */
static inline int64_t io_random_offset(int64_t size, int64_t block, uint64_t *seed)
{
    return (int64_t)(io_random(seed) % (uint64_t)(size / block)) * block;
}

/* A file that no name leads to, open as a program without the engine would. */
struct io_file {
    int fd;
    int direct_fd;
    int64_t size;
    const char *fs;
};

/* Written throughout and on disk, or one large hole. */
struct io_file io_file_make(const char *dir, int64_t size, bool written);
void io_file_destroy(struct io_file *file);
/* The name of the file system that dir is on. */
const char *io_fs_name(const char *dir);

/* The same file, open through an engine of its own. */
struct io_engine {
    const struct io_calls *calls;
    struct twostate_engine *engine;
    struct twostate_file *file;
};

/* NULL options: the defaults. */
struct io_engine io_engine_open(const struct io_file *file, const struct io_calls *calls,
                                enum twostate_cache cache,
                                const struct twostate_engine_options *options);
void io_engine_close(struct io_engine *engine);
/* Another descriptor's path to the same file. */
void io_file_path(int fd, char path[64]);
/* Reads all of a file, so that a cache of that size has it. */
void io_engine_warm(const struct io_engine *engine, int64_t size);

/* Threads that do one step after the other until the time is up. */
struct io_thread {
    pthread_t thread;
    struct io_crew *crew;
    unsigned number;
    uint64_t seed;
    char *buffer;  /* IO_LARGEST bytes */
    uint64_t done; /* steps; atomic */
} __attribute__((aligned(128)));

struct io_crew {
    void (*step)(struct io_crew *crew, struct io_thread *thread);
    void *context;
    unsigned threads;
    uint64_t warm_ns; /* that long it works before what it does counts */
    pthread_barrier_t start;
    bool stop;     /* atomic */
    double cpu_ns; /* of the processor, that a step took in the last run */
};

#define IO_MOST_THREADS 8

/* Steps in a second, of all threads. while_running, if not NULL, is called meanwhile, each ms. */
double io_crew_run(struct io_crew *crew, uint64_t slice_ns, void (*while_running)(void *context));

/* The same of so short a time that a busy machine may not do one: then of a longer one. */
double io_crew_turn(struct io_crew *crew, uint64_t slice_ns);
/* The numbers below count in random order: whose turn it is. */
void io_shuffle(unsigned *turns, unsigned count, uint64_t *seed);

/* A row that could not be made stops the program: no goal is to be reached for want of figures. */
void io_add_row(json_t *rows, json_t *row);

/*
 * The ops_per_s (or what key names) of the row that has all that the pattern has, which is freed;
 * NaN if there is no such row.
 */
double io_figure(const json_t *rows, const char *key, json_t *pattern);

/* The cases. Each prints its table and its goals, and returns its rows of JSON. */
json_t *io_cached(const struct io_options *options);
json_t *io_direct(const struct io_options *options);
json_t *io_mixed(const struct io_options *options);
json_t *io_writeback(const struct io_options *options);
json_t *io_memory(const struct io_options *options);

/* The second part of io_memory: adds its rows. */
void io_flat(const struct io_options *options, json_t *rows);

/* Draws the rows of one of the first three. False: said why. */
bool io_draw(const char *path, const json_t *rows);

#endif
