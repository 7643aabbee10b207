/* SPDX-License-Identifier: MIT */
/* bench_lock starve: can one thread have state B, or drain, while holders of A always overlap? */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench_lock.h"
#include "clock.h"
#include "peers.h"
#include "report.h"

#define HOLDERS 4
#define HOLD_NS 1000000 /* asleep, as one that waits for a disk */

struct run {
    union any_lock lock;
    bool stop;
    unsigned entries;
    uint64_t longest_wait_ns; /* the one that the end of the run cut off included */
};

struct holder {
    pthread_t thread;
    struct run *run;
    uint64_t delay_ns;
};

static bool stopped(const struct run *run)
{
    return __atomic_load_n(&run->stop, __ATOMIC_RELAXED);
}

static void note_wait(struct run *run, uint64_t wait_ns)
{
    if (wait_ns > run->longest_wait_ns)
        run->longest_wait_ns = wait_ns;
}

/* A thread that wants something again and again: `get` gets it, and gives it back. */
#define WANT(name, get)                                                                            \
    static void *name(void *arg)                                                                   \
    {                                                                                              \
        struct run *run = arg;                                                                     \
                                                                                                   \
        clock_sleep(HOLD_NS);                                                                      \
        while (!stopped(run)) {                                                                    \
            const uint64_t start = clock_ns();                                                     \
                                                                                                   \
            get;                                                                                   \
            note_wait(run, clock_ns() - start);                                                    \
            if (!stopped(run))                                                                     \
                run->entries++;                                                                    \
            clock_sleep(HOLD_NS);                                                                  \
        }                                                                                          \
        return NULL;                                                                               \
    }

/* Each peer's holder of A and its one thread that wants B. */
#define X(peer, shared, waits)                                                                     \
    static void *hold_a_##peer(void *arg)                                                          \
    {                                                                                              \
        struct holder *holder = arg;                                                               \
                                                                                                   \
        clock_sleep(holder->delay_ns);                                                             \
        while (!stopped(holder->run)) {                                                            \
            acquire_##peer(&holder->run->lock.peer, TWOSTATE_A);                                   \
            clock_sleep(HOLD_NS);                                                                  \
            release_##peer(&holder->run->lock.peer, TWOSTATE_A);                                   \
        }                                                                                          \
        return NULL;                                                                               \
    }                                                                                              \
    static inline void get_b_##peer(struct lock_##peer *lock)                                      \
    {                                                                                              \
        acquire_##peer(lock, TWOSTATE_B);                                                          \
        release_##peer(lock, TWOSTATE_B);                                                          \
    }                                                                                              \
    WANT(want_b_##peer, get_b_##peer(&run->lock.peer))
BENCH_PEERS(X)
#undef X

#define X(peer) WANT(want_drain_##peer, drain_##peer(&run->lock.peer))
BENCH_DRAINABLE(X)
#undef X

enum waits { sleeps, spins };

/* Spinning on a holder that sleeps is no contest. */
static const struct contender {
    const char *lock;
    const char *wants;
    void *(*hold_a)(void *);
    void *(*want)(void *);
    enum waits waits;
} contenders[] = {
#define X(peer, shared, waits) {#peer, "B", hold_a_##peer, want_b_##peer, waits},
    BENCH_PEERS(X)
#undef X
#define X(peer) {#peer, "drain", hold_a_##peer, want_drain_##peer, sleeps},
        BENCH_DRAINABLE(X)
#undef X
};

#define CONTENDERS (sizeof(contenders) / sizeof(contenders[0]))

static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    if (pthread_create(thread, NULL, run, arg) != 0) {
        fputs("bench_lock: can't make a thread\n", stderr);
        exit(1);
    }
}

static void measure(const struct contender *contender, uint64_t slice_ns, struct run *run)
{
    struct holder holders[HOLDERS];
    pthread_t wanting;

    memset(run, 0, sizeof(*run));
    for (unsigned i = 0; i < HOLDERS; i++) {
        holders[i] = (struct holder){.run = run, .delay_ns = (uint64_t)i * (HOLD_NS / HOLDERS)};
        start(&holders[i].thread, contender->hold_a, &holders[i]);
    }
    start(&wanting, contender->want, run);
    clock_sleep(slice_ns);
    __atomic_store_n(&run->stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < HOLDERS; i++)
        pthread_join(holders[i].thread, NULL);
    pthread_join(wanting, NULL);
}

int starve_main(const struct options *options)
{
    const uint64_t slice_ns = options->quick ? 500000000 : 1000000000;
    double *per_s = calloc(CONTENDERS * options->runs, sizeof(*per_s));
    uint64_t longest[CONTENDERS] = {0};
    json_t *rows = json_array();
    struct run run;

    if (per_s == NULL)
        return 1;
    for (unsigned r = 0; r < options->runs; r++)
        for (unsigned i = 0; i < CONTENDERS; i++) {
            if (contenders[i].waits == spins)
                continue;
            report_progress(r, options->runs, contenders[i].lock);
            measure(&contenders[i], slice_ns, &run);
            per_s[i * options->runs + r] = (double)run.entries * 1e9 / (double)slice_ns;
            longest[i] = run.longest_wait_ns > longest[i] ? run.longest_wait_ns : longest[i];
        }
    report_progress(options->runs, options->runs, "");
    printf(
        "one thread wants B, or to drain; four hold A for 1 ms each, overlapping; %.1f s a run\n\n",
        (double)slice_ns / 1e9);
    printf("%-16s %-8s %16s %18s\n", "lock", "wants", "gets it, per s", "longest wait, ms");
    for (unsigned i = 0; i < CONTENDERS; i++) {
        const double median = report_median(per_s + (size_t)i * options->runs, options->runs);
        const double wait_ms = (double)longest[i] / 1e6;

        if (contenders[i].waits == spins)
            continue;
        printf("%-16s %-8s %16.1f %18.1f\n", contenders[i].lock, contenders[i].wants, median,
               wait_ms);
        json_array_append_new(rows,
                              json_pack("{s:s, s:s, s:o, s:o}", "lock", contenders[i].lock, "wants",
                                        contenders[i].wants, "per_s", report_number(median),
                                        "wait_max_ms", report_number(wait_ms)));
    }
    free(per_s);
    return report_json(options->json, rows) ? 0 : 1;
}
