/* SPDX-License-Identifier: MIT */
/*
 * bench_io mixed: two buffered and two direct threads on one file, 4 KiB blocks at random.
 *
 * The direct threads overwrite; the buffered ones read and overwrite, half and half. The file is
 * all written and has its final size. What is compared: the engine; the same calls with no lock at
 * all (which is wrong, and the figure to beat); under a pthread_rwlock, buffered IO exclusive,
 * direct IO shared; and under a mode lock made of a mutex and a condition.
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

#define THREADS 2 /* of each side */

enum side { BUFFERED, DIRECT, SIDES };

static const char *const side_names[SIDES] = {"buffered", "direct"};

static union any_lock lock;

struct worker {
    pthread_t thread;
    const struct impl *impl;
    const struct io_file *file;
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
};

static ssize_t plain(const struct worker *worker, bool write, int64_t offset)
{
    const int fd = worker->side == DIRECT ? worker->file->direct_fd : worker->file->fd;
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
    struct twostate_file *file = worker->file->twostate;
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

static const struct impl impls[] = {{"twostate_kernel", by_twostate},
                                    {"kernel", by_kernel},
                                    {"rwlock", by_pthread_rwlock},
                                    {"mutex_cond", by_mutex_cond}};

#define IMPLS ((unsigned)(sizeof(impls) / sizeof(impls[0])))

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
        const int64_t offset = io_random_offset(worker->file, &worker->seed);
        const uint64_t start = clock_ns();
        uint64_t waited;
        const ssize_t n = worker->impl->transfer(worker, write, offset, &waited);

        if (n != IO_BLOCK)
            io_die(worker->impl->name, n < 0 ? (int)-n : EIO);
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

        done[side] += workers[i].done;
        hist_merge(&sums[side].waits, &workers[i].waits);
        hist_merge(&sums[side].times, &workers[i].times);
        free(workers[i].buffer);
    }
    for (unsigned side = 0; side < SIDES; side++)
        sums[side].ops_per_s[run] = (double)done[side] * 1e9 / (double)ns;
}

static void run_once(const struct io_file *file, const struct impl *impl, uint64_t slice_ns,
                     struct sum sums[SIDES], unsigned run)
{
    static struct worker workers[SIDES * THREADS];
    pthread_barrier_t start;
    bool stop = false;
    uint64_t began, ns;

    /* What others left dirty is not to be written in this run's time. */
    if (fdatasync(file->fd) < 0)
        io_die("fdatasync", errno);
    memset(&lock, 0, sizeof(lock));
    memset(workers, 0, sizeof(workers));
    pthread_barrier_init(&start, NULL, SIDES * THREADS + 1);
    for (unsigned i = 0; i < SIDES * THREADS; i++) {
        workers[i].impl = impl;
        workers[i].file = file;
        workers[i].start = &start;
        workers[i].stop = &stop;
        workers[i].side = i < THREADS ? BUFFERED : DIRECT;
        workers[i].seed = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        workers[i].buffer = io_buffer();
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            io_die("thread", EAGAIN);
    }
    pthread_barrier_wait(&start);
    began = clock_ns();
    clock_sleep(slice_ns);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    ns = clock_ns() - began;
    for (unsigned i = 0; i < SIDES * THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_barrier_destroy(&start);
    collect(workers, sums, run, ns);
}

static json_t *say(const struct io_file *file, const struct impl *impl, enum side side,
                   struct sum *sum, unsigned runs)
{
    const double ops_per_s = report_median(sum->ops_per_s, runs);

    printf("%-16s %-9s %10.0f | %9.1f %9.1f %9.1f | %9.1f %9.1f\n", impl->name, side_names[side],
           ops_per_s, hist_us(&sum->times, 0.5), hist_us(&sum->times, 0.999),
           hist_us(&sum->times, 1), hist_us(&sum->waits, 0.999), hist_us(&sum->waits, 1));
    free(sum->ops_per_s);
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "case",
                     "mixed", "impl", impl->name, "fs", file->fs, "block", IO_BLOCK, "threads",
                     THREADS, "side", side_names[side], "ops_per_s", report_number(ops_per_s),
                     "p50_us", report_number(hist_us(&sum->times, 0.5)), "p999_us",
                     report_number(hist_us(&sum->times, 0.999)), "max_us",
                     report_number(hist_us(&sum->times, 1)), "wait_p999_us",
                     report_number(hist_us(&sum->waits, 0.999)), "wait_max_us",
                     report_number(hist_us(&sum->waits, 1)));
}

json_t *io_mixed(const struct io_options *options)
{
    static struct sum sums[IMPLS][SIDES];
    const uint64_t slice_ns = options->quick ? 500000000 : 3000000000;
    struct io_file file = io_file_make(options);
    json_t *rows = json_array();

    for (unsigned i = 0; i < IMPLS * SIDES; i++) {
        double **runs = &sums[i / SIDES][i % SIDES].ops_per_s;

        *runs = calloc(options->runs, sizeof(**runs));
        if (*runs == NULL)
            io_die("memory", ENOMEM);
    }
    for (unsigned run = 0; run < options->runs; run++)
        for (unsigned i = 0; i < IMPLS; i++) {
            report_progress(run * IMPLS + i, options->runs * IMPLS, impls[i].name);
            run_once(&file, &impls[i], slice_ns, sums[i], run);
        }
    report_progress(1, 1, "");
    printf("%d buffered and %d direct threads, %d bytes at random, one file on %s\n\n", THREADS,
           THREADS, IO_BLOCK, file.fs);
    printf("%-16s %-9s %10s | %29s | %s\n", "", "", "", "whole operation, us   ",
           "wait for the lock, us");
    printf("%-16s %-9s %10s | %9s %9s %9s | %9s %9s\n", "impl", "side", "ops/s", "p50", "p99.9",
           "max", "p99.9", "max");
    for (unsigned i = 0; i < IMPLS * SIDES; i++)
        json_array_append_new(rows, say(&file, &impls[i / SIDES], (enum side)(i % SIDES),
                                        &sums[i / SIDES][i % SIDES], options->runs));
    io_file_destroy(&file);
    return rows;
}
