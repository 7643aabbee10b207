/* SPDX-License-Identifier: MIT */
/*
 * Random IO paths on two pairs by many threads, with a completion thread: whoever is inside checks
 * that nobody is inside beside him whom the exclusion table keeps out.
 *
 *   stress_iopair [--threads N] [--seconds N] [--seed N]
 */
#include "noise.h"
#include "random.h"
#include "subjects.h"
#include "threads.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST_THREADS 32

/* Who may be inside together. WRITING is a buffered write in flight, which holds IOTYPE only. */
enum kind { READ, WRITE, WRITING, DIRECT, REMAP, ALONE, DRAINED, KINDS };

/*                     read write writing direct remap alone drained */
static const char together[KINDS][KINDS + 1] = {
    [READ] = "---X-XX",  [WRITE] = "---XXXX", [WRITING] = "---X--X", [DIRECT] = "XXX-XXX",
    [REMAP] = "-X-XXXX", [ALONE] = "XX-XXXX", [DRAINED] = "XXXXXXX",
};

struct file {
    struct twostate_iopair pair;
    uint32_t inside[KINDS];
};

struct worker {
    struct task task;
    uint64_t random;
    uint32_t operations;
    /* In flight: the completion thread ends it, and says so. */
    uint32_t in_flight;
    struct twostate_hold completion;
    struct file *file;
    enum kind kind;
};

static struct file files[2];
static struct worker workers[MOST_THREADS];
static uint32_t stop;
static uint32_t thread_count = 8;
static uint32_t seconds = 5;
static uint64_t seed;

static uint32_t below(struct worker *worker, uint32_t limit)
{
    return random_below(&worker->random, limit);
}

static enum how any_how(struct worker *worker)
{
    const uint32_t how = below(worker, 8);

    if (how < 4)
        return HOW_WAIT;
    return how == 4 ? HOW_TRY : how < 7 ? HOW_TIMED : HOW_ASYNC;
}

/* An asynchronous call is waited for, and cancelled at the deadline. */
static bool finish(int queued, struct twostate_waiter *waiter, const struct timespec *deadline)
{
    const int result = queued == -EINPROGRESS ? twostate_waiter_wait(waiter, deadline) : queued;

    CHECK(result == 0 || result == -ETIMEDOUT);
    return result == 0;
}

static void check(const struct file *file, enum kind kind)
{
    for (unsigned other = 0; other < KINDS; other++) {
        const uint32_t mine = other == kind;

        if (together[kind][other] != '-' && load(&file->inside[other]) > mine) {
            printf("kinds %d and %u are inside together (seed %" PRIu64 ")\n", (int)kind, other,
                   seed);
            fflush(stdout);
            abort();
        }
    }
}

static void enter(struct file *file, enum kind kind)
{
    add(&file->inside[kind], 1);
    check(file, kind);
}

static void leave(struct file *file, enum kind kind)
{
    check(file, kind);
    add(&file->inside[kind], UINT32_MAX);
}

static void stay(struct worker *worker)
{
    const uint32_t how = below(worker, 64);

    if (how == 0)
        usleep(100);
    else if (how < 16)
        sched_yield();
}

static bool begin(struct worker *worker, struct file *file, enum twostate_iopath path,
                  struct twostate_hold *hold)
{
    const struct timespec deadline = after_ms(below(worker, 3));
    struct twostate_iopair *pair = &file->pair;
    struct twostate_waiter waiter = {.done = NULL};

    switch (any_how(worker)) {
    case HOW_TRY:
        return twostate_iopair_try_begin(pair, path, hold);
    case HOW_TIMED:
        return twostate_iopair_begin_timed(pair, path, hold, &deadline) == 0;
    case HOW_ASYNC:
        return finish(twostate_iopair_begin_async(pair, path, hold, &waiter), &waiter, &deadline);
    default:
        twostate_iopair_begin(pair, path, hold);
        return true;
    }
}

static bool begin_two(struct worker *worker, struct file *source, struct file *destination,
                      struct twostate_hold *hold)
{
    const struct timespec deadline = after_ms(below(worker, 3));
    struct twostate_iopair *from = &source->pair;
    struct twostate_iopair *to = &destination->pair;
    struct twostate_waiter waiter = {.done = NULL};

    switch (any_how(worker)) {
    case HOW_TRY:
        return twostate_iopair_try_begin_remap_two(from, to, hold);
    case HOW_TIMED:
        return twostate_iopair_begin_remap_two_timed(from, to, hold, &deadline) == 0;
    case HOW_ASYNC:
        return finish(twostate_iopair_begin_remap_two_async(from, to, hold, &waiter), &waiter,
                      &deadline);
    default:
        twostate_iopair_begin_remap_two(from, to, hold);
        return true;
    }
}

/* False: the hold is as it was. */
static bool extend_to_direct(struct worker *worker, struct twostate_hold *hold)
{
    const struct timespec deadline = after_ms(below(worker, 3));
    struct twostate_waiter waiter = {.done = NULL};

    switch (any_how(worker)) {
    case HOW_TRY:
        return twostate_iopair_try_extend_to_direct(hold);
    case HOW_TIMED:
        return twostate_iopair_extend_to_direct_timed(hold, &deadline) == 0;
    case HOW_ASYNC:
        return finish(twostate_iopair_extend_to_direct_async(hold, &waiter), &waiter, &deadline);
    default:
        twostate_iopair_extend_to_direct(hold);
        return true;
    }
}

/* False: the hold has ended. */
static bool retry_unaligned(struct worker *worker, struct twostate_hold *hold)
{
    const struct timespec deadline = after_ms(below(worker, 3));
    struct twostate_waiter waiter = {.done = NULL};

    switch (any_how(worker)) {
    case HOW_TRY:
        return twostate_iopair_try_retry_unaligned(hold);
    case HOW_TIMED:
        return twostate_iopair_retry_unaligned_timed(hold, &deadline) == 0;
    case HOW_ASYNC:
        return finish(twostate_iopair_retry_unaligned_async(hold, &waiter), &waiter, &deadline);
    default:
        twostate_iopair_retry_unaligned(hold);
        return true;
    }
}

static void end(struct worker *worker, struct file *file, enum kind kind,
                struct twostate_hold *hold)
{
    enter(file, kind);
    stay(worker);
    leave(file, kind);
    twostate_iopair_end(hold);
}

/* Submits what is held; `kind` is what it counts as while it is in flight. */
static void submit(struct worker *worker, struct file *file, enum kind kind,
                   struct twostate_hold *hold)
{
    AWAIT(!load(&worker->in_flight)); /* the last one's completion waits for nothing */
    worker->file = file;
    worker->kind = kind;
    enter(file, kind);
    twostate_iopair_submitting(hold, &worker->completion);
    store(&worker->in_flight, 1);
    stay(worker);
    twostate_iopair_submitted(hold);
}

static void direct(struct worker *worker, struct file *file, struct twostate_hold *hold)
{
    switch (below(worker, 4)) {
    case 0:
    case 1:
        if (retry_unaligned(worker, hold))
            end(worker, file, ALONE, hold);
        break;
    case 2:
        end(worker, file, DIRECT, hold);
        break;
    default:
        submit(worker, file, DIRECT, hold);
    }
}

static void extend(struct worker *worker, struct file *file, struct twostate_hold *hold)
{
    enter(file, ALONE);
    stay(worker);
    leave(file, ALONE);
    if (!extend_to_direct(worker, hold)) {
        end(worker, file, ALONE, hold);
        return;
    }
    submit(worker, file, DIRECT, hold);
}

static void remap_two(struct worker *worker, struct file *source, struct file *destination)
{
    struct twostate_hold hold;

    if (!begin_two(worker, source, destination, &hold))
        return;
    enter(source, REMAP);
    enter(destination, DRAINED);
    stay(worker);
    leave(destination, DRAINED);
    leave(source, REMAP);
    twostate_iopair_end(&hold);
}

static void operate(struct worker *worker)
{
    struct file *file = &files[below(worker, 2)];
    struct file *other = file == &files[0] ? &files[1] : &files[0];
    const enum twostate_iopath path = (enum twostate_iopath)below(worker, 8);
    struct twostate_hold hold;

    if (path > TWOSTATE_EXCLUSIVE_IO) {
        remap_two(worker, file, other);
        return;
    }
    if (!begin(worker, file, path, &hold))
        return;
    if (path == TWOSTATE_BUFFERED_READ)
        end(worker, file, READ, &hold);
    else if (path == TWOSTATE_BUFFERED_WRITE && below(worker, 2) == 0)
        submit(worker, file, WRITING, &hold);
    else if (path == TWOSTATE_BUFFERED_WRITE)
        end(worker, file, WRITE, &hold);
    else if (path == TWOSTATE_DIRECT)
        direct(worker, file, &hold);
    else if (path == TWOSTATE_DIRECT_EXTEND)
        extend(worker, file, &hold);
    else if (path == TWOSTATE_REMAP)
        end(worker, file, REMAP, &hold);
    else
        end(worker, file, path == TWOSTATE_UNALIGNED ? ALONE : DRAINED, &hold);
}

static void work(void *argument)
{
    struct worker *worker = argument;

    while (!load(&stop)) {
        worker->random = random_stream(seed, (uint32_t)(worker - workers), worker->operations);
        operate(worker);
        worker->operations++;
    }
}

/* The completion thread. Returns whether there was something to complete. */
static bool complete_all(void)
{
    bool some = false;

    for (uint32_t n = 0; n < thread_count; n++) {
        struct worker *worker = &workers[n];

        if (!load(&worker->in_flight))
            continue;
        leave(worker->file, worker->kind);
        twostate_iopair_complete(&worker->completion);
        store(&worker->in_flight, 0);
        some = true;
    }
    return some;
}

static bool all_done(void)
{
    bool done = true;

    for (uint32_t n = 0; n < thread_count; n++)
        done = done && task_done(&workers[n].task);
    return done;
}

static pthread_t thread_of(uint32_t n)
{
    return workers[n].task.thread;
}

static void run(void)
{
    const struct timespec half_time = after_ms(seconds * 500L);
    const struct timespec time_up = after_ms(seconds * 1000L);
    const struct timespec too_late = after_ms(seconds * 1000L + 100000);
    uint64_t operations = 0;
    bool noisy = true;

    for (uint32_t n = 0; n < thread_count; n++) {
        task_start(&workers[n].task, work, &workers[n]);
    }
    noise_start(seed, thread_count, thread_of);
    while (!all_done()) {
        if (is_past(&time_up))
            store(&stop, 1);
        if (noisy && is_past(&half_time)) {
            noise_stop();
            noisy = false;
        }
        CHECK(!is_past(&too_late)); /* somebody is parked behind nobody */
        if (!complete_all())
            usleep(50);
    }
    if (noisy)
        noise_stop();
    complete_all();
    for (uint32_t n = 0; n < thread_count; n++) {
        task_join(&workers[n].task);
        operations += workers[n].operations;
    }
    for (int n = 0; n < 2; n++)
        CHECK(subject_pair.at_rest((const union object *)(const void *)&files[n].pair));
    printf("%" PRIu64 " operations by %u threads\n", operations, thread_count);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"threads", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 'd'},
        {"seed", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    int option = 0;

    seed = (uint64_t)time(NULL) ^ (uint64_t)getpid() << 32;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 't')
            thread_count = (uint32_t)strtoul(optarg, NULL, 10) % (MOST_THREADS + 1);
        else if (option == 'd')
            seconds = (uint32_t)strtoul(optarg, NULL, 10);
        else if (option == 'r')
            seed = strtoull(optarg, NULL, 10);
        else
            return 2;
    }
    printf("%u threads, seed %" PRIu64 "\n", thread_count, seed);
    fflush(stdout);
    run();
    return 0;
}
