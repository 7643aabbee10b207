/* SPDX-License-Identifier: MIT */
/*
 * Records what threads call on a lock and what they are told, and checks that it is linearizable:
 * that a lock which does one thing at a time could have told the same. Exits with 0 if the real
 * lock's histories are, or if a broken one's is not.
 *
 *   stress_history [--subject NAME] [--threads N] [--seconds N | --calls N] [--seed N]
 *
 * Histories are recorded one after another, on a new lock each; the long form is --calls 10000000.
 * In every other one nobody waits: then every failure must have a reason that can be seen, for there
 * is no waiter that the lock may be kept for (see sequential.h). Events are numbered by one counter,
 * before a call and after its return, so their order is one that really was.
 */
#include "linear.h"

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

#define MOST_THREADS 12
#define MOST_EVENTS  100000
#define ROOM         (MOST_EVENTS + 100 * (MOST_THREADS + 1)) /* who began to hold goes on */

/* A hold that its owner left to whoever finds it. */
struct left {
    uint32_t full;
    struct hold hold;
};

struct caller {
    struct task task;
    unsigned number;
    uint64_t random;
    uint64_t operations;
    struct left left;
    /* Its asynchronous acquire. */
    struct twostate_waiter waiter;
    struct hold queued;
    uint32_t granted;
};

static struct {
    const struct subject *subject;
    unsigned threads; /* 0: as the seed says */
    uint32_t seconds;
    uint64_t calls;
    uint64_t seed;
} options = {.seconds = 5};

static unsigned threads;

static struct event events[ROOM];
static uint32_t event_count;
static union object object;
static struct caller callers[MOST_THREADS + 1]; /* the last one is for the completion side */
static _Thread_local struct caller *self;
static bool nobody_waits;
static uint64_t history_seed;

static uint32_t below(uint32_t limit)
{
    return random_below(&self->random, limit);
}

/* Slots for pending calls: a caller has one for itself, its queued waiter and its callbacks each. */
enum slot_use {
    SLOT_CALL,
    SLOT_QUEUED,
    SLOT_CALLBACK,
};

static uint8_t slot_of(const struct caller *caller, enum slot_use use)
{
    return (uint8_t)(caller->number * 3 + use);
}

static void record(uint8_t slot, bool returns, struct call call)
{
    const uint32_t at = __atomic_fetch_add(&event_count, 1, __ATOMIC_SEQ_CST);

    CHECK(at < ROOM);
    events[at] = (struct event){.slot = slot, .returns = returns, .call = call};
}

static void record_return(uint8_t slot, enum outcome outcome)
{
    record(slot, true, (struct call){.outcome = (uint8_t)outcome});
}

static bool full(void)
{
    return load(&event_count) >= MOST_EVENTS;
}

static _Noreturn void stop(const char *what, int status)
{
    printf("%s: %s (--threads %u --seed %" PRIu64 ")\n", options.subject->name, what, threads,
           history_seed);
    fflush(stdout);
    _exit(status);
}

/* Calls, recorded. */

static enum how any_how(void)
{
    const uint32_t how = below(8);

    if (nobody_waits)
        return HOW_TRY;
    if (how < 3)
        return HOW_WAIT;
    if (how < 5)
        return HOW_TRY;
    return how < 7 ? HOW_TIMED : HOW_ASYNC;
}

struct attempt {
    enum how how;
    struct timespec deadline;
};

static struct attempt any_attempt(void)
{
    struct attempt attempt = {.how = any_how()};
    const uint32_t ms = below(3);

    if ((attempt.how == HOW_TIMED || attempt.how == HOW_ASYNC) && ms > 0)
        attempt.deadline = after_ms((long)ms - 1);
    return attempt;
}

/* A waiter that gives up is not asked whether the lock is free just then. */
static enum outcome outcome_of(const struct attempt *attempt, int result)
{
    if (result == 0)
        return OUTCOME_DONE;
    if (attempt->how == HOW_WAIT && result != -EDEADLK)
        stop("a call that waits failed", 1);
    return attempt->how == HOW_ASYNC && result == -ETIMEDOUT ? OUTCOME_WITHDRAWN : OUTCOME_REFUSED;
}

static bool take(struct hold *hold)
{
    const struct attempt attempt = any_attempt();
    const uint8_t slot = slot_of(self, SLOT_CALL);
    int result = 0;

    record(slot, false,
           (struct call){.kind = CALL_TAKE,
                         .mode = (uint8_t)hold->mode,
                         .n = (uint16_t)hold->n,
                         .waits = attempt.how != HOW_TRY});
    result = options.subject->take(&object, hold, attempt.how, &attempt.deadline);
    record_return(slot, outcome_of(&attempt, result));
    return result == 0;
}

static void give(struct hold *hold, enum slot_use use)
{
    const uint8_t slot = slot_of(self, use);

    while (hold->n > 0) {
        const uint32_t n = hold->n > 1 && below(2) == 0 ? 1 + below(hold->n) : hold->n;

        hold->n -= n;
        record(slot, false,
               (struct call){.kind = CALL_GIVE, .mode = (uint8_t)hold->mode, .n = (uint16_t)n});
        options.subject->give(&object, hold, n);
        record_return(slot, OUTCOME_DONE);
    }
}

static void join(struct hold *hold)
{
    const uint8_t slot = slot_of(self, SLOT_CALL);

    record(slot, false, (struct call){.kind = CALL_JOIN, .mode = (uint8_t)hold->mode, .n = 1});
    CHECK(options.subject->join(&object, hold) == 0);
    hold->n++;
    record_return(slot, OUTCOME_DONE);
}

static void change(struct hold *hold, enum mode to)
{
    const struct attempt attempt = any_attempt();
    const uint8_t slot = slot_of(self, SLOT_CALL);
    int result = 0;

    record(slot, false,
           (struct call){.kind = CALL_CHANGE,
                         .mode = (uint8_t)hold->mode,
                         .to = (uint8_t)to,
                         .waits = attempt.how != HOW_TRY});
    result = options.subject->change(&object, hold, to, attempt.how, &attempt.deadline);
    if (result == 0)
        hold->mode = to;
    record_return(slot, outcome_of(&attempt, result));
}

/* There is no drain that does not wait: one whose deadline is past waits for a moment. */
static void drain(void)
{
    const struct attempt attempt = any_attempt();
    const uint8_t slot = slot_of(self, SLOT_CALL);
    int result = 0;

    record(slot, false, (struct call){.kind = CALL_DRAIN, .mode = MODE_NONE, .waits = true});
    result = options.subject->drain(&object, attempt.how, &attempt.deadline);
    record_return(slot, outcome_of(&attempt, result));
}

static void look(void)
{
    const uint8_t slot = slot_of(self, SLOT_CALL);
    struct view view;

    record(slot, false, (struct call){.kind = CALL_LOOK, .mode = MODE_NONE});
    view = options.subject->look(&object);
    record(slot, true, (struct call){.seen = (uint8_t)view.mode, .n = (uint16_t)view.holds});
}

/* In the thread that made room. */
static void granted(struct twostate_waiter *waiter, int result)
{
    struct caller *owner = waiter->context;

    CHECK(result == 0);
    record_return(slot_of(owner, SLOT_QUEUED), OUTCOME_DONE);
    give(&owner->queued, SLOT_CALLBACK);
    store(&owner->granted, 1);
}

static void queue(const struct hold *hold)
{
    const uint8_t slot = slot_of(self, SLOT_QUEUED);
    int result = 0;

    self->queued = *hold;
    self->waiter.done = granted;
    self->waiter.context = self;
    store(&self->granted, 0);
    record(
        slot, false,
        (struct call){
            .kind = CALL_TAKE, .mode = (uint8_t)hold->mode, .n = (uint16_t)hold->n, .waits = true});
    result = options.subject->queue(&object, &self->queued, &self->waiter);
    CHECK(result == 0 || result == -EINPROGRESS);
    if (result == 0) {
        record_return(slot, OUTCOME_DONE);
        give(&self->queued, SLOT_CALL);
        return;
    }
    look();
    if (below(2) == 0 && options.subject->cancel(&self->waiter)) {
        record_return(slot, OUTCOME_WITHDRAWN);
        return;
    }
    while (load(&self->granted) == 0) /* the completion side sees to that */
        sched_yield();
}

/* What the callers do. */

static void stay(void)
{
    if (below(4) == 0)
        sched_yield();
    if (below(4) == 0)
        look();
}

static void take_left(struct caller *caller)
{
    uint32_t is_full = 2;

    if (__atomic_compare_exchange_n(&caller->left.full, &is_full, 1, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED)) {
        give(&caller->left.hold, SLOT_CALL);
        store(&caller->left.full, 0);
    }
}

static struct hold any_hold(void)
{
    const unsigned can = options.subject->can;
    struct hold hold = {.mode = below(2) ? MODE_B : MODE_A, .n = 1};

    if ((can & CAN_FREEZE) != 0 && below(8) == 0)
        hold.mode = MODE_FROZEN;
    else if ((can & CAN_N) != 0 && below(4) == 0)
        hold.n = 1 + below(3);
    return hold;
}

static void hold_for_a_while(struct hold *hold)
{
    const unsigned can = options.subject->can;
    const uint32_t kind = below(8);
    enum mode to = hold->mode == MODE_A ? MODE_B : MODE_A;

    stay();
    if (kind == 0 && hold->n == 1 && (can & CAN_SWITCH) != 0) {
        if (hold->mode == MODE_FROZEN && below(2) == 0)
            to = MODE_B;
        change(hold, to);
    } else if (kind == 0 && hold->mode == MODE_B && (can & CAN_DEMOTE) != 0) {
        change(hold, MODE_A);
    } else if (kind == 1 && hold->mode != MODE_FROZEN && (can & CAN_JOIN) != 0) {
        join(hold);
    }
    stay();
    if (below(16) == 0 && load(&self->left.full) == 0) {
        self->left.hold = *hold;
        store(&self->left.full, 2);
    } else {
        give(hold, SLOT_CALL);
    }
}

static void operate(void)
{
    const uint32_t kind = below(16);
    struct hold hold = any_hold();

    take_left(&callers[below(threads)]);
    if (kind == 0 && (options.subject->can & CAN_DRAIN) != 0)
        drain();
    else if (kind == 1 && !nobody_waits)
        queue(&hold);
    else if (kind == 2)
        look();
    else if (take(&hold))
        hold_for_a_while(&hold);
}

static void call(void *caller)
{
    self = caller;
    while (!full()) {
        self->random = random_stream(history_seed, self->number, self->operations++);
        operate();
    }
}

static bool all_done(void)
{
    for (unsigned i = 0; i < threads; i++)
        if (!task_done(&callers[i].task))
            return false;
    return true;
}

/* The completion side: gives back what was left, while the callers run. */
static void complete(void)
{
    const long patience_ms = options.subject->broken ? 5000 : 60000;
    struct timespec limit = after_ms(patience_ms);
    uint32_t seen = 0;

    while (!all_done()) {
        for (unsigned i = 0; i < threads; i++)
            take_left(&callers[i]);
        if (load(&event_count) != seen)
            limit = after_ms(patience_ms);
        else if (is_past(&limit))
            stop("a thread waits for ever", options.subject->broken ? 0 : 1);
        seen = load(&event_count);
        usleep(100);
    }
}

static pthread_t thread_of(uint32_t i)
{
    return callers[i].task.thread;
}

static void record_history(uint64_t seed)
{
    static const unsigned counts[] = {2, 3, 4, 6, 8, MOST_THREADS};
    const bool signals = seed / 32 % 2 == 0;

    history_seed = seed;
    nobody_waits = seed % 2 == 0;
    threads = options.threads > 0 ? options.threads : counts[seed / 4 % 6];
    event_count = 0;
    options.subject->make(&object, seed / 2 % 2 ? 0 : TWOSTATE_PATIENCE_DEFAULT, false);
    for (unsigned i = 0; i <= threads; i++)
        callers[i] = (struct caller){.number = i, .random = random_stream(seed, i, 0)};
    self = &callers[threads];
    for (unsigned i = 0; i < threads; i++)
        task_start(&callers[i].task, call, &callers[i]);
    if (signals)
        noise_start(seed, threads, thread_of);
    complete();
    if (signals)
        noise_stop();
    for (unsigned i = 0; i < threads; i++) {
        task_join(&callers[i].task);
        take_left(&callers[i]);
    }
    look();
}

/* Ends the program if the history can't be right. Returns the sets that the search needed. */
static size_t check_history(void)
{
    const struct linear_result result = linear_check(events, event_count, options.subject->alone);

    if (result.ok)
        return result.most;
    if (!result.complete || result.too_large)
        stop(result.complete ? "a history was too hard to check" : "a history is not complete", 1);
    linear_print(events, result.event);
    printf("%s: a history is not linearizable: event %zu of %u (--threads %u --seed %" PRIu64 ")\n",
           options.subject->name, result.event, event_count, threads, history_seed);
    fflush(stdout);
    _exit(options.subject->broken ? 0 : 1);
}

static void run(void)
{
    const struct timespec end = after_ms(options.seconds * 1000L);
    uint64_t seeds = options.seed;
    uint64_t seed = options.seed; /* the first one as given, so that a finding can be repeated */
    uint64_t histories = 0;
    uint64_t calls = 0;
    size_t most = 0;

    do {
        size_t sets = 0;

        record_history(seed);
        sets = check_history();
        most = sets > most ? sets : most;
        calls += event_count / 2;
        histories++;
        seed = random_next(&seeds);
        if (isatty(STDOUT_FILENO))
            printf("\r%" PRIu64 " calls", calls);
        fflush(stdout);
    } while (options.calls > 0 ? calls < options.calls : !is_past(&end));
    printf("%s%s: %" PRIu64 " calls in %" PRIu64 " histories are linearizable; at most %zu sets\n",
           isatty(STDOUT_FILENO) ? "\r" : "", options.subject->name, calls, histories, most);
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"subject", required_argument, NULL, 's'}, {"threads", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 'd'}, {"calls", required_argument, NULL, 'c'},
        {"seed", required_argument, NULL, 'r'},    {NULL, 0, NULL, 0},
    };
    int option = 0;

    options.subject = &subject_lock;
    /* Even: nobody waits in the first history, so that no broken lock hangs before it is checked. */
    options.seed = ((uint64_t)time(NULL) ^ (uint64_t)getpid() << 32) & ~UINT64_C(1);
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 's')
            options.subject = subject_find(optarg);
        else if (option == 't')
            options.threads = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'd')
            options.seconds = (uint32_t)strtoul(optarg, NULL, 10);
        else if (option == 'c')
            options.calls = strtoull(optarg, NULL, 10);
        else if (option == 'r')
            options.seed = strtoull(optarg, NULL, 10);
        else
            exit(2);
    }
    if (options.subject == NULL || options.subject == &subject_pair ||
        options.threads > MOST_THREADS) {
        fprintf(stderr, "stress_history: no such subject, or too many threads\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    printf("%s: seed %" PRIu64 "\n", options.subject->name, options.seed);
    fflush(stdout);
    run();
    return options.subject->broken ? 1 : 0;
}
