/* SPDX-License-Identifier: MIT */
/* bench_lock pair: what an acquire and a release cost when nothing stands in the way. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench_lock.h"
#include "clock.h"
#include "peers.h"
#include "report.h"

#include <twostate/iolock.h>
#include <twostate/iopair.h>

#define MAX_THREADS 2
#define BATCH       1000 /* pairs between two looks at the stop flag */

struct worker {
    pthread_t thread;
    union any_lock *lock;
    pthread_barrier_t *start;
    const bool *stop;
    uint64_t pairs;
    uint64_t ns;
};

/* The timed loop of each peer, with its acquire and release inline. */
#define X(peer, shared, waits)                                                                     \
    static void *loop_##peer(void *arg)                                                            \
    {                                                                                              \
        struct worker *worker = arg;                                                               \
        struct lock_##peer *lock = &worker->lock->peer;                                            \
        uint64_t pairs = 0;                                                                        \
        uint64_t start;                                                                            \
                                                                                                   \
        pthread_barrier_wait(worker->start);                                                       \
        start = clock_ns();                                                                        \
        do { /* once at least, however late it is let run */                                       \
            for (unsigned i = 0; i < BATCH; i++) {                                                 \
                acquire_##peer(lock, TWOSTATE_A);                                                  \
                release_##peer(lock, TWOSTATE_A);                                                  \
            }                                                                                      \
            pairs += BATCH;                                                                        \
        } while (!__atomic_load_n(worker->stop, __ATOMIC_RELAXED));                                \
        worker->ns = clock_ns() - start;                                                           \
        worker->pairs = pairs;                                                                     \
        return NULL;                                                                               \
    }
X(floor, both, spins)
BENCH_PEERS(X)
#undef X

static const struct contender {
    const char *name;
    void *(*loop)(void *);
} contenders[] = {
#define X(peer, shared, waits) {#peer, loop_##peer},
    BENCH_PEERS(X) X(floor, both, spins)
#undef X
};

#define CONTENDERS (sizeof(contenders) / sizeof(contenders[0]))

/* ns for each pair that each thread did. */
static double measure(const struct contender *contender, unsigned threads, uint64_t slice_ns)
{
    static union any_lock lock;
    struct worker workers[MAX_THREADS];
    pthread_barrier_t start;
    bool stop = false;
    double ns = 0, pairs = 0;

    memset(&lock, 0, sizeof(lock));
    pthread_barrier_init(&start, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.lock = &lock, .start = &start, .stop = &stop};
        if (pthread_create(&workers[i].thread, NULL, contender->loop, &workers[i]) != 0) {
            fputs("bench_lock: can't make a thread\n", stderr);
            exit(1);
        }
    }
    pthread_barrier_wait(&start);
    clock_sleep(slice_ns);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        ns += (double)workers[i].ns;
        pairs += (double)workers[i].pairs;
    }
    pthread_barrier_destroy(&start);
    return ns / pairs;
}

static void print_table(double ns[MAX_THREADS][CONTENDERS])
{
    printf("ns for an acquire and a release, for each of the threads that share one state\n\n");
    printf("%-16s %10s %10s %22s\n", "lock", "1 thread", "2 threads", "of twostate (1, 2)");
    for (unsigned i = 0; i < CONTENDERS; i++)
        printf("%-16s %10.2f %10.2f %14.2f %7.2f\n", contenders[i].name, ns[0][i], ns[1][i],
               ns[0][i] / ns[0][0], ns[1][i] / ns[1][0]);
}

/* One thread's cost of a lock, as a multiple of that of twostate. */
static double multiple(double ns[MAX_THREADS][CONTENDERS], const char *name)
{
    for (unsigned i = 0; i < CONTENDERS; i++)
        if (strcmp(contenders[i].name, name) == 0)
            return ns[0][i] / ns[0][0];
    return 0;
}

static void print_goals(double ns[MAX_THREADS][CONTENDERS])
{
    printf("\nbytes: lock %zu, IOLOCK %zu, pair %zu\n\n", sizeof(struct twostate_lock),
           sizeof(struct twostate_iolock), sizeof(struct twostate_iopair));
    report_goal("one thread: twostate's time over the floor's", 1 / multiple(ns, "floor"), false,
                1.10);
    report_goal("one thread: pthread_rwlock's time over twostate's", multiple(ns, "pthread_rwlock"),
                true, 1.2);
    report_goal("one thread: mutex_cond's time over twostate's", multiple(ns, "mutex_cond"), true,
                2);
    report_goal("bytes: the lock", sizeof(struct twostate_lock), false, 8);
    report_goal("bytes: the IOLOCK", sizeof(struct twostate_iolock), false, 16);
    report_goal("bytes: the pair", sizeof(struct twostate_iopair), false, 32);
}

static json_t *to_json(double ns[MAX_THREADS][CONTENDERS])
{
    json_t *rows = json_array();

    for (unsigned t = 0; t < MAX_THREADS; t++)
        for (unsigned i = 0; i < CONTENDERS; i++)
            json_array_append_new(rows, json_pack("{s:s, s:i, s:o}", "lock", contenders[i].name,
                                                  "threads", (int)t + 1, "ns_per_pair",
                                                  report_number(ns[t][i])));
    return rows;
}

static bool draw(const char *path, double ns[MAX_THREADS][CONTENDERS])
{
    FILE *plot = report_plot_begin(path, 800, 480);

    if (plot == NULL)
        return false;
    fputs("$data << END\n", plot);
    for (unsigned i = 0; i < CONTENDERS; i++)
        fprintf(plot, "%s %f %f\n", contenders[i].name, ns[0][i], ns[1][i]);
    fputs("END\n"
          "set title 'acquire + release, threads sharing one state'\n"
          "set style data histogram\nset style fill solid 0.7\nset key top left\n"
          "set xtics noenhanced\nset ylabel 'ns per pair'\nset yrange [0:*]\nset grid y\n"
          "plot $data using 2:xtic(1) title '1 thread', '' using 3 title '2 threads'\n",
          plot);
    return report_plot_end(plot);
}

int pair_main(const struct options *options)
{
    const uint64_t slice_ns = options->quick ? 100000000 : 300000000;
    const unsigned total = MAX_THREADS * options->runs * (unsigned)CONTENDERS;
    double ns[MAX_THREADS][CONTENDERS];
    double *runs = calloc(CONTENDERS * options->runs, sizeof(*runs));
    unsigned done = 0;
    bool ok;

    if (runs == NULL)
        return 1;
    for (unsigned t = 0; t < MAX_THREADS; t++) {
        /* Interleaved, so that what disturbs the machine for a while disturbs all. */
        for (unsigned run = 0; run < options->runs; run++)
            for (unsigned i = 0; i < CONTENDERS; i++) {
                report_progress(done++, total, contenders[i].name);
                runs[i * options->runs + run] = measure(&contenders[i], t + 1, slice_ns);
            }
        for (unsigned i = 0; i < CONTENDERS; i++)
            ns[t][i] = report_median(runs + (size_t)i * options->runs, options->runs);
    }
    report_progress(total, total, "");
    free(runs);
    print_table(ns);
    print_goals(ns);
    ok = report_json(options->json, to_json(ns));
    if (options->plot != NULL)
        ok = draw(options->plot, ns) && ok;
    return ok ? 0 : 1;
}
