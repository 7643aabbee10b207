/* SPDX-License-Identifier: MIT */
/*
 * The load: threads of each kind on one file through one driver, every read checked, and at the end
 * all of the file, through the cache and on disk.
 */
#ifndef TOOL_LOAD_H
#define TOOL_LOAD_H

#include "driver.h"
#include "hist.h"
#include "kinds.h"
#include "layout.h"

#include <stdatomic.h>

#define DEPTH_MAX 256

struct load_options {
    unsigned threads[KIND_COUNT];
    double rate[KIND_COUNT]; /* operations a second of all threads of the kind; 0: unlimited */
    struct layout_options layout;
    struct driver_options driver;
    unsigned depth; /* reads and writes in flight by one thread */
    double seconds; /* 0: no limit, if there is one of ops */
    uint64_t ops;   /* 0: no limit */
    uint64_t seed;
    bool progress;
    const char *title; /* what the progress line begins with; NULL: the driver's title */
};

/* What was found wrong. */
enum finding { FOUND_TORN, FOUND_STALE, FOUND_LOST, FOUND_COUNT };

struct kind_result {
    uint64_t ops, bytes, errors, found[FOUND_COUNT];
    int error; /* the first one */
    struct hist latency, wait;
};

struct load_result {
    const struct driver *driver;
    double seconds;
    struct kind_result kinds[KIND_COUNT];
    uint64_t fsync_eio;
    uint64_t cache_bytes, cache_misses, cache_evicted, written_back; /* of a user cache */
    int unchecked; /* -errno if at the end the file could not be read to check it, else 0 */
};

/* Adds a run's results to *result, which starts zeroed. 0, or -errno if there could be no run:
 * -EINTR, a signal came before it. */
int load_run(const char *path, const struct driver *driver, const struct load_options *options,
             struct load_result *result);

/* All that was found, and the errors, of all kinds. */
uint64_t load_found(const struct load_result *result);
uint64_t load_errors(const struct load_result *result);

/* Private to load.c, ops.c and final.c: a running load, and one thread of it. */

struct job {
    struct zone *zone;
    uint32_t slot;
    uint64_t id;
    struct order_op op;
    enum verdict verdict;
    bool failed;
};

struct worker {
    struct load *load;
    enum kind kind;
    uint32_t number; /* the writer in the blocks' headers; 0 wrote the first ones */
    uint32_t index;  /* among its kind */
    unsigned batch;  /* how many of its reads or writes the next step makes */
    uint64_t random;
    char *buffer;
    struct request *requests;
    struct job *jobs;
    pthread_t thread;
    atomic_uint_least64_t ops, bytes, fsync_eio, errors, found[KIND_COUNT][FOUND_COUNT];
    int error;
    struct hist latency, wait;
};

struct load {
    const struct load_options *options;
    const struct driver *driver;
    struct driver_file *file;
    struct layout layout;
    pthread_mutex_t truncating; /* a scan and its truncate are one */
    pthread_mutex_t mutex;
    pthread_cond_t stopping;
    atomic_bool stop;
    atomic_uint_least64_t ops;
    struct worker *workers;
    unsigned worker_count;
};

/* One operation of the worker's kind (a batch, of reads and writes). */
void worker_step(struct worker *worker);

/* Counts count findings against kind. */
void worker_found(struct worker *worker, enum kind kind, enum finding finding, uint64_t count);

/* After all threads have ended and the driver has closed, so that what a cache of its own held is in
 * the file: checks the file by system calls. 0 or -errno. */
int load_final_check(struct load *load, const char *path, struct load_result *result);

#endif
