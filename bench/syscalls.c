/* SPDX-License-Identifier: MIT */
/*
 * bench_lock syscalls: system calls for each operation. None where nobody waits; where many do, what
 * the acquires and releases make of them, and the most that one release made.
 *
 * The calls of bcachefs_alg and of twostate are counted one by one. Those of mutex_cond are hidden
 * in the C library; for all locks the kernel tells how often a thread went to sleep.
 */
#include "syscalls.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "bench_lock.h"
#include "clock.h"
#include "peers.h"
#include "report.h"

#include <twostate/async.h>
#include <twostate/iolock.h>
#include <twostate/iopair.h>

#define ALONE       10000 /* operations where nobody waits */
#define MAX_THREADS 16

/* The IOLOCK, in the shape of the peers: state A is shared, state B exclusive. */
struct lock_iolock {
    struct twostate_iolock lock;
};

static inline void acquire_iolock(struct lock_iolock *lock, enum twostate_state state)
{
    twostate_iolock_acquire(&lock->lock,
                            state == TWOSTATE_A ? TWOSTATE_SHARED : TWOSTATE_EXCLUSIVE);
}

static inline void release_iolock(struct lock_iolock *lock, enum twostate_state state)
{
    twostate_iolock_release(&lock->lock,
                            state == TWOSTATE_A ? TWOSTATE_SHARED : TWOSTATE_EXCLUSIVE);
}

/* First what nobody waits for: operations on a lock that is free to take. */

static struct twostate_lock lock;
static struct twostate_iolock iolock;
static struct twostate_iopair pair;

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void pair_of(enum twostate_state state)
{
    twostate_lock_acquire(&lock, state);
    twostate_lock_release(&lock, state);
}

static void alone_a(void)
{
    pair_of(TWOSTATE_A);
}

static void alone_a_b(void)
{
    pair_of(TWOSTATE_A);
    pair_of(TWOSTATE_B);
}

static void alone_try(void)
{
    check(twostate_lock_try_acquire(&lock, TWOSTATE_B));
    check(!twostate_lock_try_acquire(&lock, TWOSTATE_A));
    twostate_lock_release(&lock, TWOSTATE_B);
}

static void alone_timed(void)
{
    const struct timespec past = {.tv_sec = 1};

    check(twostate_lock_acquire_timed(&lock, TWOSTATE_A, &past) == 0);
    twostate_lock_release(&lock, TWOSTATE_A);
}

static void alone_n(void)
{
    check(twostate_lock_acquire_n(&lock, TWOSTATE_A, 3) == 0);
    twostate_lock_release(&lock, TWOSTATE_A);
    twostate_lock_release_n(&lock, TWOSTATE_A, 2);
}

static void alone_freeze(void)
{
    twostate_lock_freeze(&lock);
    twostate_lock_thaw(&lock);
}

static void alone_async(void)
{
    struct twostate_waiter waiter = {.done = NULL};

    check(twostate_lock_acquire_async(&lock, TWOSTATE_A, &waiter) == 0);
    twostate_lock_release(&lock, TWOSTATE_A);
}

static void alone_switch(void)
{
    twostate_lock_acquire(&lock, TWOSTATE_A);
    check(twostate_lock_switch(&lock, TWOSTATE_B) == 0);
    twostate_lock_release(&lock, TWOSTATE_B);
}

static void alone_drain(void)
{
    twostate_lock_drain(&lock);
}

static void alone_iolock(void)
{
    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_demote(&iolock);
    twostate_iolock_release(&iolock, TWOSTATE_SHARED);
}

static void alone_direct(void)
{
    struct twostate_hold hold, completion;

    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_submitting(&hold, &completion);
    twostate_iopair_submitted(&hold);
    twostate_iopair_complete(&completion);
}

static const struct alone {
    const char *says;
    void (*operation)(void);
    unsigned threads;
} alone[] = {
    {"acquire A, release", alone_a, 1},
    {"the same of A, then of B", alone_a_b, 1},
    {"try, one that fails, release", alone_try, 1},
    {"timed acquire, release", alone_timed, 1},
    {"acquire, switch, release", alone_switch, 1},
    {"drain", alone_drain, 1},
    {"three holds, released in two steps", alone_n, 1},
    {"freeze, thaw", alone_freeze, 1},
    {"async acquire that is granted at once", alone_async, 1},
    {"IOLOCK: exclusive, demote, release", alone_iolock, 1},
    {"pair: begin direct, submit, complete", alone_direct, 1},
    {"acquire A, release: two threads", alone_a, 2},
};

#define ALONES (sizeof(alone) / sizeof(alone[0]))

struct alone_thread {
    pthread_t thread;
    void (*operation)(void);
    uint64_t calls;
};

static void *be_alone(void *arg)
{
    struct alone_thread *self = arg;
    const uint64_t before = syscalls_made();

    for (unsigned i = 0; i < ALONE; i++)
        self->operation();
    self->calls = syscalls_made() - before;
    return NULL;
}

static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    if (pthread_create(thread, NULL, run, arg) != 0) {
        fputs("bench_lock: can't make a thread\n", stderr);
        exit(1);
    }
}

static uint64_t calls_alone(const struct alone *a)
{
    struct alone_thread threads[2];
    uint64_t calls = 0;

    for (unsigned i = 0; i < a->threads; i++) {
        threads[i].operation = a->operation;
        start(&threads[i].thread, be_alone, &threads[i]);
    }
    for (unsigned i = 0; i < a->threads; i++) {
        pthread_join(threads[i].thread, NULL);
        calls += threads[i].calls;
    }
    return calls;
}

/* Then where many wait. */

struct worker {
    pthread_t thread;
    struct crowd *crowd;
    uint64_t random;
    uint64_t done;
    uint64_t in_acquire; /* calls */
    uint64_t in_release;
    uint64_t most; /* in one release */
};

struct crowd {
    union any_lock lock;
    struct lock_iolock iolock;
    pthread_barrier_t barrier;
    bool stop;
    uint64_t work; /* units of computing in a hold */
    uint64_t sleep_ns;
    struct worker workers[MAX_THREADS];
};

static enum twostate_state draw_state(struct worker *worker)
{
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return worker->random >> 63 ? TWOSTATE_B : TWOSTATE_A;
}

static void hold(const struct crowd *crowd)
{
    if (crowd->sleep_ns > 0)
        clock_sleep(crowd->sleep_ns);
    else
        clock_work(crowd->work);
}

static void count_release(struct worker *worker, uint64_t calls)
{
    worker->in_release += calls;
    worker->most = calls > worker->most ? calls : worker->most;
}

#define CROWD(peer, where)                                                                         \
    static void *crowd_##peer(void *arg)                                                           \
    {                                                                                              \
        struct worker *worker = arg;                                                               \
        struct crowd *crowd = worker->crowd;                                                       \
                                                                                                   \
        pthread_barrier_wait(&crowd->barrier);                                                     \
        while (!__atomic_load_n(&crowd->stop, __ATOMIC_RELAXED)) {                                 \
            const enum twostate_state state = draw_state(worker);                                  \
            uint64_t calls = syscalls_made();                                                      \
                                                                                                   \
            acquire_##peer(&crowd->where, state);                                                  \
            worker->in_acquire += syscalls_made() - calls;                                         \
            hold(crowd);                                                                           \
            calls = syscalls_made();                                                               \
            release_##peer(&crowd->where, state);                                                  \
            count_release(worker, syscalls_made() - calls);                                        \
            worker->done++;                                                                        \
        }                                                                                          \
        return NULL;                                                                               \
    }
CROWD(twostate, lock.twostate)
CROWD(iolock, iolock)
CROWD(bcachefs_alg, lock.bcachefs_alg)
CROWD(mutex_cond, lock.mutex_cond)

static const struct contender {
    const char *name;
    void *(*run)(void *);
    bool ours;
    bool hidden; /* its calls are the C library's own */
} contenders[] = {
    {"twostate", crowd_twostate, true, false},
    {"iolock", crowd_iolock, true, false},
    {"bcachefs_alg", crowd_bcachefs_alg, false, false},
    {"mutex_cond", crowd_mutex_cond, false, true},
};

#define CONTENDERS (sizeof(contenders) / sizeof(contenders[0]))

static const struct cell {
    unsigned threads;
    uint64_t hold_ns;
    bool asleep;
} cells[] = {
    {4, 1000, false}, {4, 100000, true}, {16, 1000, false}, {16, 20000, false}, {16, 100000, true}};

#define CELLS (sizeof(cells) / sizeof(cells[0]))

struct counts {
    double acquire; /* calls for each operation */
    double release;
    double sleeps;
    uint64_t most;
};

static uint64_t sleeps_so_far(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_nvcsw;
}

static struct counts count(const struct cell *cell, const struct contender *contender,
                           uint64_t slice_ns)
{
    static struct crowd crowd;
    uint64_t sleeps, in_hold, done = 0, acquire = 0, release = 0;
    struct counts counts = {0};

    memset(&crowd, 0, sizeof(crowd));
    crowd.work = cell->asleep ? 0 : clock_work_units(cell->hold_ns);
    crowd.sleep_ns = cell->asleep ? cell->hold_ns : 0;
    pthread_barrier_init(&crowd.barrier, NULL, cell->threads + 1);
    for (unsigned i = 0; i < cell->threads; i++) {
        crowd.workers[i].crowd = &crowd;
        crowd.workers[i].random = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        start(&crowd.workers[i].thread, contender->run, &crowd.workers[i]);
    }
    pthread_barrier_wait(&crowd.barrier);
    sleeps = sleeps_so_far();
    clock_sleep(slice_ns);
    __atomic_store_n(&crowd.stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < cell->threads; i++) {
        const struct worker *worker = &crowd.workers[i];

        pthread_join(worker->thread, NULL);
        done += worker->done;
        acquire += worker->in_acquire;
        release += worker->in_release;
        counts.most = worker->most > counts.most ? worker->most : counts.most;
    }
    sleeps = sleeps_so_far() - sleeps;
    pthread_barrier_destroy(&crowd.barrier);
    in_hold = cell->asleep ? done : 0;
    done += done == 0; /* nobody came to run */
    counts.acquire = (double)acquire / (double)done;
    counts.release = (double)release / (double)done;
    counts.sleeps = sleeps > in_hold ? (double)(sleeps - in_hold) / (double)done : 0;
    return counts;
}

/* Waits for it in vain: it is held. Returns the calls that this made. */
static uint64_t calls_of_a_wait(uint64_t ns)
{
    const uint64_t before = syscalls_made();
    struct timespec deadline;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    ns += (uint64_t)deadline.tv_nsec;
    deadline.tv_sec += (time_t)(ns / 1000000000);
    deadline.tv_nsec = (long)(ns % 1000000000);
    check(twostate_lock_acquire_timed(&lock, TWOSTATE_B, &deadline) != 0);
    return syscalls_made() - before;
}

/* That calls are counted at all. A thread that did not run before its deadline came makes none. */
static bool counting(void)
{
    uint64_t calls = 0;

    twostate_lock_acquire(&lock, TWOSTATE_A);
    for (uint64_t ms = 1; calls == 0 && ms < 5000; ms *= 2)
        calls = calls_of_a_wait(ms * 1000000);
    twostate_lock_release(&lock, TWOSTATE_A);
    return calls > 0;
}

static uint64_t print_alone(json_t *rows)
{
    uint64_t total = 0;

    printf("where nobody waits, %d times each\n\n%-42s %12s\n", ALONE, "operation", "calls");
    for (unsigned i = 0; i < ALONES; i++) {
        const uint64_t calls = calls_alone(&alone[i]);

        printf("%-42s %12lu\n", alone[i].says, (unsigned long)calls);
        json_array_append_new(rows, json_pack("{s:s, s:s, s:o}", "lock", "twostate", "alone",
                                              alone[i].says, "calls_per_op",
                                              report_number((double)calls / ALONE)));
        total += calls;
    }
    return total;
}

static void print_counts(const struct cell *cell, const struct contender *contender,
                         const struct counts *counts, json_t *rows)
{
    json_t *row = json_pack("{s:s, s:i, s:I, s:b, s:o}", "lock", contender->name, "threads",
                            (int)cell->threads, "hold_ns", (json_int_t)cell->hold_ns, "asleep",
                            (int)cell->asleep, "sleeps_per_op", report_number(counts->sleeps));

    printf("%7u %6u us%-8s %-13s", cell->threads, (unsigned)cell->hold_ns / 1000,
           cell->asleep ? " asleep" : "", contender->name);
    if (contender->hidden) {
        printf(" %10s %10s %10s", "-", "-", "-");
    } else {
        printf(" %10.3f %10.3f %10lu", counts->acquire, counts->release,
               (unsigned long)counts->most);
        json_object_set_new(row, "calls_per_acquire", report_number(counts->acquire));
        json_object_set_new(row, "calls_per_release", report_number(counts->release));
        json_object_set_new(row, "most_in_a_release", json_integer((json_int_t)counts->most));
    }
    printf(" %10.3f\n", counts->sleeps);
    json_array_append_new(rows, row);
}

/* Returns the most calls that a release of ours made. */
static uint64_t print_crowds(uint64_t slice_ns, json_t *rows)
{
    uint64_t most = 0;

    printf("\nwhere many wait, half of the operations in each state; iolock: B is exclusive\n\n"
           "%52s%20s\n%7s %-17s %-13s %10s %10s %10s %10s\n",
           "", "calls for each", "threads", "  hold", "lock", "acquire", "release", "most",
           "sleeps");
    for (unsigned c = 0; c < CELLS; c++)
        for (unsigned i = 0; i < CONTENDERS; i++) {
            struct counts counts;

            report_progress(c, CELLS, contenders[i].name);
            counts = count(&cells[c], &contenders[i], slice_ns);
            report_progress(CELLS, CELLS, "");
            print_counts(&cells[c], &contenders[i], &counts, rows);
            if (contenders[i].ours && counts.most > most)
                most = counts.most;
        }
    printf("\nmost: in one release; sleeps: times that a thread slept for an operation, its hold\n"
           "not counted\n\n");
    return most;
}

int syscalls_main(const struct options *options)
{
    const uint64_t slice_ns = options->quick ? 100000000 : 500000000;
    json_t *rows = json_array();
    uint64_t none, most;

    if (!counting()) {
        fputs("bench_lock: the system calls of the lock can't be counted in this build\n", stderr);
        json_decref(rows);
        return 1;
    }
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    none = print_alone(rows);
    most = print_crowds(slice_ns, rows);
    report_goal("system calls where nobody waits", (double)none, false, 0);
    report_goal("system calls in one release where many wait, the most", (double)most, false, 2);
    return report_json(options->json, rows) ? 0 : 1;
}
