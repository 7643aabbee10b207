/* SPDX-License-Identifier: MIT */
/*
 * bench_io mixed: two buffered and two direct threads on one file, 4 KiB blocks at random.
 *
 * The direct threads overwrite; the buffered ones read and overwrite, half and half. The file is
 * all written and has its final size. What is compared: the engine over its own cache, on a file of
 * its own; over the kernel's; the same calls with no lock at all (which is wrong, and the figure to
 * beat); under a pthread_rwlock, buffered IO exclusive, direct IO shared; and under a mode lock made
 * of a mutex and a condition. What the device takes for a request is measured beside them, by the
 * direct threads alone.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_io.h"
#include "clock.h"
#include "peers.h"
#include "report.h"

#define THREADS  2    /* of each side */
#define SLICE_US 1024 /* the lock's patience: how long a mode may be kept while the other waits */

enum side { BUFFERED, DIRECT, SIDES };

static const char *const side_names[SIDES] = {"buffered", "direct"};

static union any_lock lock;

/* The file, and what is open on it. */
struct place {
    struct io_file file;
    struct io_engine engine; /* nothing, for what does without */
};

struct worker {
    pthread_t thread;
    const struct impl *impl;
    const struct place *place;
    pthread_barrier_t *start;
    const bool *stop;
    enum side side;
    uint64_t seed;
    void *buffer;
    uint64_t done;
    struct hist waits, times; /* ns */
};

/* Does one transfer, returns what pread or pwrite would; *waited is the time that a lock took. */
struct impl {
    const char *name;
    ssize_t (*transfer)(struct worker *worker, bool write, int64_t offset, uint64_t *waited);
    bool alone; /* without the buffered threads */
};

static ssize_t plain(const struct worker *worker, bool write, int64_t offset)
{
    const int fd = worker->side == DIRECT ? worker->place->file.direct_fd : worker->place->file.fd;
    const ssize_t n = write ? pwrite(fd, worker->buffer, IO_BLOCK, offset)
                            : pread(fd, worker->buffer, IO_BLOCK, offset);

    return n < 0 ? -errno : n;
}

static ssize_t by_kernel(struct worker *worker, bool write, int64_t offset, uint64_t *waited)
{
    *waited = 0;
    return plain(worker, write, offset);
}

static ssize_t by_twostate(struct worker *worker, bool write, int64_t offset, uint64_t *waited)
{
    const unsigned flags = worker->side == DIRECT ? TWOSTATE_IO_DIRECT : 0;
    struct twostate_file *file = worker->place->engine.file;
    const ssize_t n = write ? twostate_pwrite(file, worker->buffer, IO_BLOCK, offset, flags)
                            : twostate_pread(file, worker->buffer, IO_BLOCK, offset, flags);

    *waited = (uint64_t)twostate_waited_ns();
    return n;
}

/* The same transfer under a lock of peers.h: direct IO takes its state A, buffered IO state B. */
#define X(peer)                                                                                    \
    static ssize_t by_##peer(struct worker *worker, bool write, int64_t offset, uint64_t *waited)  \
    {                                                                                              \
        const enum twostate_state state = worker->side == DIRECT ? TWOSTATE_A : TWOSTATE_B;        \
        const uint64_t asked = clock_ns();                                                         \
        ssize_t n;                                                                                 \
                                                                                                   \
        acquire_##peer(&lock.peer, state);                                                         \
        *waited = clock_ns() - asked;                                                              \
        n = plain(worker, write, offset);                                                          \
        release_##peer(&lock.peer, state);                                                         \
        return n;                                                                                  \
    }
X(pthread_rwlock)
X(mutex_cond)
#undef X

enum { USER, KERNEL_CACHE, KERNEL, RWLOCK, MUTEX_COND, DEVICE, IMPLS };

static const struct impl impls[IMPLS] = {[USER] = {"twostate_user", by_twostate, false},
                                         [KERNEL_CACHE] = {"twostate_kernel", by_twostate, false},
                                         [KERNEL] = {"kernel", by_kernel, false},
                                         [RWLOCK] = {"rwlock", by_pthread_rwlock, false},
                                         [MUTEX_COND] = {"mutex_cond", by_mutex_cond, false},
                                         [DEVICE] = {"kernel", by_kernel, true}};

/* What one implementation did on one side, over all runs. */
struct sum {
    double *ops_per_s; /* of each run */
    struct hist waits, times;
};

static void *work(void *arg)
{
    struct worker *worker = arg;

    pthread_barrier_wait(worker->start);
    for (;;) {
        const uint64_t random = io_random(&worker->seed);
        const bool write = worker->side == DIRECT || random % 2 == 0;
        const int64_t offset = io_random_offset(worker->place->file.size, IO_BLOCK, &worker->seed);
        const uint64_t start = clock_ns();
        uint64_t waited;
        const ssize_t n = worker->impl->transfer(worker, write, offset, &waited);

        io_check(worker->impl->name, n, IO_BLOCK);
        hist_add(&worker->times, clock_ns() - start);
        hist_add(&worker->waits, waited);
        if (__atomic_load_n(worker->stop, __ATOMIC_RELAXED))
            return NULL;
        worker->done++;
    }
}

static void collect(struct worker *workers, struct sum sums[SIDES], unsigned run, uint64_t ns)
{
    uint64_t done[SIDES] = {0};

    for (unsigned i = 0; i < SIDES * THREADS; i++) {
        const enum side side = workers[i].side;

        if (workers[i].impl == NULL)
            continue;
        pthread_join(workers[i].thread, NULL);
        done[side] += workers[i].done;
        hist_merge(&sums[side].waits, &workers[i].waits);
        hist_merge(&sums[side].times, &workers[i].times);
        free(workers[i].buffer);
    }
    for (unsigned side = 0; side < SIDES; side++)
        sums[side].ops_per_s[run] = (double)done[side] * 1e9 / (double)ns;
}

static void start_worker(struct worker *worker, unsigned number)
{
    worker->seed = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    worker->buffer = io_buffer(IO_BLOCK);
    if (pthread_create(&worker->thread, NULL, work, worker) != 0)
        io_die("thread", EAGAIN);
}

static void run_once(const struct place *place, const struct impl *impl, uint64_t slice_ns,
                     struct sum sums[SIDES], unsigned run)
{
    static struct worker workers[SIDES * THREADS];
    pthread_barrier_t start;
    bool stop = false;
    uint64_t began, ns;

    memset(&lock, 0, sizeof(lock));
    memset(workers, 0, sizeof(workers));
    pthread_barrier_init(&start, NULL, (impl->alone ? THREADS : SIDES * THREADS) + 1);
    for (unsigned i = 0; i < SIDES * THREADS; i++) {
        workers[i].side = i < THREADS ? BUFFERED : DIRECT;
        if (impl->alone && workers[i].side == BUFFERED)
            continue;
        workers[i].impl = impl;
        workers[i].place = place;
        workers[i].start = &start;
        workers[i].stop = &stop;
        start_worker(&workers[i], i);
    }
    pthread_barrier_wait(&start);
    began = clock_ns();
    clock_sleep(slice_ns);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    ns = clock_ns() - began;
    collect(workers, sums, run, ns);
    pthread_barrier_destroy(&start);
}

/* What one left dirty is not to be written in another's time. */
static void sync_place(const struct place *place)
{
    int error = fdatasync(place->file.fd) < 0 ? -errno : 0;

    if (error == 0 && place->engine.file != NULL)
        error = twostate_fdatasync(place->engine.file);
    io_check("fdatasync", error, 0);
}

static json_t *say(const char *fs, const struct impl *impl, enum side side, struct sum *sum,
                   unsigned runs)
{
    const char *const name = impl->alone ? "alone" : side_names[side];
    const double ops_per_s = report_median(sum->ops_per_s, runs);

    printf("%-16s %-9s %10.0f | %9.1f %9.1f %9.1f | %9.1f %9.1f\n", impl->name, name, ops_per_s,
           hist_us(&sum->times, 0.5), hist_us(&sum->times, 0.999), hist_us(&sum->times, 1),
           hist_us(&sum->waits, 0.999), hist_us(&sum->waits, 1));
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "case",
                     "mixed", "impl", impl->name, "fs", fs, "block", IO_BLOCK, "threads", THREADS,
                     "side", name, "ops_per_s", report_number(ops_per_s), "p50_us",
                     report_number(hist_us(&sum->times, 0.5)), "p999_us",
                     report_number(hist_us(&sum->times, 0.999)), "max_us",
                     report_number(hist_us(&sum->times, 1)), "wait_p999_us",
                     report_number(hist_us(&sum->waits, 0.999)), "wait_max_us",
                     report_number(hist_us(&sum->waits, 1)));
}

static double figure(const json_t *rows, const char *key, const char *impl, const char *side)
{
    return io_figure(rows, key, json_pack("{s:s, s:s}", "impl", impl, "side", side));
}

static void goals(const json_t *rows)
{
    putchar('\n');
    for (unsigned i = USER; i <= KERNEL_CACHE; i++) {
        const char *const name = impls[i].name;
        const double least[SIDES] = {20, 1};
        char says[80];

        for (unsigned side = 0; side < SIDES; side++) {
            snprintf(says, sizeof(says), "%s operations over the kernel's, %s", side_names[side],
                     name);
            report_goal(says,
                        figure(rows, "ops_per_s", name, side_names[side]) /
                            figure(rows, "ops_per_s", "kernel", side_names[side]),
                        true, least[side]);
        }
        for (unsigned side = 0; side < SIDES; side++) {
            snprintf(says, sizeof(says), "%s: p99.9 wait, ms, %s", side_names[side], name);
            report_goal(says, figure(rows, "wait_p999_us", name, side_names[side]) / 1000, false,
                        (SLICE_US + 2 * figure(rows, "p999_us", "kernel", "alone")) / 1000);
        }
    }
}

/* USER has a place of its own, the others share one. */
static void make_places(struct place places[2], const struct io_options *options)
{
    const int64_t size = (options->quick ? 64 : 256) * IO_MIB;
    /* All may be dirty, as with the kernel, which has the whole memory. */
    const struct twostate_engine_options user = {.cache_bytes = 2 * (uint64_t)size,
                                                 .dirty_percent = 90};

    for (unsigned i = 0; i < 2; i++)
        places[i].file = io_file_make(options->dir, size, true);
    places[0].engine = io_engine_open(&places[0].file, &io_twostate, TWOSTATE_CACHE_USER, &user);
    io_engine_warm(&places[0].engine, size);
    places[1].engine = io_engine_open(&places[1].file, &io_twostate, TWOSTATE_CACHE_KERNEL, NULL);
}

json_t *io_mixed(const struct io_options *options)
{
    static struct sum sums[IMPLS][SIDES];
    const uint64_t slice_ns = options->quick ? 500000000 : 3000000000;
    struct place places[2];
    json_t *rows = json_array();

    make_places(places, options);
    for (unsigned i = 0; i < IMPLS * SIDES; i++)
        sums[i / SIDES][i % SIDES].ops_per_s = io_alloc(options->runs, sizeof(double));
    for (unsigned run = 0; run < options->runs; run++)
        for (unsigned i = 0; i < IMPLS; i++) {
            const struct place *place = &places[i == USER ? 0 : 1];

            report_progress(run * IMPLS + i, options->runs * IMPLS, impls[i].name);
            run_once(place, &impls[i], slice_ns, sums[i], run);
            sync_place(place);
        }
    report_progress(1, 1, "");
    printf("%d buffered and %d direct threads, %d bytes at random, one file on %s\n\n", THREADS,
           THREADS, IO_BLOCK, places[0].file.fs);
    printf("%-16s %-9s %10s | %29s | %s\n", "", "", "", "whole operation, us   ",
           "wait for the lock, us");
    printf("%-16s %-9s %10s | %9s %9s %9s | %9s %9s\n", "impl", "side", "ops/s", "p50", "p99.9",
           "max", "p99.9", "max");
    for (unsigned i = 0; i < IMPLS; i++)
        for (unsigned side = impls[i].alone ? DIRECT : BUFFERED; side < SIDES; side++)
            io_add_row(rows, say(places[0].file.fs, &impls[i], (enum side)side, &sums[i][side],
                                 options->runs));
    goals(rows);
    for (unsigned i = 0; i < IMPLS * SIDES; i++)
        free(sums[i / SIDES][i % SIDES].ops_per_s);
    for (unsigned i = 0; i < 2; i++) {
        io_engine_close(&places[i].engine);
        io_file_destroy(&places[i].file);
    }
    return rows;
}
