/* SPDX-License-Identifier: MIT */
/* The programs of engine calls: see scenario.h. */
#include "scenario.h"

#include <fcntl.h>
#include <linux/falloc.h>

#define K ((size_t)1024)
#define M (1024 * K)

#define DIRECT    TWOSTATE_IO_DIRECT
#define DSYNC     TWOSTATE_IO_DSYNC
#define NOWAIT    TWOSTATE_IO_NOWAIT
#define APPEND    TWOSTATE_IO_APPEND
#define DONTCACHE TWOSTATE_IO_DONTCACHE

/* at, length, what else there is to say */
#define READ(...)                                                                                  \
    {                                                                                              \
        .act = ACT_READ, .offset = __VA_ARGS__                                                     \
    }
#define WRITE(...)                                                                                 \
    {                                                                                              \
        .act = ACT_WRITE, .offset = __VA_ARGS__                                                    \
    }
#define TRUNCATE(to)                                                                               \
    {                                                                                              \
        .act = ACT_TRUNCATE, .offset = (int64_t)(to)                                               \
    }
#define ALLOCATE(how, at, n)                                                                       \
    {                                                                                              \
        .act = ACT_ALLOCATE, .mode = (how), .offset = (int64_t)(at), .length = (n)                 \
    }
#define CANCEL(back)                                                                               \
    {                                                                                              \
        .act = ACT_CANCEL, .offset = (back)                                                        \
    }
#define ASYNC .async = true
#define SYNC                                                                                       \
    {                                                                                              \
        .act = ACT_SYNC                                                                            \
    }
#define SYNC_ASYNC                                                                                 \
    {                                                                                              \
        .act = ACT_SYNC, ASYNC                                                                     \
    }
#define DATASYNC                                                                                   \
    {                                                                                              \
        .act = ACT_DATASYNC                                                                        \
    }
#define WAIT                                                                                       \
    {                                                                                              \
        .act = ACT_WAIT                                                                            \
    }
#define REOPEN                                                                                     \
    {                                                                                              \
        .act = ACT_REOPEN                                                                          \
    }

/* clang-format off */
static const struct step buffered[] = {
    WRITE(100, 3000),
    WRITE(4 * K, 16 * K, .pieces = 12),
    READ(0, 20000),
    WRITE(60 * K, 20 * K), /* raises the size */
    WRITE(100 * K, 5000),  /* leaves a hole */
    READ(50 * K, 60 * K),
    SYNC,
    WRITE(8 * K, 8 * K),
    READ(8 * K, 4000),
    DATASYNC,
    WRITE(20 * K, 100),
    TRUNCATE(30000),
    WRITE(40000, 100),
    READ(0, 64 * K),
    WRITE(0, 777, .flags = APPEND),
    SYNC,
    WRITE(33000, 5),
};

static const struct step direct[] = {
    WRITE(0, 32 * K, .flags = DIRECT),
    READ(0, 64 * K, .flags = DIRECT),
    WRITE(4 * K, 8 * K),
    READ(0, 16 * K, .flags = DIRECT, .odd = true),
    WRITE(16 * K, 16 * K),
    WRITE(20 * K, 8 * K, .flags = DIRECT, .odd = true),
    READ(12 * K, 20 * K),
    WRITE(1000, 3000, .flags = DIRECT),           /* not aligned */
    WRITE(60 * K, 16 * K, .flags = DIRECT),       /* raises the size */
    WRITE(96 * K, 4 * K, .flags = DIRECT),        /* leaves a hole */
    READ(70 * K, 40 * K, .flags = DIRECT),
    WRITE(0, 12 * K, .flags = DIRECT | APPEND),
    WRITE(0, 1500, .flags = DIRECT | APPEND),
    READ(100 * K, 40 * K),
    SYNC,
    WRITE(36 * K, 4 * K, .flags = DIRECT),
    DATASYNC,
};

static const struct step async[] = {
    WRITE(0, 16 * K),
    WRITE(16 * K, 4 * K, .flags = DIRECT, ASYNC),
    WRITE(20 * K, 8 * K, .flags = DIRECT, ASYNC),
    READ(0, 16 * K, .flags = DIRECT, ASYNC),
    WRITE(32 * K, 4 * K, .flags = DIRECT, ASYNC, .pieces = 9, .odd = true),
    WRITE(36 * K, 16 * K, .flags = DIRECT, ASYNC),
    WRITE(52 * K, 3000, ASYNC),
    SYNC_ASYNC,
    WAIT,
    READ(16 * K, 48 * K, .flags = DIRECT, ASYNC),
    WRITE(0, 12 * K, ASYNC),
    WRITE(12 * K, 4 * K, .flags = DIRECT, ASYNC),
    WAIT,
    WRITE(0, 8 * K, .flags = DIRECT | APPEND, ASYNC),
    WAIT,
    WRITE(80 * K, 8 * K, .flags = DIRECT, ASYNC), /* raises the size */
    WAIT,
    SYNC_ASYNC,
    WAIT,
    WRITE(4 * K, 4 * K, .flags = DIRECT, ASYNC),
    REOPEN, /* with a request in flight */
    READ(0, 96 * K),
};

static const struct step durable[] = {
    WRITE(100, 5000, .flags = DSYNC),
    WRITE(8 * K, 8 * K, .flags = DSYNC | DIRECT),
    WRITE(0, 3000, .flags = DSYNC | APPEND),
    WRITE(20 * K, 9 * K),
    WRITE(32 * K, 100, .flags = DSYNC),
    SYNC,
    WRITE(36 * K, 4 * K, .flags = DSYNC | DIRECT, ASYNC),
    WAIT,
    WRITE(44 * K, 4 * K, .flags = DSYNC, ASYNC),
    WAIT,
    WRITE(0, 6 * K),
    REOPEN,
    WRITE(2000, 2000, .flags = DSYNC | DIRECT), /* not aligned */
    WRITE(96 * K, 4 * K, .flags = DSYNC | DIRECT), /* leaves a hole */
    WRITE(60 * K, 100),
    DATASYNC,
    READ(0, 128 * K),
};

static const struct step whole[] = {
    WRITE(0, 20 * K),
    TRUNCATE(50000),
    WRITE(40 * K, 20 * K),
    ALLOCATE(0, 60 * K, 20 * K),
    ALLOCATE(FALLOC_FL_KEEP_SIZE, 80 * K, 16 * K),
    WRITE(70 * K, 100),
    ALLOCATE(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10 * K, 10 * K),
    READ(0, 80 * K),
    WRITE(4 * K, 8 * K, .flags = DIRECT),
    TRUNCATE(6000),
    TRUNCATE(70 * K),
    READ(0, 70 * K, .flags = DIRECT),
    SYNC,
    WRITE(0, 5000),
    ALLOCATE(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3000, 100),
    TRUNCATE(3050),
    SYNC,
    TRUNCATE(100 * K),
    READ(0, 100 * K),
};

/* One request at a time: the others wait in lists. */
static const struct step cancelled[] = {
    WRITE(0, 4 * K, .flags = DIRECT, ASYNC),
    WRITE(4 * K, 4 * K, .flags = DIRECT, ASYNC),
    WRITE(8 * K, 4 * K, .flags = DIRECT, ASYNC),
    WRITE(12 * K, 4 * K, ASYNC),
    READ(16 * K, 4 * K, .flags = DIRECT, ASYNC),
    WRITE(20 * K, 4 * K, ASYNC),
    CANCEL(5),
    CANCEL(2),
    CANCEL(8),
    WRITE(24 * K, 4 * K, .flags = DIRECT, ASYNC),
    WRITE(28 * K, 4 * K, .flags = DIRECT, ASYNC),
    WAIT,
    READ(0, 64 * K),
    TRUNCATE(32 * K), /* waits until nothing is in flight */
    WRITE(0, 4 * K, .flags = DIRECT, ASYNC),
    WRITE(4 * K, 4 * K, .flags = DIRECT, ASYNC),
    CANCEL(1),
    REOPEN,
    SYNC,
};

static const struct step uncached[] = {
    WRITE(0, 20 * K, .flags = DONTCACHE),
    READ(0, 64 * K, .flags = DONTCACHE),
    WRITE(5000, 5000, .flags = DONTCACHE),
    WRITE(30 * K, 8 * K, .flags = NOWAIT),
    READ(28 * K, 8 * K, .flags = NOWAIT),
    WRITE(12 * K, 4 * K, .flags = NOWAIT | DIRECT),
    READ(12 * K, 4 * K, .flags = NOWAIT | DIRECT),
    WRITE(16 * K, 4 * K, .flags = NOWAIT | DIRECT, ASYNC),
    WAIT,
    WRITE(62 * K, 10000, .flags = DONTCACHE),
    SYNC,
    READ(0, 80 * K),
};

/* Four MiB of cache, of which at most ten per cent may be dirty. */
static const struct step pressed[] = {
    WRITE(0, M),
    WRITE(M, M),
    WRITE(2 * M, M),
    WRITE(3 * M, M),
    WRITE(4 * M, M),
    READ(0, M),
    WRITE(5 * M, M, ASYNC),
    WRITE(512 * K, 256 * K, ASYNC),
    READ(2 * M, M, ASYNC),
    WAIT,
    WRITE(M, 2 * M),
    READ(0, 6 * M),
    WRITE(4 * M, M, .flags = DIRECT),
    WRITE(3 * M, 64 * K),
    SYNC,
    WRITE(256 * K, 64 * K),
};

/* Requests of more than one piece. */
static const struct step large[] = {
    WRITE(512 * K, 2560 * K),
    READ(0, 3 * M),
    WRITE(256 * K, 1280 * K, .flags = DIRECT),
    READ(0, 2 * M, .flags = DIRECT, ASYNC),
    WAIT,
    WRITE(0, 1536 * K, .flags = APPEND),
    WRITE(0, 1280 * K, .flags = DSYNC, ASYNC),
    WAIT,
    SYNC,
};

/* bytes, unit, initial, what else there is to say */
#define SCENARIO(title, of, ...)                                                                   \
    {                                                                                              \
        .name = (title), .steps = of, .step_count = sizeof(of) / sizeof(of[0]),                    \
        .bytes = __VA_ARGS__                                                                       \
    }

const struct scenario scenarios[] = {
    SCENARIO("buffered", buffered, 128 * K, 1, 64 * K, .folio = 4096),
    SCENARIO("direct", direct, 160 * K, 1, 64 * K),
    SCENARIO("async", async, 128 * K, 1, 64 * K, .options = {.queue_depth = 4, .workers = 2}),
    SCENARIO("durable", durable, 128 * K, 1, 64 * K),
    SCENARIO("whole", whole, 128 * K, 1, 32 * K, .folio = 65536),
    SCENARIO("cancelled", cancelled, 64 * K, 512, 64 * K, .options = {.queue_depth = 1, .workers = 1,
             .requests = 6}),
    SCENARIO("polled", async, 128 * K, 1, 64 * K, .options = {.queue_depth = 2, .workers = 1,
             .polled = true}, .folio = 4096),
    SCENARIO("uncached", uncached, 128 * K, 1, 64 * K),
    SCENARIO("pressed", pressed, 6 * M, 512, 6 * M, .options = {.cache_bytes = 4 * M, .dirty_percent = 10,
             .writeback_ms = 20}, .stride = 23),
    SCENARIO("large", large, 6 * M, 512, M, .stride = 7),
};
/* clang-format on */

const unsigned scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);
