/* SPDX-License-Identifier: MIT */
/*
 * bench_lock mixed: two states contend. Each thread acquires, holds, releases, at once again; which
 * state is drawn for each operation, B with the cell's share, from a seed that is the same in every
 * run and for every lock. bench_lock direct: the same where holders of B sleep, as direct IO in
 * flight does, beside short holders of A.
 *
 * Waits are those of the whole acquire. An operation that ends after the time is up doesn't count
 * for the throughput, but its wait does: it may be the longest, though the true one is longer still
 * where a starved thread gets in only because the others have stopped.
 */
#include "mixed.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "bench_lock.h"
#include "clock.h"
#include "hist.h"
#include "report.h"

const char *const mixed_names[MIXED_LOCKS] = {
#define X(peer, shared, waits) #peer,
    BENCH_PEERS(X)
#undef X
};

struct worker {
    pthread_t thread;
    union any_lock *lock;
    pthread_barrier_t *start;
    const bool *stop;
    uint64_t random;
    uint64_t minority;    /* of 2^32 operations */
    uint64_t work;        /* units of computing in a hold */
    uint64_t sleep_ns[2]; /* or the time that one of the state sleeps, if not 0 */
    uint64_t done;
    struct hist waits[2];
};

static inline enum twostate_state draw_state(struct worker *worker)
{
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return worker->random >> 32 < worker->minority ? TWOSTATE_B : TWOSTATE_A;
}

static inline void hold(const struct worker *worker, enum twostate_state state)
{
    if (worker->sleep_ns[state] > 0)
        clock_sleep(worker->sleep_ns[state]);
    else
        clock_work(worker->work);
}

/* The loop of each peer, with its acquire and release inline. */
#define X(peer, shared, waits_how)                                                                 \
    static void *loop_##peer(void *arg)                                                            \
    {                                                                                              \
        struct worker *worker = arg;                                                               \
        struct lock_##peer *lock = &worker->lock->peer;                                            \
                                                                                                   \
        pthread_barrier_wait(worker->start);                                                       \
        for (;;) {                                                                                 \
            const enum twostate_state state = draw_state(worker);                                  \
            const uint64_t asked = clock_ticks();                                                  \
                                                                                                   \
            acquire_##peer(lock, state);                                                           \
            hist_add(&worker->waits[state], clock_ticks() - asked);                                \
            hold(worker, state);                                                                   \
            release_##peer(lock, state);                                                           \
            if (__atomic_load_n(worker->stop, __ATOMIC_RELAXED))                                   \
                return NULL;                                                                       \
            worker->done++;                                                                        \
        }                                                                                          \
    }
BENCH_PEERS(X)
#undef X

enum waits_how { sleeps, spins };

static const struct contender {
    void *(*loop)(void *);
    enum waits_how waits;
} contenders[MIXED_LOCKS] = {
#define X(peer, shared, waits_how) {loop_##peer, waits_how},
    BENCH_PEERS(X)
#undef X
};

static unsigned processors(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* A spinning lock with more threads than processors measures the scheduler. */
static bool plays(const struct cell *cell, const struct contender *contender)
{
    return contender->waits == sleeps ||
           (cell->threads <= processors() && !cell->asleep && !cell->in_flight);
}

/* Mops/s of one run; adds its waits to what other runs found. */
static double run_once(const struct cell *cell, const struct contender *contender,
                       uint64_t slice_ns, struct hist waits[2])
{
    static union any_lock lock;
    static struct worker workers[MIXED_MAX_THREADS];
    pthread_barrier_t start;
    bool stop = false;
    uint64_t began, ns, done = 0;

    memset(&lock, 0, sizeof(lock));
    memset(workers, 0, sizeof(workers));
    pthread_barrier_init(&start, NULL, cell->threads + 1);
    for (unsigned i = 0; i < cell->threads; i++) {
        workers[i].lock = &lock;
        workers[i].start = &start;
        workers[i].stop = &stop;
        workers[i].random = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        workers[i].minority = (UINT64_C(1) << 32) * cell->minority / 100;
        workers[i].work = cell->asleep ? 0 : clock_work_units(cell->hold_ns);
        workers[i].sleep_ns[TWOSTATE_A] = cell->asleep ? cell->hold_ns : 0;
        workers[i].sleep_ns[TWOSTATE_B] =
            cell->in_flight ? MIXED_IN_FLIGHT_NS : workers[i].sleep_ns[TWOSTATE_A];
        if (pthread_create(&workers[i].thread, NULL, contender->loop, &workers[i]) != 0) {
            fputs("bench_lock: can't make a thread\n", stderr);
            exit(1);
        }
    }
    pthread_barrier_wait(&start);
    began = clock_ns();
    clock_sleep(slice_ns);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    ns = clock_ns() - began;
    for (unsigned i = 0; i < cell->threads; i++) {
        pthread_join(workers[i].thread, NULL);
        done += workers[i].done;
        hist_merge(&waits[0], &workers[i].waits[0]);
        hist_merge(&waits[1], &workers[i].waits[1]);
    }
    pthread_barrier_destroy(&start);
    return (double)done / (double)ns * 1000;
}

/* All runs of all locks at one point, interleaved, so that a disturbance meets all of them. */
static void measure(struct row *row, unsigned runs, uint64_t slice_ns)
{
    static struct hist waits[MIXED_LOCKS][2];
    double mops[MIXED_LOCKS][runs];

    memset(waits, 0, sizeof(waits));
    for (unsigned run = 0; run < runs; run++)
        for (unsigned i = 0; i < MIXED_LOCKS; i++)
            if (plays(&row->cell, &contenders[i]))
                mops[i][run] = run_once(&row->cell, &contenders[i], slice_ns, waits[i]);
    for (unsigned i = 0; i < MIXED_LOCKS; i++) {
        struct outcome *outcome = &row->of[i];

        outcome->played = plays(&row->cell, &contenders[i]);
        if (!outcome->played)
            continue;
        outcome->mops = report_median(mops[i], runs);
        for (unsigned state = 0; state < 2; state++) {
            const struct hist *hist = &waits[i][state];

            outcome->p50[state] = clock_ticks_to_us(hist_percentile(hist, 0.5));
            outcome->p99[state] = clock_ticks_to_us(hist_percentile(hist, 0.99));
            outcome->max[state] = clock_ticks_to_us(hist->max);
        }
    }
}

static const struct hold_time {
    uint64_t ns;
    bool asleep;
    bool quick; /* also part of the quick matrix */
} holds[] = {{0, false, true},
             {100, false, false},
             {1000, false, true},
             {20000, false, false},
             {100000, true, true}};

static const unsigned all_threads[] = {1, 2, 4, 8, 16};
static const struct minority {
    unsigned percent;
    bool quick;
} minorities[] = {{0, false}, {5, true}, {20, false}, {50, true}};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* All sleeping, or nobody in state B: what is in flight beside that is nothing new. */
static bool belongs(const struct hold_time *hold, const struct minority *minority, bool quick,
                    bool in_flight)
{
    if (in_flight && (hold->asleep || minority->percent == 0))
        return false;
    return !quick || (hold->quick && minority->quick);
}

static size_t make_rows(struct row *rows, bool quick, bool in_flight)
{
    size_t n = 0;

    for (size_t h = 0; h < COUNT(holds); h++)
        for (size_t m = 0; m < COUNT(minorities); m++)
            for (size_t t = 0; t < COUNT(all_threads); t++)
                if (belongs(&holds[h], &minorities[m], quick, in_flight))
                    rows[n++] = (struct row){.cell = {.threads = all_threads[t],
                                                      .hold_ns = holds[h].ns,
                                                      .asleep = holds[h].asleep,
                                                      .in_flight = in_flight,
                                                      .minority = minorities[m].percent}};
    return n;
}

static void describe(const struct row *row, char *text, size_t size)
{
    snprintf(text, size, "%u threads, hold %lu ns%s, %u %% B", row->cell.threads,
             (unsigned long)row->cell.hold_ns, row->cell.asleep ? " asleep" : "",
             row->cell.minority);
}

static int matrix(const struct options *options, bool in_flight)
{
    static struct row rows[COUNT(holds) * COUNT(minorities) * COUNT(all_threads)];
    const size_t n = make_rows(rows, options->quick, in_flight);
    const uint64_t slice_ns = options->quick ? 40000000 : 80000000;
    bool ok;

    /* Else a sleep of 100 us takes 150. */
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    for (size_t i = 0; i < n; i++) {
        char what[64];

        describe(&rows[i], what, sizeof(what));
        report_progress((unsigned)i, (unsigned)n, what);
        measure(&rows[i], options->runs, slice_ns);
    }
    report_progress((unsigned)n, (unsigned)n, "");
    mixed_table(rows, n);
    ok = report_json(options->json, mixed_json(rows, n));
    if (options->plot != NULL)
        ok = mixed_draw(options->plot, rows, n) && ok;
    return ok ? 0 : 1;
}

int mixed_main(const struct options *options)
{
    return matrix(options, false);
}

int direct_main(const struct options *options)
{
    return matrix(options, true);
}
