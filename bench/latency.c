/* SPDX-License-Identifier: MIT */
/*
 * bench_lock latency: how long after the step that lets it in does a sleeping waiter go on; and
 * what drain and switch cost where nobody is in the way. Against mutex and condition variable.
 *
 * In each round the waiters go to sleep, then one thread makes the step that lets them in. The
 * figure is the time from before that step until the last of them is in. The pause before it is
 * longer than anybody spins and shorter than twostate's patience.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "bench_lock.h"
#include "clock.h"
#include "peers.h"
#include "report.h"

#define MAX_WAITERS  8
#define ASLEEP_NS    200000
#define ROUNDS       200
#define QUICK_ROUNDS 40
#define BATCH        100000 /* of what needs no waiting */

struct peer {
    const char *name;
    void (*acquire)(union any_lock *lock, enum twostate_state state);
    void (*release)(union any_lock *lock, enum twostate_state state);
    void (*drain)(union any_lock *lock);
    void (*switch_to)(union any_lock *lock, enum twostate_state to);
    double (*drains_alone)(union any_lock *lock); /* ns for one */
    double (*switches_alone)(union any_lock *lock);
};

#define X(peer)                                                                                    \
    static void do_acquire_##peer(union any_lock *lock, enum twostate_state state)                 \
    {                                                                                              \
        acquire_##peer(&lock->peer, state);                                                        \
    }                                                                                              \
    static void do_release_##peer(union any_lock *lock, enum twostate_state state)                 \
    {                                                                                              \
        release_##peer(&lock->peer, state);                                                        \
    }                                                                                              \
    static void do_drain_##peer(union any_lock *lock)                                              \
    {                                                                                              \
        drain_##peer(&lock->peer);                                                                 \
    }                                                                                              \
    static void do_switch_##peer(union any_lock *lock, enum twostate_state to)                     \
    {                                                                                              \
        switch_##peer(&lock->peer, to);                                                            \
    }                                                                                              \
    static double drains_alone_##peer(union any_lock *lock)                                        \
    {                                                                                              \
        const uint64_t start = clock_ns();                                                         \
                                                                                                   \
        for (unsigned i = 0; i < BATCH; i++)                                                       \
            drain_##peer(&lock->peer);                                                             \
        return (double)(clock_ns() - start) / BATCH;                                               \
    }                                                                                              \
    static double switches_alone_##peer(union any_lock *lock)                                      \
    {                                                                                              \
        uint64_t start;                                                                            \
                                                                                                   \
        acquire_##peer(&lock->peer, TWOSTATE_A);                                                   \
        start = clock_ns();                                                                        \
        for (unsigned i = 0; i < BATCH; i += 2) {                                                  \
            switch_##peer(&lock->peer, TWOSTATE_B);                                                \
            switch_##peer(&lock->peer, TWOSTATE_A);                                                \
        }                                                                                          \
        start = clock_ns() - start;                                                                \
        release_##peer(&lock->peer, TWOSTATE_A);                                                   \
        return (double)start / BATCH;                                                              \
    }
BENCH_DRAINABLE(X)
#undef X

static const struct peer peers[] = {
#define X(peer)                                                                                    \
    {#peer,                                                                                        \
     do_acquire_##peer,                                                                            \
     do_release_##peer,                                                                            \
     do_drain_##peer,                                                                              \
     do_switch_##peer,                                                                             \
     drains_alone_##peer,                                                                          \
     switches_alone_##peer},
    BENCH_DRAINABLE(X)
#undef X
};

#define PEERS (sizeof(peers) / sizeof(peers[0]))

/* What the waiters wait to do, and the step that lets them. */
enum what {
    WAKE,        /* they acquire B; A is released */
    DRAIN,       /* they drain; A is released */
    SWITCH,      /* one holds A too and switches to B; the other A is released */
    LET_IN,      /* they acquire B; A is switched to B */
    DRAIN_ALONE, /* nobody waits: the cost of the call */
    SWITCH_ALONE,
};

static const struct measured {
    const char *name;
    const char *says;
    enum what what;
    unsigned waiters;
} measured[] = {
    {"wake_1", "us, release of A to the acquire of B that slept", WAKE, 1},
    {"wake_8", "us, the same to the last of eight sleepers", WAKE, 8},
    {"drain", "us, last release to the drain that slept", DRAIN, 1},
    {"switch", "us, the other's release to the switch that slept", SWITCH, 1},
    {"switch_wakes", "us, a switch to B to the acquire of B that slept", LET_IN, 1},
    {"drain_alone", "ns, a drain of an unlocked lock", DRAIN_ALONE, 0},
    {"switch_alone", "ns, a switch of the only holder", SWITCH_ALONE, 0},
};

#define MEASURED (sizeof(measured) / sizeof(measured[0]))

struct contest {
    union any_lock lock;
    const struct peer *peer;
    enum what what;
    unsigned rounds;
    pthread_barrier_t barrier; /* twice a round: the waiters set off; they are all out again */
    uint64_t in_at[MAX_WAITERS];
};

struct sleeper {
    pthread_t thread;
    struct contest *contest;
    unsigned index;
};

static void wait_for_it(struct contest *contest, uint64_t *in_at)
{
    const struct peer *peer = contest->peer;

    if (contest->what == DRAIN)
        peer->drain(&contest->lock);
    else if (contest->what == SWITCH)
        peer->switch_to(&contest->lock, TWOSTATE_B);
    else
        peer->acquire(&contest->lock, TWOSTATE_B);
    *in_at = clock_ns();
    if (contest->what != DRAIN)
        peer->release(&contest->lock, TWOSTATE_B);
}

static void *be_sleeper(void *arg)
{
    struct sleeper *sleeper = arg;
    struct contest *contest = sleeper->contest;

    for (unsigned round = 0; round < contest->rounds; round++) {
        if (contest->what == SWITCH)
            contest->peer->acquire(&contest->lock, TWOSTATE_A);
        pthread_barrier_wait(&contest->barrier);
        wait_for_it(contest, &contest->in_at[sleeper->index]);
        pthread_barrier_wait(&contest->barrier);
    }
    return NULL;
}

/* One round, from the side of the thread that lets the others in. In us. */
static double play(struct contest *contest, unsigned waiters)
{
    const struct peer *peer = contest->peer;
    uint64_t start, last = 0;

    peer->acquire(&contest->lock, TWOSTATE_A);
    pthread_barrier_wait(&contest->barrier);
    clock_sleep(ASLEEP_NS);
    start = clock_ns();
    if (contest->what == LET_IN) {
        peer->switch_to(&contest->lock, TWOSTATE_B);
        peer->release(&contest->lock, TWOSTATE_B);
    } else {
        peer->release(&contest->lock, TWOSTATE_A);
    }
    pthread_barrier_wait(&contest->barrier);
    for (unsigned i = 0; i < waiters; i++)
        last = contest->in_at[i] > last ? contest->in_at[i] : last;
    return (double)(last - start) / 1000;
}

static double median_of_rounds(struct contest *contest, unsigned waiters)
{
    struct sleeper sleepers[MAX_WAITERS];
    double took[ROUNDS];

    pthread_barrier_init(&contest->barrier, NULL, waiters + 1);
    for (unsigned i = 0; i < waiters; i++) {
        sleepers[i] = (struct sleeper){.contest = contest, .index = i};
        if (pthread_create(&sleepers[i].thread, NULL, be_sleeper, &sleepers[i]) != 0) {
            fputs("bench_lock: can't make a thread\n", stderr);
            exit(1);
        }
    }
    for (unsigned round = 0; round < contest->rounds; round++)
        took[round] = play(contest, waiters);
    for (unsigned i = 0; i < waiters; i++)
        pthread_join(sleepers[i].thread, NULL);
    pthread_barrier_destroy(&contest->barrier);
    return report_median(took, contest->rounds);
}

static double measure(const struct measured *m, const struct peer *peer, unsigned rounds)
{
    static struct contest contest;

    memset(&contest, 0, sizeof(contest));
    contest.peer = peer;
    contest.what = m->what;
    contest.rounds = rounds;
    if (m->what == DRAIN_ALONE)
        return peer->drains_alone(&contest.lock);
    if (m->what == SWITCH_ALONE)
        return peer->switches_alone(&contest.lock);
    return median_of_rounds(&contest, m->waiters);
}

static void print_table(double result[MEASURED][PEERS])
{
    printf("medians; ratio: mutex_cond's over twostate's\n\n%-54s", "");
    for (unsigned p = 0; p < PEERS; p++)
        printf(" %11s", peers[p].name);
    printf(" %7s\n", "ratio");
    for (unsigned m = 0; m < MEASURED; m++) {
        printf("%-54s", measured[m].says);
        for (unsigned p = 0; p < PEERS; p++)
            printf(" %11.2f", result[m][p]);
        printf(" %7.2f\n", result[m][1] / result[m][0]);
    }
}

static json_t *to_json(double result[MEASURED][PEERS])
{
    json_t *rows = json_array();

    for (unsigned m = 0; m < MEASURED; m++)
        for (unsigned p = 0; p < PEERS; p++)
            json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:o}", "lock", peers[p].name,
                                                  "what", measured[m].name, "unit",
                                                  measured[m].what >= DRAIN_ALONE ? "ns" : "us",
                                                  "median", report_number(result[m][p])));
    return rows;
}

static bool draw(const char *path, double result[MEASURED][PEERS])
{
    FILE *plot = report_plot_begin(path, 800, 480);

    if (plot == NULL)
        return false;
    fputs("$data << END\n", plot);
    for (unsigned m = 0; m < MEASURED; m++)
        if (measured[m].what < DRAIN_ALONE)
            fprintf(plot, "%s %f %f\n", measured[m].name, result[m][0], result[m][1]);
    fprintf(plot,
            "END\nset title 'from the step that lets a sleeper in until it is in'\n"
            "set style data histogram\nset style fill solid 0.7\nset key top left noenhanced\n"
            "set xtics noenhanced\nset ylabel 'us'\nset yrange [0:*]\nset grid y\n"
            "plot $data using 2:xtic(1) title '%s', '' using 3 title '%s'\n",
            peers[0].name, peers[1].name);
    return report_plot_end(plot);
}

int latency_main(const struct options *options)
{
    const unsigned rounds = options->quick ? QUICK_ROUNDS : ROUNDS;
    double result[MEASURED][PEERS];
    double *runs = calloc(PEERS * options->runs, sizeof(*runs));
    bool ok;

    if (runs == NULL)
        return 1;
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    for (unsigned m = 0; m < MEASURED; m++) {
        report_progress(m, MEASURED, measured[m].name);
        for (unsigned run = 0; run < options->runs; run++)
            for (unsigned p = 0; p < PEERS; p++)
                runs[p * options->runs + run] = measure(&measured[m], &peers[p], rounds);
        for (unsigned p = 0; p < PEERS; p++)
            result[m][p] = report_median(runs + (size_t)p * options->runs, options->runs);
    }
    report_progress(MEASURED, MEASURED, "");
    free(runs);
    print_table(result);
    ok = report_json(options->json, to_json(result));
    if (options->plot != NULL)
        ok = draw(options->plot, result) && ok;
    return ok ? 0 : 1;
}
