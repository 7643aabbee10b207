/* SPDX-License-Identifier: MIT */
/*
 * bench_io direct: what the engine adds to direct IO. 4 KiB at random, a fixed number in flight,
 * each completion starts the next: the engine's asynchronous calls against a bare liburing loop, on
 * one file. The engine opens it anew for each run, with either cache. Its callbacks come in its own
 * thread, or in the one that starts the requests: "polled", when poll(2) says that they are due, or
 * "waited", by the call that waits for them and for nothing else, which is what the bare loop does. So
 * there is a second bare loop, which sleeps in poll(2) too, for the eventfd that its ring signals.
 * All have the same depth, kind of memory and descriptor (O_DIRECT, nothing registered).
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench_io.h"
#include "clock.h"
#include "report.h"

#define MAX_DEPTH    32
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One place in the queue, and what happened in it. */
struct slot {
    struct load *load;
    struct iovec iov;
    uint64_t seed;
    uint64_t began;
    uint64_t done;
    struct hist times; /* ns */
};

struct load {
    const struct io_file *file;
    struct twostate_file *twostate;
    bool write;
    unsigned depth;
    uint64_t end;  /* nothing starts after this time */
    sem_t idle;    /* posted by each slot that has ended, */
    unsigned left; /* or, polled, counted down */
    bool polled;
    uint64_t slice_ns;
    uint64_t cpu_ns; /* of the processors, at the start; then: that it took */
    struct slot slots[MAX_DEPTH];
};

static void load_starts(struct load *load)
{
    load->cpu_ns = clock_cpu_ns();
    load->end = clock_ns() + load->slice_ns;
}

static void load_ends(struct load *load)
{
    load->cpu_ns = clock_cpu_ns() - load->cpu_ns;
}

/* Counts a completed request; false: the time is up, and it is not counted. */
static bool finish(struct slot *slot, ssize_t result)
{
    const uint64_t now = clock_ns();

    if (result != IO_BLOCK)
        io_die("direct IO", result < 0 ? (int)-result : EIO);
    hist_add(&slot->times, now - slot->began);
    if (now >= slot->load->end)
        return false;
    slot->done++;
    return true;
}

static void engine_done(void *arg, ssize_t result);

static void engine_start(struct slot *slot)
{
    struct twostate_file *file = slot->load->twostate;
    const int64_t offset = io_random_offset(slot->load->file->size, IO_BLOCK, &slot->seed);
    int error;

    slot->began = clock_ns();
    if (slot->load->write)
        error = twostate_pwritev_async(file, &slot->iov, 1, offset, TWOSTATE_IO_DIRECT, engine_done,
                                       slot);
    else
        error = twostate_preadv_async(file, &slot->iov, 1, offset, TWOSTATE_IO_DIRECT, engine_done,
                                      slot);
    if (error != 0)
        io_die("starting direct IO", -error);
}

static void engine_done(void *arg, ssize_t result)
{
    struct slot *slot = arg;

    if (finish(slot, result))
        engine_start(slot);
    else if (slot->load->polled)
        slot->load->left--;
    else
        sem_post(&slot->load->idle);
}

static void by_thread(struct load *load)
{
    for (unsigned i = 0; i < load->depth; i++)
        engine_start(&load->slots[i]);
    for (unsigned i = 0; i < load->depth; i++)
        while (sem_wait(&load->idle) < 0)
            ;
}

static void by_waiting(struct load *load, struct twostate_engine *engine)
{
    load->left = load->depth;
    for (unsigned i = 0; i < load->depth; i++)
        engine_start(&load->slots[i]);
    while (load->left > 0) {
        const int made = twostate_engine_wait(engine, load->depth, -1);

        if (made < 0)
            io_die("waiting for the engine", -made);
    }
}

static void by_polling(struct load *load, struct twostate_engine *engine)
{
    struct pollfd readable = {.fd = twostate_engine_fd(engine), .events = POLLIN};

    load->left = load->depth;
    for (unsigned i = 0; i < load->depth; i++)
        engine_start(&load->slots[i]);
    while (load->left > 0) {
        const int made = twostate_engine_poll(engine, load->depth);

        if (made < 0)
            io_die("polling the engine", -made);
        if (made == 0 && poll(&readable, 1, -1) < 0 && errno != EINTR)
            io_die("poll", errno);
    }
}

enum completions { THREAD, POLLED, WAITED };

static void by_twostate(struct load *load, enum twostate_cache cache, enum completions completions)
{
    const struct twostate_engine_options options = {.polled = completions != THREAD};
    struct io_engine engine = io_engine_open(load->file, &io_twostate, cache, &options);

    load->twostate = engine.file;
    load->polled = options.polled;
    load_starts(load);
    if (completions == WAITED)
        by_waiting(load, engine.engine);
    else if (completions == POLLED)
        by_polling(load, engine.engine);
    else
        by_thread(load);
    load_ends(load);
    io_engine_close(&engine);
}

static void by_user(struct load *load)
{
    by_twostate(load, TWOSTATE_CACHE_USER, THREAD);
}

static void by_user_polled(struct load *load)
{
    by_twostate(load, TWOSTATE_CACHE_USER, POLLED);
}

static void by_user_waited(struct load *load)
{
    by_twostate(load, TWOSTATE_CACHE_USER, WAITED);
}

static void by_kernel_cache(struct load *load)
{
    by_twostate(load, TWOSTATE_CACHE_KERNEL, THREAD);
}

static void ring_start(struct io_uring *ring, struct slot *slot)
{
    const struct io_file *file = slot->load->file;
    const uint64_t offset = (uint64_t)io_random_offset(file->size, IO_BLOCK, &slot->seed);
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

    slot->began = clock_ns();
    if (slot->load->write)
        io_uring_prep_write(sqe, file->direct_fd, slot->iov.iov_base, IO_BLOCK, offset);
    else
        io_uring_prep_read(sqe, file->direct_fd, slot->iov.iov_base, IO_BLOCK, offset);
    io_uring_sqe_set_data(sqe, slot);
}

/* Starts the next request of each that has completed: how many have ended for good. */
static unsigned ring_reap(struct io_uring *ring)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0, ended = 0;

    io_uring_for_each_cqe(ring, head, cqe)
    {
        struct slot *slot = io_uring_cqe_get_data(cqe);

        seen++;
        if (finish(slot, cqe->res))
            ring_start(ring, slot);
        else
            ended++;
    }
    io_uring_cq_advance(ring, seen);
    return ended;
}

static int ring_wait(struct io_uring *ring, int event)
{
    struct pollfd readable = {.fd = event, .events = POLLIN};
    eventfd_t value;
    int error;

    if (event < 0)
        return io_uring_submit_and_wait(ring, 1);
    error = io_uring_submit(ring);
    if (error >= 0 && poll(&readable, 1, -1) == 1)
        eventfd_read(event, &value);
    return error;
}

static void by_ring(struct load *load, int event)
{
    struct io_uring ring;
    unsigned busy = load->depth;
    int error = io_uring_queue_init(load->depth, &ring, 0);

    if (error == 0 && event >= 0)
        error = io_uring_register_eventfd(&ring, event);
    if (error < 0)
        io_die("io_uring", -error);
    load_starts(load);
    for (unsigned i = 0; i < load->depth; i++)
        ring_start(&ring, &load->slots[i]);
    while (busy > 0) {
        error = ring_wait(&ring, event);
        if (error < 0 && error != -EINTR)
            io_die("io_uring", -error);
        busy -= ring_reap(&ring);
    }
    load_ends(load);
    io_uring_queue_exit(&ring);
}

static void by_liburing(struct load *load)
{
    by_ring(load, -1);
}

static void by_liburing_eventfd(struct load *load)
{
    const int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (event < 0)
        io_die("eventfd", errno);
    by_ring(load, event);
    close(event);
}

static const struct impl {
    const char *name;
    const char *completions;
    void (*run)(struct load *load);
} impls[] = {{"twostate_user", "thread", by_user},
             {"twostate_user", "polled", by_user_polled},
             {"twostate_user", "waited", by_user_waited},
             {"twostate_kernel", "thread", by_kernel_cache},
             {"liburing", "waited", by_liburing},
             {"liburing_eventfd", "polled", by_liburing_eventfd}};

#define IMPLS ((unsigned)COUNT(impls))

enum { LIBURING = IMPLS - 2, LIBURING_EVENTFD = IMPLS - 1 };

struct outcome {
    double *ops_per_s; /* of each run */
    double *cpu_ns;    /* of the processors, for an operation */
    struct hist times;
};

static void run_once(const struct io_file *file, const struct impl *impl, bool write,
                     unsigned depth, uint64_t slice_ns, struct outcome *outcome, unsigned run)
{
    static struct load load;
    uint64_t done = 0;

    memset(&load, 0, sizeof(load));
    load.file = file;
    load.write = write;
    load.depth = depth;
    sem_init(&load.idle, 0, 0);
    for (unsigned i = 0; i < depth; i++) {
        load.slots[i].load = &load;
        load.slots[i].iov = (struct iovec){.iov_base = io_buffer(IO_BLOCK), .iov_len = IO_BLOCK};
        load.slots[i].seed = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    }
    load.slice_ns = slice_ns;
    impl->run(&load);
    for (unsigned i = 0; i < depth; i++) {
        done += load.slots[i].done;
        hist_merge(&outcome->times, &load.slots[i].times);
        free(load.slots[i].iov.iov_base);
    }
    sem_destroy(&load.idle);
    outcome->ops_per_s[run] = (double)done * 1e9 / (double)slice_ns;
    outcome->cpu_ns[run] = (double)load.cpu_ns / (double)(done + depth);
}

static json_t *say(const struct io_file *file, const struct impl *impl, bool write, unsigned depth,
                   struct outcome *outcome, unsigned runs)
{
    const double ops_per_s = report_median(outcome->ops_per_s, runs);
    const double cpu_ns = report_median(outcome->cpu_ns, runs);
    const struct hist *times = &outcome->times;

    printf("%-6s %5u  %-16s %-7s %10.0f | %9.1f %9.1f %9.1f %9.1f | %8.2f\n",
           write ? "write" : "read", depth, impl->name, impl->completions, ops_per_s,
           hist_us(times, 0.5), hist_us(times, 0.99), hist_us(times, 0.999), hist_us(times, 1),
           cpu_ns / 1000);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "case", "direct",
        "impl", impl->name, "completions", impl->completions, "fs", file->fs, "block", IO_BLOCK,
        "threads", 1, "depth", (int)depth, "op", write ? "write" : "read", "ops_per_s",
        report_number(ops_per_s), "p50_us", report_number(hist_us(times, 0.5)), "p99_us",
        report_number(hist_us(times, 0.99)), "p999_us", report_number(hist_us(times, 0.999)),
        "max_us", report_number(hist_us(times, 1)), "cpu_ns_per_op", report_number(cpu_ns));
}

/* One kind at one depth, the implementations in turns. */
static void measure(const struct io_file *file, const struct io_options *options, bool write,
                    unsigned depth, json_t *rows)
{
    static struct outcome outcomes[IMPLS];
    const uint64_t slice_ns = options->quick ? 200000000 : 1000000000;

    memset(outcomes, 0, sizeof(outcomes));
    for (unsigned i = 0; i < IMPLS; i++) {
        outcomes[i].ops_per_s = io_alloc(options->runs, sizeof(double));
        outcomes[i].cpu_ns = io_alloc(options->runs, sizeof(double));
    }
    for (unsigned run = 0; run < options->runs; run++)
        for (unsigned i = 0; i < IMPLS; i++)
            run_once(file, &impls[i], write, depth, slice_ns, &outcomes[i], run);
    for (unsigned i = 0; i < IMPLS; i++) {
        io_add_row(rows, say(file, &impls[i], write, depth, &outcomes[i], options->runs));
        free(outcomes[i].ops_per_s);
        free(outcomes[i].cpu_ns);
    }
}

static const unsigned depths[] = {1, 8, MAX_DEPTH};

static double figure(const json_t *rows, const char *op, unsigned depth, const struct impl *impl)
{
    return io_figure(rows, "ops_per_s",
                     json_pack("{s:s, s:i, s:s, s:s}", "op", op, "depth", (int)depth, "impl",
                               impl->name, "completions", impl->completions));
}

static void goal(const json_t *rows, const char *op, unsigned depth, const struct impl *impl,
                 const struct impl *peer)
{
    char says[96];

    snprintf(says, sizeof(says), "%s at depth %u over %s's, %s, %s", op, depth, peer->name,
             impl->name, impl->completions);
    report_goal(says, figure(rows, op, depth, impl) / figure(rows, op, depth, peer), true, 0.97);
}

static void goals(const json_t *rows)
{
    static const char *const ops[] = {"read", "write"};

    putchar('\n');
    for (size_t o = 0; o < COUNT(ops); o++)
        for (size_t d = 0; d < COUNT(depths); d++)
            for (unsigned i = 0; impls[i].run != by_kernel_cache; i++) {
                goal(rows, ops[o], depths[d], &impls[i], &impls[LIBURING]);
                if (impls[i].run == by_user_polled)
                    goal(rows, ops[o], depths[d], &impls[i], &impls[LIBURING_EVENTFD]);
            }
}

json_t *io_direct(const struct io_options *options)
{
    struct io_file file = io_file_make(options->dir, (options->quick ? 64 : 256) * IO_MIB, true);
    json_t *rows = json_array();

    printf("direct IO, %d bytes at random, one file on %s\n\n", IO_BLOCK, file.fs);
    printf("%-6s %5s  %-16s %-7s %10s | %9s %9s %9s %9s | %8s\n", "op", "depth", "impl", "called",
           "ops/s", "p50 us", "p99", "p99.9", "max", "CPU us");
    for (unsigned write = 0; write < 2; write++)
        for (size_t d = 0; d < COUNT(depths); d++)
            measure(&file, options, write, depths[d], rows);
    goals(rows);
    io_file_destroy(&file);
    return rows;
}
