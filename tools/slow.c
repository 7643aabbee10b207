/* SPDX-License-Identifier: MIT */
/* Slow. Half of the operations overwrite, half read; each thread does both. */
#include "slow.h"
#include "block.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK     4096
#define BLOCKS    1024 /* 4 MiB: hot, so that the sides meet; soon written between the rounds */
#define THREADS   2    /* of each side */
#define ALONE     0.3  /* of the time */
#define READ_HALF 2
#define LOOK_NS   (NS_PER_S / 20)

struct slow_round {
    const struct driver *driver;
    struct driver_file *file;
    atomic_bool stop;
};

struct slow_thread {
    struct slow_round *round;
    enum slow_side side;
    uint64_t random, ops, errors;
    struct hist wait;
    char *buffer;
    pthread_t thread;
};

static void *slow_main(void *arg)
{
    struct slow_thread *thread = arg;
    struct slow_round *round = thread->round;

    while (!atomic_load_explicit(&round->stop, memory_order_relaxed)) {
        struct request request = {
            .write = random_below(&thread->random, READ_HALF) != 0,
            .direct = thread->side == SLOW_DIRECT,
            .buffer = thread->buffer,
            .length = BLOCK,
            .offset = (int64_t)random_below(&thread->random, BLOCKS) * BLOCK,
        };

        round->driver->transfer(round->file, &request, 1);
        thread->ops++;
        thread->errors += request.result != BLOCK;
        hist_add_ns(&thread->wait, request.waited_ns);
    }
    return NULL;
}

/* In steps: the signal may come just before a sleep, or to another thread. */
static void sleep_for(double seconds)
{
    int64_t end = now_ns() + (int64_t)(seconds * (double)NS_PER_S), left;

    while ((left = end - now_ns()) > 0 && !load_interrupted) {
        struct timespec step = {.tv_nsec = (long)(left < LOOK_NS ? left : LOOK_NS)};

        nanosleep(&step, NULL);
    }
}

static void start(struct slow_thread *thread, struct slow_round *round, enum slow_side side,
                  uint64_t seed)
{
    *thread = (struct slow_thread){
        .round = round, .side = side, .random = seed, .buffer = aligned_zalloc(BLOCK)};
    if (pthread_create(&thread->thread, NULL, slow_main, thread) != 0)
        die("cannot start a thread");
}

/* The threads of all the sides from `first` to `last`, for so long. */
static void run_sides(struct slow_round *round, enum slow_side first, enum slow_side last,
                      double seconds, uint64_t seed, struct slow_result *result)
{
    const unsigned count = (last - first + 1) * THREADS;
    struct slow_thread *threads = zalloc(count, sizeof(*threads));
    int64_t begun = now_ns();

    atomic_store(&round->stop, false);
    for (unsigned i = 0; i < count; i++)
        start(&threads[i], round, first + i / THREADS, seed + i);
    sleep_for(seconds);
    atomic_store(&round->stop, true);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i].thread, NULL);
    double elapsed = (double)(now_ns() - begun) / (double)NS_PER_S;

    for (unsigned i = 0; i < count; i++) {
        result->ops_per_s[threads[i].side] += (double)threads[i].ops / elapsed;
        result->errors += threads[i].errors;
        hist_merge(&result->wait[threads[i].side], &threads[i].wait);
        free(threads[i].buffer);
    }
    free(threads);
}

/* A cache that starts empty with each round is not to be measured filling. */
static void warm(struct slow_round *round)
{
    struct request request = {.buffer = aligned_zalloc(BLOCK), .length = BLOCK};

    for (unsigned i = 0; i < BLOCKS; i++) {
        request.offset = (int64_t)i * BLOCK;
        round->driver->transfer(round->file, &request, 1);
    }
    free(request.buffer);
}

int slow_round(const char *path, const struct driver *driver, const struct driver_options *options,
               double seconds, uint64_t seed, struct slow_result *result)
{
    struct slow_round round = {.driver = driver};
    int error = driver->open(path, options, &round.file);

    memset(result->ops_per_s, 0, sizeof(result->ops_per_s));
    if (error)
        return error;
    warm(&round);
    run_sides(&round, SLOW_ALONE, SLOW_ALONE, seconds * ALONE, seed, result);
    run_sides(&round, SLOW_BUFFERED, SLOW_DIRECT, seconds * (1 - ALONE), seed, result);
    /* The next round is not to find what this one left dirty. */
    int ends[] = {driver->fsync(round.file), driver->close(round.file)};

    for (unsigned i = 0; i < 2; i++) {
        result->fsync_eio += ends[i] == -EIO;
        result->errors += ends[i] != 0 && ends[i] != -EIO;
    }
    return 0;
}

int slow_prepare(const char *path)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    int error = fd < 0 ? -errno : 0;
    char *buffer = aligned_zalloc(BLOCK);

    for (unsigned i = 0; i < BLOCKS && error == 0; i++) {
        block_fill(buffer, BLOCK, i, 0, 0);
        ssize_t n = pwrite(fd, buffer, BLOCK, (off_t)i * BLOCK);

        if (n != BLOCK)
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
