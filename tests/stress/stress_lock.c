/* SPDX-License-Identifier: MIT */
/*
 * Torture: random calls of every kind by 1 to 300 threads, on a real lock or on one that is broken
 * on purpose, while the machine is disturbed. Exits with 0 if the real lock kept its guarantees, or
 * if a broken one was found out.
 *
 *   stress_lock [--subject NAME] [--threads N] [--seconds N | --ops N] [--seed N] [--noise LIST]
 *
 * It goes in rounds, each of so many threads as the seed says (or --threads). The seed decides what
 * each thread does; the order between threads is the machine's. LIST: none, or some of signals,
 * stop, pin, separated by commas; by default all of them, each in some of the rounds. --ops is the sum of all threads and
 * rounds: the long form is --ops 1000000000.
 *
 * Checked: that states exclude each other, with plain data for ThreadSanitizer (G1, G11); that holds
 * are conserved (G2); that every thread comes on (G3); that what one thread acquired another can
 * release (G6); that a lock may be freed as soon as it is seen unlocked (G7); that drains wait (G8);
 * that a lock that nobody uses is at rest (G9); that waiters are granted or cancelled, once.
 */
#include "torture.h"

#include "noise.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct torture torture;
_Thread_local struct worker *self;

static struct {
    uint32_t threads; /* 0: as the seed says */
    uint32_t seconds;
    uint64_t operations;
    uint64_t seed;
    const char *noise;
} options = {.seconds = 5, .noise = "signals,stop,pin"};

static uint32_t completion_ends;

static void report_threads(void)
{
    for (uint32_t i = 0; i < torture.threads + SIDE_THREADS; i++) {
        const struct worker *worker = &torture.workers[i];
        const char *what = __atomic_load_n(&worker->doing, __ATOMIC_RELAXED);
        const struct place *place = __atomic_load_n(&worker->at, __ATOMIC_RELAXED);

        printf("thread %u, operation %u: %s", i, load(&worker->operations), what ? what : "-");
        if (place != NULL)
            printf(" at lock %ld", (long)(place - torture.places));
        for (unsigned e = 0; e < ENTRIES; e++)
            if (__atomic_load_n(&worker->entries[e].serial, __ATOMIC_RELAXED) != 0)
                printf("; holds lock %ld (mode %d)",
                       (long)(worker->entries[e].place - torture.places),
                       (int)worker->entries[e].hold->mode);
        printf("\n");
    }
    for (unsigned i = 0; i < PLACES; i++) {
        const union object *object = torture.places[i].object;
        const struct view view = torture.subject->look(object);

        printf("lock %u: mode %d, %u holds, %u waiting, %u requests, words %#" PRIx64 " %#" PRIx64
               "\n",
               i, (int)view.mode, view.holds, view.waiting, load(&torture.places[i].queued),
               object->pair.iolock_.lock_.word_, object->pair.iotype_.word_);
    }
}

_Noreturn void found(const char *what)
{
    static uint32_t already;

    if (add(&already, 1) != 1)
        for (;;)
            pause(); /* another thread's finding is on its way out */
    printf("%s: %s (--threads %u --seed %" PRIu64 ")\n", torture.subject->name, what,
           torture.threads, torture.seed);
    if (!torture.subject->broken)
        report_threads();
    fflush(stdout);
    _exit(torture.subject->broken ? 0 : 1);
}

static void stopped(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (number == SIGABRT)
        found("the library stopped the program");
    if (place_has(info->si_addr))
        found("G7: a lock was touched after it was freed");
    if (torture.subject->broken) /* what waits with it is freed too soon as well */
        found("the program crashed");
    signal(number, SIG_DFL); /* again, and for real */
}

static void catch_stops(void)
{
    struct sigaction action = {.sa_sigaction = stopped, .sa_flags = SA_SIGINFO};

    CHECK(sigaction(SIGABRT, &action, NULL) == 0);
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    CHECK(sigaction(SIGBUS, &action, NULL) == 0);
}

/* Gives back, grants and cancels what the workers left. Returns whether there was something. */
static bool complete_some(void)
{
    bool some = requests_complete();

    for (uint32_t i = 0; i < torture.threads; i++) {
        some = entries_adopt(&torture.workers[i]) || some;
        some = request_cancel_of(&torture.workers[i]) || some;
    }
    return some;
}

static bool requests_left(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (load(&torture.places[i].queued) != 0)
            return true;
    return false;
}

/* Until something is granted, or for a moment. */
static void await_grants(void)
{
    struct pollfd grants = {.fd = torture.grants.fd, .events = POLLIN};
    const struct timespec moment = {.tv_nsec = 50000};

    ppoll(&grants, 1, &moment, NULL);
}

static void run_completion(void *worker)
{
    self = worker;
    self->for_others = true;
    self->others = torture.seed;
    while (!load(&completion_ends) || requests_left()) {
        doing("completes for others", NULL);
        if (!complete_some())
            await_grants();
        add(&self->operations, 1);
    }
    complete_some();
    doing("is done", NULL);
}

/*
 * A thread that does not come on for long is behind: then the others end. If it does not come on even
 * so, it is parked behind nobody: G3, G9. (Many threads on a busy machine are slow, and between the
 * exclusive waiters of an IOLOCK nothing is promised.)
 */
static void check_progress(bool start)
{
    static uint32_t seen[MOST_THREADS + SIDE_THREADS];
    static struct timespec limits[MOST_THREADS + SIDE_THREADS];
    static bool behind[MOST_THREADS + SIDE_THREADS];
    const long patience_ms = torture.subject->broken ? 1500 : 45000;

    for (uint32_t i = 0; i < torture.threads + SIDE_THREADS; i++) {
        const struct worker *worker = &torture.workers[i];
        const uint32_t operations = load(&worker->operations);

        if (start || operations != seen[i] || task_done(&worker->task)) {
            seen[i] = operations;
            behind[i] = false;
            limits[i] = after_ms(patience_ms);
        } else if (is_past(&limits[i])) {
            if (behind[i])
                found("G3: a thread waits for ever");
            behind[i] = true;
            store(&torture.stop, 1);
            limits[i] = after_ms(patience_ms);
        }
    }
}

static bool all_done(void)
{
    for (uint32_t i = 0; i < torture.threads; i++)
        if (!task_done(&torture.workers[i].task))
            return false;
    return true;
}

static void start_round(uint64_t seed, uint32_t threads, uint64_t operations)
{
    static const uint32_t paces[] = {32, 1024, 16384};

    memset(torture.places, 0, sizeof(torture.places));
    torture.seed = seed;
    torture.threads = threads;
    torture.stop = 0;
    torture.pace = paces[seed / 16 % 3];
    for (uint32_t i = 0; i < threads + SIDE_THREADS; i++) {
        memset(&torture.workers[i], 0, sizeof(torture.workers[i]));
        torture.workers[i].number = i;
        torture.workers[i].limit = (uint32_t)(operations / threads) + 1;
    }
    self = &torture.workers[threads]; /* this thread makes the locks before the others are there */
    self->random = seed;
    places_start();
    CHECK(twostate_grants_init(&torture.grants) == 0);
    completion_ends = 0;
    task_start(&torture.workers[threads].task, run_completion, &torture.workers[threads]);
    for (uint32_t i = 0; i < threads; i++)
        task_start(&torture.workers[i].task, worker_run, &torture.workers[i]);
}

static pthread_t thread_of(uint32_t i)
{
    return torture.workers[i].task.thread;
}

/* Returns how many operations were done. */
static uint64_t run_round(uint64_t seed, uint32_t threads, uint64_t operations, long ms)
{
    const struct timespec end = after_ms(ms);
    const bool signals = strstr(options.noise, "signals") != NULL && seed % 4 == 0;
    struct worker *side = &torture.workers[threads];
    uint64_t done = 0;

    noise_stops(seed % 4 == 1);
    start_round(seed, threads, operations);
    if (signals)
        noise_start(seed, threads, thread_of);
    check_progress(true);
    while (!all_done()) {
        check_progress(false);
        if (is_past(&end))
            store(&torture.stop, 1);
        usleep(500);
    }
    store(&completion_ends, 1);
    while (!task_done(&side->task)) {
        check_progress(false);
        usleep(500);
    }
    if (signals)
        noise_stop();
    for (uint32_t i = 0; i < threads; i++) {
        task_join(&torture.workers[i].task);
        done += torture.workers[i].operations;
    }
    task_join(&side->task);
    self = side;
    places_stop();
    twostate_grants_destroy(&torture.grants);
    return done;
}

static uint32_t any_threads(uint64_t seed)
{
    static const uint32_t counts[] = {2, 3, 4, 4, 6, 8, 8, 16, 24, 64, 1, 300};

    return counts[seed / 64 % (sizeof(counts) / sizeof(counts[0]))];
}

static void progress(uint64_t rounds, uint64_t operations, bool end)
{
    if (isatty(STDOUT_FILENO) || end)
        printf("%s%s: %" PRIu64 " operations in %" PRIu64 " rounds%s",
               isatty(STDOUT_FILENO) ? "\r" : "", torture.subject->name, operations, rounds,
               end ? "\n" : "");
    fflush(stdout);
}

/* A round of one seed only, when --threads says how many: that is how a finding is repeated. */
static void run(void)
{
    const struct timespec end =
        after_ms(options.operations > 0 ? INT32_MAX : options.seconds * 1000L);
    const bool one = options.threads > 0;
    uint64_t seeds = options.seed;
    uint64_t rounds = 0;
    uint64_t done = 0;

    do {
        const uint64_t seed = one && rounds == 0 ? options.seed : random_next(&seeds);
        const uint32_t threads = one ? options.threads : any_threads(seed);
        const uint64_t left = options.operations - done;
        const uint64_t whole = threads <= 8 ? 400000 : threads <= 32 ? 100000 : 20000;
        const uint64_t most = options.operations > 0 && left < whole ? left : whole;

        if (strstr(options.noise, "pin") != NULL)
            noise_pin(seed / 4 % 4 == 0);
        done += run_round(seed, threads, most, options.operations > 0 ? INT32_MAX : 1000);
        rounds++;
        progress(rounds, done, false);
    } while (options.operations > 0 ? done < options.operations : !is_past(&end));
    progress(rounds, done, true);
}

static uint32_t number(const char *text, uint32_t most)
{
    const unsigned long value = strtoul(text, NULL, 10);

    return value > most ? most : (uint32_t)value;
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"subject", required_argument, NULL, 's'},
        {"threads", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 'd'},
        {"ops", required_argument, NULL, 'o'},
        {"seed", required_argument, NULL, 'r'},
        {"noise", required_argument, NULL, 'n'},
        {NULL, 0, NULL, 0},
    };
    int option = 0;

    torture.subject = subject_find("twostate");
    options.seed = (uint64_t)time(NULL) ^ (uint64_t)getpid() << 32;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 's')
            torture.subject = subject_find(optarg);
        else if (option == 't')
            options.threads = number(optarg, MOST_THREADS);
        else if (option == 'd')
            options.seconds = number(optarg, 1000000);
        else if (option == 'o')
            options.operations = strtoull(optarg, NULL, 10);
        else if (option == 'r')
            options.seed = strtoull(optarg, NULL, 10);
        else if (option == 'n')
            options.noise = optarg;
        else
            exit(2);
    }
    if (torture.subject == NULL) {
        fprintf(stderr, "stress_lock: no such subject\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    printf("%s: seed %" PRIu64 "\n", torture.subject->name, options.seed);
    fflush(stdout);
    if (strstr(options.noise, "stop") != NULL)
        noise_fork(options.seed);
    catch_stops();
    run();
    return torture.subject->broken ? 1 : 0;
}
