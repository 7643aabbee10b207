/* SPDX-License-Identifier: MIT */
/*
 * Counting: a tally for each class of locks, to which all threads add without a lock.
 *
 * A counter is added to with a relaxed atomic operation and belongs to nothing else, so a tally
 * never makes two threads wait for each other; nor does it order anything, so it hides no race
 * from ThreadSanitizer. (These atomics are not in sys.h: no lock depends on them, and what explores
 * the locks' schedules leaves them out.)
 */
#include "stats.h"

#include <twostate/stats.h>

#include "../common/hist.h"
#include "aligned.h"
#include "class.h"
#include "holds.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The histogram's `total` is not used: a snapshot counts the buckets. */
struct times {
    uint64_t total_ns;
    struct hist hist;
};

struct tally_group {
    uint64_t acquires;
    uint64_t waits;
    uint64_t refused;
    uint64_t impatient;
    uint64_t grants;
    uint64_t looks;
    uint64_t sleeps;
    uint64_t mode_switches;
    struct times wait;
    struct times hold;
};

/* Nothing but counters, so that reset need not know them; all aligned, as the first one is. */
struct counters {
    aligned_u64 longest_queue;
    struct tally_group groups[3];
};

struct tally {
    const struct twostate_class *cls;
    bool exclusive;
    struct counters counters;
};

/* In the order in which something was first counted of them. What is here stays. */
#define TALLIES 128

static struct tally *tallies[TALLIES];

static void add(uint64_t *of, uint64_t by)
{
    aligned_u64 *counter = of;

    __atomic_fetch_add(counter, by, __ATOMIC_RELAXED);
}

static uint64_t get(const uint64_t *of)
{
    const aligned_u64 *counter = of;

    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void raise_to(uint64_t *of, uint64_t value)
{
    aligned_u64 *counter = of;
    uint64_t seen = get(of);

    while (seen < value && !__atomic_compare_exchange_n(counter, &seen, value, false,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void add_time(struct times *times, int64_t ns, uint64_t count)
{
    const uint64_t time = ns > 0 ? (uint64_t)ns : 0;

    raise_to(&times->hist.max, time);
    add(&times->total_ns, time * count);
    add(&times->hist.counts[hist_bucket(time)], count);
}

/* Memory is of the kernel, not of malloc: an allocator may use locks of ours. */
static struct tally *tally_new(const struct twostate_class *cls, bool exclusive)
{
    struct tally *tally =
        mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (tally == MAP_FAILED)
        return NULL;
    tally->cls = cls;
    tally->exclusive = exclusive;
    return tally;
}

/* NULL: there is no room, and what should have been counted is not. */
static struct tally *tally_of_class(const struct twostate_class *cls, bool exclusive)
{
    struct tally *mine = NULL;
    struct tally *found = NULL;

    for (unsigned i = 0; i < TALLIES; i++) {
        found = __atomic_load_n(&tallies[i], __ATOMIC_ACQUIRE);
        if (found == NULL && mine == NULL && (mine = tally_new(cls, exclusive)) == NULL)
            return NULL;
        if (found == NULL && __atomic_compare_exchange_n(&tallies[i], &found, mine, false,
                                                         __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
            return mine;
        if (found->cls == cls && found->exclusive == exclusive)
            break;
        found = NULL;
    }
    if (mine != NULL)
        munmap(mine, sizeof(*mine));
    return found;
}

static struct tally *tally_of(const struct twostate_lock *lock, bool exclusive)
{
    return tally_of_class(class_of_(lock, exclusive), exclusive);
}

void stats_held_(const struct watch_call *call)
{
    struct tally *tally = tally_of(call->lock, call->exclusive);

    if (tally != NULL)
        add(&tally->counters.groups[call->group].acquires, call->holds > 0);
}

void stats_waited_(const struct watch_wait *wait, int64_t ns)
{
    struct tally *tally = tally_of(wait->lock, wait->exclusive);
    struct tally_group *group = NULL;

    if (tally == NULL)
        return;
    group = &tally->counters.groups[wait->group];
    add(&group->waits, 1);
    add(&group->refused, wait->result != 0);
    add(&group->impatient, wait->impatient);
    add(&group->grants, wait->async && wait->result == 0);
    add(&group->looks, wait->looks);
    add(&group->sleeps, wait->sleeps);
    add_time(&group->wait, ns, 1);
    raise_to(&tally->counters.longest_queue, wait->queue);
}

void stats_phase_(const struct twostate_lock *lock, bool exclusive, enum group from)
{
    struct tally *tally = tally_of(lock, exclusive);

    if (tally != NULL)
        add(&tally->counters.groups[from].mode_switches, 1);
}

void stats_hold_over_(const struct hold *hold, int64_t now_ns)
{
    struct tally *tally = tally_of_class(hold->cls, hold->exclusive);

    if (tally != NULL)
        add_time(&tally->counters.groups[hold->group].hold, now_ns - hold->since, hold->count);
}

static void read_times(struct times *from, struct twostate_stats_times *to)
{
    struct hist hist = {.total = 0};

    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        const unsigned power =
            i < HIST_STEPS ? 31U - (unsigned)__builtin_clz(i | 1) : i / HIST_STEPS + 4;

        hist.counts[i] = get(&from->hist.counts[i]);
        hist.total += hist.counts[i];
        to->buckets[power < TWOSTATE_STATS_BUCKETS ? power : TWOSTATE_STATS_BUCKETS - 1] +=
            hist.counts[i];
    }
    hist.max = get(&from->hist.max);
    to->count = hist.total;
    to->total_ns = get(&from->total_ns);
    to->max_ns = hist.max;
    to->p50_ns = hist_percentile(&hist, 0.5);
    to->p99_ns = hist_percentile(&hist, 0.99);
    to->p999_ns = hist_percentile(&hist, 0.999);
}

static void read_group(struct tally_group *from, struct twostate_stats_group *to)
{
    to->acquires = get(&from->acquires);
    to->waits = get(&from->waits);
    to->refused = get(&from->refused);
    to->impatient = get(&from->impatient);
    to->grants = get(&from->grants);
    to->looks = get(&from->looks);
    to->sleeps = get(&from->sleeps);
    to->mode_switches = get(&from->mode_switches);
    read_times(&from->wait, &to->wait);
    read_times(&from->hold, &to->hold);
}

bool twostate_stats_snapshot(unsigned number, struct twostate_stats *stats)
{
    struct tally *tally =
        number < TALLIES ? __atomic_load_n(&tallies[number], __ATOMIC_ACQUIRE) : NULL;

    if (tally == NULL)
        return false;
    *stats = (struct twostate_stats){
        .name = tally->cls->name,
        .iolock = tally->exclusive,
        .longest_queue = get(&tally->counters.longest_queue),
    };
    for (unsigned i = 0; i < 3; i++)
        read_group(&tally->counters.groups[i], &stats->groups[i]);
    return true;
}

void twostate_stats_reset(void)
{
    for (unsigned number = 0; number < TALLIES; number++) {
        struct tally *tally = __atomic_load_n(&tallies[number], __ATOMIC_ACQUIRE);

        if (tally == NULL)
            return;
        for (size_t i = 0; i < sizeof(tally->counters) / sizeof(uint64_t); i++)
            __atomic_store_n((aligned_u64 *)&tally->counters + i, 0, __ATOMIC_RELAXED);
    }
}

void twostate_stats_enable(void)
{
    __atomic_fetch_or(&watch_mask_, WATCH_STATS, __ATOMIC_RELEASE);
}

/* What the value of the environment variable asks for. */
enum asked { ASKED_NOTHING, ASKED_COUNTS, ASKED_TEXT, ASKED_JSON, ASKED_UNKNOWN };

static enum asked asked_for(const char *value)
{
    static const struct {
        const char *value;
        enum asked asked;
    } known[] = {{"", ASKED_NOTHING},
                 {"0", ASKED_NOTHING},
                 {"1", ASKED_COUNTS},
                 {"text", ASKED_TEXT},
                 {"json", ASKED_JSON}};

    if (value == NULL)
        return ASKED_NOTHING;
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(value, known[i].value) == 0)
            return known[i].asked;
    return ASKED_UNKNOWN;
}

/* Before the constructors of the program, which may use locks. */
__attribute__((constructor(101))) static void enable_by_environment(void)
{
    const char *value = secure_getenv("TWOSTATE_STATS");
    const enum asked asked = asked_for(value);

    if (asked == ASKED_UNKNOWN)
        fprintf(stderr,
                "twostate: TWOSTATE_STATS: '%s' means nothing, so it is taken for 1; known are 0 "
                "(off), 1 (on), text and json (on, and written at exit)\n",
                value);
    if (asked != ASKED_NOTHING)
        twostate_stats_enable();
}

__attribute__((destructor)) static void print_at_exit(void)
{
    const enum asked asked = asked_for(secure_getenv("TWOSTATE_STATS"));

    if (asked == ASKED_TEXT)
        twostate_stats_print(stderr, TWOSTATE_STATS_TEXT);
    else if (asked == ASKED_JSON)
        twostate_stats_print(stderr, TWOSTATE_STATS_JSON);
}
