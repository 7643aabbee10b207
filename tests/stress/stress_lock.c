/* SPDX-License-Identifier: MIT */
/*
 * Random calls of every kind by many threads, on the real lock or on one that is broken on purpose.
 * Exits with 0 if the real lock kept its guarantees, or if a broken one was found out.
 *
 * The seed decides what each thread does; the order between threads is the machine's.
 *
 *   stress_lock [--subject NAME] [--threads N] [--seconds N | --ops N] [--seed N]
 */
#include "subjects.h"

#include "threads.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_THREADS 64

struct worker {
    struct task task;
    uint64_t random;
    uint32_t operations;
    uint32_t hold;       /* odd while it holds the lock; another number for every hold */
    unsigned long place; /* plain; written while A is held, read by others while B is held */
};

static struct {
    const struct subject *subject;
    uint32_t threads;
    uint32_t seconds;
    uint32_t operations; /* of each thread; 0: until the time is up */
    uint64_t seed;
} options = {.threads = 8, .seconds = 5};

static struct twostate_lock lock;
static struct worker workers[MOST_THREADS];
static uint32_t inside[2];  /* G1 */
static uint32_t orphans[2]; /* holds that the completion thread is to release: G6 */
static uint32_t stop;

/* A finding ends the program: it is what is wanted of a broken lock, and a failure of the real one.
 */
static void found(const char *what)
{
    static uint32_t already;

    if (add(&already, 1) != 1)
        pause(); /* another thread's finding is on its way out */
    printf("%s: %s (seed %" PRIu64 ")\n", options.subject->name, what, options.seed);
    fflush(stdout);
    _exit(options.subject->broken ? 0 : 1);
}

static uint64_t next_random(struct worker *worker) /* splitmix64 */
{
    uint64_t z = worker->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t below(struct worker *worker, uint32_t limit)
{
    return (uint32_t)(next_random(worker) % limit);
}

static struct timespec soon(struct worker *worker)
{
    const struct timespec past = {0};
    const uint32_t ms = below(worker, 4);

    return ms == 0 ? past : after_ms(ms);
}

static void enter(struct worker *worker, enum twostate_state state)
{
    add(&inside[state], 1);
    if (load(&inside[1 - state]) != 0)
        found("states A and B are held at the same time");
    store(&worker->hold, worker->hold + 1);
}

static void leave(struct worker *worker, enum twostate_state state)
{
    store(&worker->hold, worker->hold + 1);
    add(&inside[state], UINT32_MAX);
}

/* Plain memory, so that ThreadSanitizer checks G11; a broken lock would only make it complain. */
static void use_places(struct worker *worker, enum twostate_state state)
{
    unsigned long sum = 0;

    if (options.subject->broken)
        return;
    if (state == TWOSTATE_A) {
        worker->place++;
        return;
    }
    for (uint32_t n = 0; n < options.threads; n++)
        sum += workers[n].place;
    for (uint32_t n = 0; n < options.threads; n++)
        sum -= workers[n].place;
    if (sum != 0)
        found("data changed while the other state was held");
}

static void stay(struct worker *worker, enum twostate_state state)
{
    const uint32_t how = below(worker, 64);

    use_places(worker, state);
    if (how < 2)
        usleep(how * 100);
    else if (how < 20)
        sched_yield();
    if (load(&inside[1 - state]) != 0)
        found("states A and B are held at the same time");
}

static void release(struct worker *worker, enum twostate_state state)
{
    if (below(worker, 16) == 0) {
        store(&worker->hold, worker->hold + 1);
        add(&orphans[state], 1);
        return;
    }
    leave(worker, state);
    options.subject->release(&lock, state);
}

static bool acquire(struct worker *worker, enum twostate_state state)
{
    const struct timespec deadline = soon(worker);
    bool entered = true;
    int result = 0;

    switch (below(worker, 3)) {
    case 0:
        options.subject->acquire(&lock, state);
        break;
    case 1:
        entered = options.subject->try_acquire(&lock, state);
        break;
    default:
        result = options.subject->acquire_timed(&lock, state, &deadline);
        entered = result == 0;
        if (result != 0 && result != -ETIMEDOUT)
            found("a timed acquire failed for no reason");
    }
    if (entered)
        enter(worker, state);
    return entered;
}

static bool try_or_wait_to_switch(struct worker *worker, enum twostate_state to)
{
    const struct timespec deadline = soon(worker);

    switch (below(worker, 3)) {
    case 0:
        return options.subject->try_switch(&lock, to);
    case 1:
        return options.subject->switch_to(&lock, to, &deadline) == 0;
    default:
        return options.subject->switch_to(&lock, to, NULL) == 0;
    }
}

/* Returns the state in which the lock is held now. */
static enum twostate_state switch_hold(struct worker *worker, enum twostate_state from)
{
    const enum twostate_state to = from == TWOSTATE_A ? TWOSTATE_B : TWOSTATE_A;
    enum twostate_state held = from;

    /* Others may come in with the switch, so this hold is out of the count before, not after. */
    leave(worker, from);
    if (try_or_wait_to_switch(worker, to))
        held = to;
    enter(worker, held);
    return held;
}

/* Every hold that there was at its start must have ended by its end: G8. */
static void drain(struct worker *worker)
{
    const struct timespec deadline = soon(worker);
    uint32_t before[MOST_THREADS];

    for (uint32_t n = 0; n < options.threads; n++)
        before[n] = load(&workers[n].hold);
    if (below(worker, 2) == 0)
        options.subject->drain(&lock);
    else if (options.subject->drain_timed(&lock, &deadline) != 0)
        return;
    for (uint32_t n = 0; n < options.threads; n++)
        if (before[n] % 2 == 1 && load(&workers[n].hold) == before[n])
            found("a drain returned before a hold had ended");
}

static void operate(struct worker *worker)
{
    const uint32_t kind = below(worker, 32);
    enum twostate_state state = kind % 2 ? TWOSTATE_B : TWOSTATE_A;

    if (kind < 2) {
        drain(worker);
    } else if (acquire(worker, state)) {
        stay(worker, state);
        if (kind < 5) {
            state = switch_hold(worker, state);
            stay(worker, state);
        }
        release(worker, state);
    }
}

static void work(void *argument)
{
    struct worker *worker = argument;

    while (!load(&stop) && (options.operations == 0 || worker->operations < options.operations)) {
        operate(worker);
        add(&worker->operations, 1);
    }
}

/* The completion side: releases what others acquired. */
static void release_orphans(void)
{
    for (unsigned state = 0; state < 2; state++) {
        while (load(&orphans[state]) != 0) {
            add(&orphans[state], UINT32_MAX);
            add(&inside[state], UINT32_MAX);
            options.subject->release(&lock, (enum twostate_state)state);
        }
    }
}

static bool all_done(void)
{
    bool done = true;

    for (uint32_t n = 0; n < options.threads; n++)
        done = done && task_done(&workers[n].task);
    return done;
}

/* A worker that does not come on for this long is parked behind nobody: G3, G9. */
static void check_progress(void)
{
    static uint32_t seen[MOST_THREADS];
    static struct timespec limits[MOST_THREADS];

    for (uint32_t n = 0; n < options.threads; n++) {
        const uint32_t operations = load(&workers[n].operations);

        if (operations != seen[n] || limits[n].tv_sec == 0) {
            seen[n] = operations;
            limits[n] = after_ms(options.subject->broken ? 3000 : 20000);
        } else if (is_past(&limits[n]) && !task_done(&workers[n].task)) {
            found("a thread waits for ever");
        }
    }
}

static void run(void)
{
    const struct timespec end = after_ms(options.seconds * 1000L);
    uint64_t operations = 0;

    for (uint32_t n = 0; n < options.threads; n++)
        workers[n].random = options.seed * 1000 + n;
    for (uint32_t n = 0; n < options.threads; n++)
        task_start(&workers[n].task, work, &workers[n]);
    while (!all_done()) {
        release_orphans();
        check_progress();
        if (options.operations == 0 && is_past(&end))
            store(&stop, 1);
        usleep(200);
    }
    for (uint32_t n = 0; n < options.threads; n++) {
        task_join(&workers[n].task);
        operations += workers[n].operations;
    }
    release_orphans();
    if (lock.word_ != 0)
        found("the lock is not as it was at the start");
    printf("%s: %" PRIu64 " operations by %u threads\n", options.subject->name, operations,
           options.threads);
}

static uint32_t number(const char *text, uint32_t most)
{
    const unsigned long value = strtoul(text, NULL, 10);

    return value > most ? most : (uint32_t)value;
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"subject", required_argument, NULL, 's'}, {"threads", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 'd'}, {"ops", required_argument, NULL, 'o'},
        {"seed", required_argument, NULL, 'r'},    {NULL, 0, NULL, 0},
    };
    int option = 0;

    options.subject = subject_find("twostate");
    options.seed = (uint64_t)time(NULL) ^ (uint64_t)getpid() << 32;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 's')
            options.subject = subject_find(optarg);
        else if (option == 't')
            options.threads = number(optarg, MOST_THREADS);
        else if (option == 'd')
            options.seconds = number(optarg, 100000);
        else if (option == 'o')
            options.operations = number(optarg, UINT32_MAX);
        else if (option == 'r')
            options.seed = strtoull(optarg, NULL, 10);
        else
            exit(2);
    }
    if (options.subject == NULL || options.threads == 0) {
        fprintf(stderr, "stress_lock: no such subject, or no threads\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    printf("%s: %u threads, seed %" PRIu64 "\n", options.subject->name, options.threads,
           options.seed);
    fflush(stdout);
    run();
    return options.subject->broken ? 1 : 0;
}
