/* SPDX-License-Identifier: MIT */
/* Lost on disk. The recipes are those that lost the most on an idle disk. */
#include "lost.h"
#include "block.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAIL        2048 /* of each chunk: what the buffered writers have */
#define CELL        64   /* one buffered write */
#define CELLS       (TAIL / CELL)
#define DEPTH_MAX   32
#define HAMMERS_MAX 2
#define FILE_SIZE   (INT64_C(64) << 20)

static const struct recipe {
    uint32_t chunk;
    unsigned chunks, depth, hammers;
} recipes[] = {
    {1024 * 1024, 64, 32, 1},
    {256 * 1024, 256, 16, 2},
};

struct lost_round {
    const struct recipe *recipe;
    const struct driver *driver;
    struct driver_file *file;
    unsigned number;
    uint64_t seed;
    atomic_bool stop;
    atomic_int in_flight[DEPTH_MAX]; /* chunks; -1: none */
    uint32_t *cells;                 /* acknowledged sequence of each; 0: none */
    bool *acked;                     /* chunks whose direct write was acknowledged */
    atomic_uint_least64_t buffered_writes, errors;
};

struct lost_direct {
    atomic_int *in_flight;
    int chunk;
};

struct hammer {
    struct lost_round *round;
    unsigned index;
    pthread_t thread;
};

static int64_t chunk_offset(const struct recipe *recipe, unsigned chunk)
{
    return (int64_t)chunk * recipe->chunk;
}

static void cell_fill(char *bytes, unsigned chunk, unsigned cell, uint32_t sequence)
{
    block_fill(bytes, CELL, chunk, cell, sequence);
}

/* Writes to a cell of a chunk in flight. The cells are divided among the hammers. */
static void hammer_once(struct hammer *hammer, uint64_t *random)
{
    struct lost_round *round = hammer->round;
    const struct recipe *recipe = round->recipe;
    int chunk = atomic_load_explicit(&round->in_flight[random_below(random, recipe->depth)],
                                     memory_order_relaxed);
    unsigned cell = random_below(random, CELLS / recipe->hammers) * recipe->hammers + hammer->index;
    char bytes[CELL];

    if (chunk < 0) {
        sched_yield();
        return;
    }
    uint32_t *last = &round->cells[(size_t)chunk * CELLS + cell];
    struct request request = {
        .write = true,
        .buffer = bytes,
        .length = CELL,
        .offset = chunk_offset(recipe, (unsigned)chunk + 1) - TAIL + (int64_t)cell * CELL,
    };

    cell_fill(bytes, (unsigned)chunk, cell, *last + 1);
    round->driver->transfer(round->file, &request, 1);
    atomic_fetch_add_explicit(&round->buffered_writes, 1, memory_order_relaxed);
    if (request.result == CELL)
        ++*last;
    else
        atomic_fetch_add_explicit(&round->errors, 1, memory_order_relaxed);
}

static void *hammer_main(void *arg)
{
    struct hammer *hammer = arg;
    uint64_t random = hammer->round->seed + hammer->index;

    while (!atomic_load_explicit(&hammer->round->stop, memory_order_relaxed))
        hammer_once(hammer, &random);
    return NULL;
}

/* From here on buffered writes may hit the chunk. Sooner, and the direct write would only wait. */
static void direct_submitted(struct request *request)
{
    struct lost_direct *direct = request->arg;

    atomic_store_explicit(direct->in_flight, direct->chunk, memory_order_relaxed);
}

static void direct_done(struct request *request)
{
    struct lost_direct *direct = request->arg;

    atomic_store_explicit(direct->in_flight, -1, memory_order_relaxed);
}

/* Writes all of each chunk but its tail, a batch in flight at a time. */
static void write_chunks(struct lost_round *round, struct lost_result *result, char *buffer)
{
    const struct recipe *recipe = round->recipe;
    struct request requests[DEPTH_MAX];
    struct lost_direct directs[DEPTH_MAX];

    for (unsigned first = 0; first < recipe->chunks; first += recipe->depth) {
        for (unsigned i = 0; i < recipe->depth; i++) {
            directs[i] = (struct lost_direct){&round->in_flight[i], (int)(first + i)};
            requests[i] = (struct request){
                .write = true,
                .direct = true,
                .buffer = buffer + (size_t)i * recipe->chunk,
                .length = recipe->chunk - TAIL,
                .offset = chunk_offset(recipe, first + i),
                .submitted = direct_submitted,
                .done = direct_done,
                .arg = &directs[i],
            };
            block_fill(requests[i].buffer, recipe->chunk - TAIL, first + i, round->number, 1);
        }
        round->driver->transfer(round->file, requests, recipe->depth);
        for (unsigned i = 0; i < recipe->depth; i++) {
            round->acked[first + i] = requests[i].result == recipe->chunk - TAIL;
            result->errors += !round->acked[first + i];
            result->direct_writes += round->acked[first + i];
        }
    }
}

static bool cell_ok(const char *bytes, unsigned chunk, unsigned cell, uint32_t sequence)
{
    char expected[CELL];

    cell_fill(expected, chunk, cell, sequence);
    return sequence == 0 || memcmp(bytes, expected, CELL) == 0;
}

/* Compares every acknowledged byte with the disk. */
static int check_disk(const struct lost_round *round, const char *path, struct lost_result *result,
                      char *buffer)
{
    const struct recipe *recipe = round->recipe;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int direct = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    int error = fd < 0 ? -errno : 0;

    if (error == 0)
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    for (unsigned chunk = 0; chunk < recipe->chunks && error == 0; chunk++) {
        ssize_t n =
            pread(direct >= 0 ? direct : fd, buffer, recipe->chunk, chunk_offset(recipe, chunk));
        struct block_header header;

        if (n != (ssize_t)recipe->chunk) {
            error = n < 0 ? -errno : -EIO;
            break;
        }
        result->direct_lost +=
            round->acked[chunk] &&
            (block_check(buffer, recipe->chunk - TAIL, chunk, &header) != CONTENT_BLOCK ||
             header.writer != round->number);
        for (unsigned cell = 0; cell < CELLS; cell++)
            result->buffered_lost +=
                !cell_ok(buffer + recipe->chunk - TAIL + (size_t)cell * CELL, chunk, cell,
                         round->cells[(size_t)chunk * CELLS + cell]);
    }
    if (fd >= 0)
        close(fd);
    if (direct >= 0)
        close(direct);
    return error;
}

static void run_threads(struct lost_round *round, struct lost_result *result, char *buffer)
{
    struct hammer hammers[HAMMERS_MAX];

    for (unsigned i = 0; i < DEPTH_MAX; i++)
        atomic_init(&round->in_flight[i], -1);
    for (unsigned i = 0; i < round->recipe->hammers; i++) {
        hammers[i] = (struct hammer){.round = round, .index = i};
        if (pthread_create(&hammers[i].thread, NULL, hammer_main, &hammers[i]) != 0)
            die("cannot start a thread");
    }
    write_chunks(round, result, buffer);
    atomic_store(&round->stop, true);
    for (unsigned i = 0; i < round->recipe->hammers; i++)
        pthread_join(hammers[i].thread, NULL);
    result->buffered_writes += atomic_load(&round->buffered_writes);
    result->errors += atomic_load(&round->errors);
}

int lost_round(const char *path, const struct driver *driver, const struct driver_options *options,
               unsigned number, uint64_t seed, struct lost_result *result)
{
    const struct recipe *recipe = &recipes[number % (sizeof(recipes) / sizeof(*recipes))];
    struct lost_round round = {.recipe = recipe,
                               .driver = driver,
                               .number = number + 1,
                               .seed = seed + (uint64_t)number * 16};
    int error = driver->open(path, options, &round.file);

    if (error)
        return error;
    char *buffer = aligned_zalloc((size_t)recipe->chunk * recipe->depth);

    round.cells = zalloc(recipe->chunks * (size_t)CELLS, sizeof(*round.cells));
    round.acked = zalloc(recipe->chunks, sizeof(*round.acked));
    run_threads(&round, result, buffer);
    int ends[] = {driver->fsync(round.file), driver->close(round.file)};

    for (unsigned i = 0; i < 2; i++) {
        result->fsync_eio += ends[i] == -EIO;
        result->errors += ends[i] != 0 && ends[i] != -EIO;
    }
    error = check_disk(&round, path, result, buffer);
    result->rounds++;
    free(round.acked);
    free(round.cells);
    free(buffer);
    return error;
}

int lost_prepare(const char *path)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    const size_t step = 1048576;
    int error = fd < 0 ? -errno : 0;
    char *buffer = aligned_zalloc(step);

    for (int64_t at = 0; at < FILE_SIZE && error == 0; at += (int64_t)step) {
        block_fill(buffer, (uint32_t)step, (uint64_t)at, 0, 0);
        ssize_t n = pwrite(fd, buffer, step, at);

        if (n != (ssize_t)step)
            error = n < 0 ? -errno : -ENOSPC;
        else if (load_interrupted)
            error = -EINTR;
    }
    if (error == 0 && fsync(fd))
        error = -errno;
    if (fd >= 0)
        close(fd);
    free(buffer);
    return error;
}
