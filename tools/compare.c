/* SPDX-License-Identifier: MIT */
/*
 * The comparison has up to three parts. Each goes round the locks in turn, so that what else the
 * machine does falls on all of them alike; the order within a round changes from round to round.
 */
#include "compare.h"
#include "fsname.h"
#include "lost.h"
#include "report.h"
#include "slow.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCKS      DRIVER_COUNT
#define NONE       DRIVER_NONE
#define ROUNDS_MAX 64

/* What the parts take of the time, in proportion; all but RUNNING is preparation and checks. */
#define RUNNING     0.85
#define LOST_WEIGHT 5
#define TORN_WEIGHT 5
#define SLOW_WEIGHT 7

#define TORN_ROUNDS 2
#define SLOW_ROUNDS 7   /* at least, */
#define SLOW_ROUND  0.3 /* and more as long as each lasts so many seconds */
#define STARVED     0.1 /* of the operations of none */
#define LOST_ENOUGH 3   /* losses under none that end the first part early, */
#define LOST_ROUNDS 8   /* but not before so many rounds */

struct comparison {
    const struct options *options;
    unsigned parts;
    unsigned first, locks; /* of drivers[], and how many from there on */
    struct lost_result lost[LOCKS];
    struct load_options load;
    char title[64];
    struct load_result torn[LOCKS];
    struct slow_result slow[LOCKS];
    double rates[LOCKS][SLOW_SIDES][ROUNDS_MAX];
    unsigned slow_rounds;
};

static void tell(const char *what)
{
    printf("%s\n", what);
    fflush(stdout);
}

/* On a terminal, what is going on. rounds: how many there will be, 0 if time decides. */
static void show(struct comparison *c, const char *part, unsigned round, unsigned rounds,
                 unsigned lock)
{
    char of[16] = "";

    if (rounds > 0)
        snprintf(of, sizeof(of), " of %u", rounds);
    snprintf(c->title, sizeof(c->title), "%s, round %u%s, %s", part, round + 1, of,
             drivers[lock]->title);
    if (c->options->load.progress)
        fprintf(stderr, "\r%s \033[K", c->title);
}

static void show_end(const struct comparison *c)
{
    if (c->options->load.progress)
        fputs("\r\033[K", stderr);
}

/* Which goes i-th in a round. */
static unsigned turn(const struct comparison *c, unsigned round, unsigned i)
{
    return c->first + (i + round) % c->locks;
}

/* The end of a part: its exit status. A signal is no failure, but cuts it short. */
static int end_part(const struct comparison *c, const char *lock, int error, unsigned round,
                    unsigned rounds)
{
    show_end(c);
    if (load_interrupted && rounds > 0)
        printf("  cut short after %u of %u rounds\n", round, rounds);
    else if (load_interrupted)
        printf("  cut short after %u round%s\n", round, round == 1 ? "" : "s");
    if (error == 0 || (error == -EINTR && load_interrupted))
        return 0;
    fprintf(stderr, "twostate-io: %s under %s: %s\n", c->options->name, lock,
            driver_open_error(error));
    return 2;
}

static double seconds_of(const struct comparison *c, enum part part)
{
    static const unsigned weights[] = {
        [PART_LOST] = LOST_WEIGHT, [PART_TORN] = TORN_WEIGHT, [PART_SLOW] = SLOW_WEIGHT};
    unsigned all = 0;

    for (unsigned bit = 1; bit <= PART_SLOW; bit <<= 1)
        all += c->parts & bit ? weights[bit] : 0;
    return c->options->load.seconds * RUNNING * weights[part] / all;
}

static int run_lost(struct comparison *c)
{
    const struct options *options = c->options;
    int64_t end = now_ns() + (int64_t)(seconds_of(c, PART_LOST) * (double)NS_PER_S);

    tell(
        "lost on disk: direct writes, many in flight, beside buffered writes to other bytes of the "
        "same blocks");
    int error = lost_prepare(options->path);
    unsigned round = 0;

    for (; error == 0 && !load_interrupted; round += !load_interrupted) {
        if (round > 0 && now_ns() >= end)
            break;
        if (round >= LOST_ROUNDS && c->lost[NONE].direct_lost >= LOST_ENOUGH)
            break;
        for (unsigned i = 0; i < c->locks && error == 0 && !load_interrupted; i++) {
            unsigned lock = turn(c, round, i);

            show(c, "lost", round, 0, lock);
            error = lost_round(options->path, drivers[lock], &options->load.driver, round,
                               options->load.seed, &c->lost[lock]);
        }
    }
    show_end(c);
    return end_part(c, "lost", error, round, 0);
}

static void print_lost(const struct comparison *c)
{
    printf("  %-9s %-7s %7s %14s %10s %15s %10s %9s\n", "lock", "cache", "rounds", "direct writes",
           "lost", "buffered writes", "lost", "fsync EIO");
    for (unsigned i = c->first; i < LOCKS; i++) {
        const struct lost_result *lost = &c->lost[i];

        printf("  %-9s %-7s %7llu %14llu %10llu %15llu %10llu %9llu\n", drivers[i]->name,
               drivers[i]->cache, (unsigned long long)lost->rounds,
               (unsigned long long)lost->direct_writes, (unsigned long long)lost->direct_lost,
               (unsigned long long)lost->buffered_writes, (unsigned long long)lost->buffered_lost,
               (unsigned long long)lost->fsync_eio);
    }
    printf("  fsync EIO: how the kernel says that a direct write met cached data that it could not "
           "drop: the\n  cache may be stale.\n");
}

/* A few large blocks, which all threads are at. */
static void torn_options(struct comparison *c)
{
    struct load_options *load = &c->load;

    *load = c->options->load;
    memset(load->threads, 0, sizeof(load->threads));
    memset(load->rate, 0, sizeof(load->rate));
    load->threads[KIND_BUFFERED_READ] = 2;
    load->threads[KIND_BUFFERED_WRITE] = 1;
    load->threads[KIND_DIRECT_READ] = 1;
    load->threads[KIND_DIRECT_WRITE] = 1;
    load->layout = (struct layout_options){
        .block_sizes = {65536}, .block_size_count = 1, .size = 8 * INT64_C(65536)};
    load->depth = 1;
    load->ops = 0;
    load->title = c->title;
    load->seconds = seconds_of(c, PART_TORN) / (c->locks * TORN_ROUNDS);
}

static int run_torn(struct comparison *c)
{
    torn_options(c);
    tell("torn reads: 64 KiB, buffered and direct readers and writers on eight blocks");
    unsigned round = 0;

    for (; round < TORN_ROUNDS && !load_interrupted; round += !load_interrupted) {
        c->load.seed = c->options->load.seed + round;
        for (unsigned i = 0; i < c->locks && !load_interrupted; i++) {
            unsigned lock = turn(c, round, i);

            show(c, "torn", round, TORN_ROUNDS, lock);
            int error = load_run(c->options->path, drivers[lock], &c->load, &c->torn[lock]);

            if (error)
                return end_part(c, drivers[lock]->title, error, round, TORN_ROUNDS);
        }
    }
    return end_part(c, "torn", 0, round, TORN_ROUNDS);
}

static uint64_t found_of(const struct load_result *result, enum finding finding)
{
    uint64_t found = 0;

    for (unsigned i = 0; i < KIND_COUNT; i++)
        found += result->kinds[i].found[finding];
    return found;
}

static void print_torn(const struct comparison *c)
{
    printf("  %-9s %-7s %10s %10s %10s %10s\n", "lock", "cache", "reads", "torn", "stale", "lost");
    for (unsigned i = c->first; i < LOCKS; i++) {
        const struct load_result *torn = &c->torn[i];
        uint64_t reads = torn->kinds[KIND_BUFFERED_READ].ops + torn->kinds[KIND_DIRECT_READ].ops;

        printf("  %-9s %-7s %10llu %10llu %10llu %10llu\n", drivers[i]->name, drivers[i]->cache,
               (unsigned long long)reads, (unsigned long long)found_of(torn, FOUND_TORN),
               (unsigned long long)found_of(torn, FOUND_STALE),
               (unsigned long long)found_of(torn, FOUND_LOST));
    }
}

/* How many rounds make the best of the seconds that each lock has. */
static unsigned slow_rounds(double seconds)
{
    double rounds = seconds / SLOW_ROUND;

    if (rounds > ROUNDS_MAX)
        return ROUNDS_MAX;
    return rounds > SLOW_ROUNDS ? (unsigned)rounds : SLOW_ROUNDS;
}

static int run_slow(struct comparison *c)
{
    const struct options *options = c->options;
    double seconds = seconds_of(c, PART_SLOW) / c->locks;
    unsigned rounds = slow_rounds(seconds);

    printf("slow, on %s: two buffered threads alone, then both they and two direct ones; 4 KiB at "
           "random in 4 MiB, half writes\n",
           fsname(options->path));
    fflush(stdout);
    int error = slow_prepare(options->path);

    for (unsigned round = 0; round < rounds && error == 0 && !load_interrupted; round++) {
        for (unsigned i = 0; i < c->locks && error == 0 && !load_interrupted; i++) {
            unsigned lock = turn(c, round, i);

            show(c, "slow", round, rounds, lock);
            error = slow_round(options->path, drivers[lock], &options->load.driver,
                               seconds / rounds, options->load.seed + round, &c->slow[lock]);
            for (unsigned side = 0; side < SLOW_SIDES; side++)
                c->rates[lock][side][round] = c->slow[lock].ops_per_s[side];
        }
        if (!load_interrupted)
            c->slow_rounds = round + 1;
    }
    show_end(c);
    return end_part(c, "slow", error, c->slow_rounds, rounds);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(const struct comparison *c, unsigned lock, enum slow_side side)
{
    double sorted[ROUNDS_MAX];
    unsigned n = c->slow_rounds;

    if (n == 0)
        return 0;
    memcpy(sorted, c->rates[lock][side], n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), compare_doubles);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* How many times the operations of none. */
static double ratio(const struct comparison *c, unsigned lock, enum slow_side side)
{
    double base = median(c, NONE, side);

    return base > 0 ? median(c, lock, side) / base : 0;
}

static void print_slow(const struct comparison *c)
{
    printf("  %-17s | %-18s | %-18s | %-18s | %-19s\n", "", "alone: buffered", "both: buffered",
           "both: direct", "mode wait p99.9, us");
    printf("  %-9s %-7s | %9s %8s | %9s %8s | %9s %8s | %9s %9s\n", "lock", "cache", "op/s",
           "vs none", "op/s", "vs none", "op/s", "vs none", "buffered", "direct");
    for (unsigned i = c->first; i < LOCKS; i++)
        printf("  %-9s %-7s | %9.0f %8.2f | %9.0f %8.2f | %9.0f %8.2f | %9.1f %9.1f\n",
               drivers[i]->name, drivers[i]->cache, median(c, i, SLOW_ALONE),
               ratio(c, i, SLOW_ALONE), median(c, i, SLOW_BUFFERED), ratio(c, i, SLOW_BUFFERED),
               median(c, i, SLOW_DIRECT), ratio(c, i, SLOW_DIRECT),
               hist_us(&c->slow[i].wait[SLOW_BUFFERED], 0.999),
               hist_us(&c->slow[i].wait[SLOW_DIRECT], 0.999));
    printf(
        "  vs none: times the rate of the kernel alone, without a lock. mode wait: for IO of the "
        "other\n  kind to end, while both run; 99.9 %% wait less.\n");
}

static bool clean(const struct comparison *c, unsigned lock)
{
    const struct lost_result *lost = &c->lost[lock];

    return lost->direct_lost + lost->buffered_lost + lost->fsync_eio + lost->errors == 0 &&
           report_clean(&c->torn[lock]) && c->slow[lock].fsync_eio + c->slow[lock].errors == 0;
}

/* Of the parts, slow looks at no data. */
static bool data_checked(const struct comparison *c)
{
    return (c->parts & (PART_LOST | PART_TORN)) != 0;
}

static void print_verdict(const struct comparison *c, unsigned lock)
{
    const struct lost_result *lost = &c->lost[lock];
    const struct load_result *torn = &c->torn[lock];
    uint64_t losses = lost->direct_lost + lost->buffered_lost + found_of(torn, FOUND_LOST);
    uint64_t eio = lost->fsync_eio + torn->fsync_eio + c->slow[lock].fsync_eio;
    uint64_t errors = lost->errors + load_errors(torn) + c->slow[lock].errors;

    if (clean(c, lock) && load_interrupted)
        return;
    if (clean(c, lock)) {
        if (data_checked(c))
            printf("%s: clean. %s\n", drivers[lock]->title,
                   c->parts & PART_TORN ? "Nothing torn, stale or lost." : "Nothing lost on disk.");
    } else if (torn->unchecked != 0) {
        report_verdict(torn);
    } else {
        printf("%s: %llu acknowledged writes lost, %llu reads torn, %llu stale, %llu EIO from "
               "fsync, %llu errors%s.\n",
               drivers[lock]->title, (unsigned long long)losses,
               (unsigned long long)found_of(torn, FOUND_TORN),
               (unsigned long long)found_of(torn, FOUND_STALE), (unsigned long long)eio,
               (unsigned long long)errors,
               lock == NONE ? ": what IO without a lock does, expected here" : "");
    }
    if (c->slow_rounds == 0 || load_interrupted) /* too little to tell */
        return;
    if (ratio(c, lock, SLOW_BUFFERED) < STARVED)
        printf("%s: the buffered side starves.\n", drivers[lock]->title);
    if (ratio(c, lock, SLOW_DIRECT) < STARVED)
        printf("%s: the direct side starves.\n", drivers[lock]->title);
}

static void print_verdicts(const struct comparison *c)
{
    bool all_clean = true;

    for (unsigned i = c->first; i < LOCKS; i++) {
        print_verdict(c, i);
        all_clean = all_clean && clean(c, i);
    }
    if (load_interrupted)
        printf("interrupted: no verdict on what did not run.\n");
    else if (all_clean && !data_checked(c))
        printf("no errors; what was read is not checked here.\n");
}

static json_t *lost_json(const struct lost_result *lost)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "rounds", (json_int_t)lost->rounds,
                     "direct_writes", (json_int_t)lost->direct_writes, "direct_lost",
                     (json_int_t)lost->direct_lost, "buffered_writes",
                     (json_int_t)lost->buffered_writes, "buffered_lost",
                     (json_int_t)lost->buffered_lost, "fsync_eio", (json_int_t)lost->fsync_eio);
}

static json_t *slow_json(const struct comparison *c, unsigned lock)
{
    const struct slow_result *slow = &c->slow[lock];

    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "alone_ops_per_s",
                     median(c, lock, SLOW_ALONE), "alone_ratio", ratio(c, lock, SLOW_ALONE),
                     "buffered_ops_per_s", median(c, lock, SLOW_BUFFERED), "direct_ops_per_s",
                     median(c, lock, SLOW_DIRECT), "buffered_ratio", ratio(c, lock, SLOW_BUFFERED),
                     "direct_ratio", ratio(c, lock, SLOW_DIRECT), "buffered_wait_p999_us",
                     hist_us(&slow->wait[SLOW_BUFFERED], 0.999), "direct_wait_p999_us",
                     hist_us(&slow->wait[SLOW_DIRECT], 0.999));
}

/* In "runs", what the first part lost counts with the kind that had written it. */
static json_t *run_json(struct comparison *c, unsigned lock)
{
    struct load_result *torn = &c->torn[lock];

    torn->driver = drivers[lock];
    torn->kinds[KIND_DIRECT_WRITE].found[FOUND_LOST] += c->lost[lock].direct_lost;
    torn->kinds[KIND_BUFFERED_WRITE].found[FOUND_LOST] += c->lost[lock].buffered_lost;
    torn->fsync_eio += c->lost[lock].fsync_eio;

    json_t *run = report_json(torn, &c->options->load);

    if (c->parts & PART_LOST)
        json_object_set_new(run, "lost_on_disk", lost_json(&c->lost[lock]));
    if (c->parts & PART_SLOW)
        json_object_set_new(run, "slow", slow_json(c, lock));
    return run;
}

static json_t *compare_json(struct comparison *c)
{
    json_t *runs = json_array();

    for (unsigned i = c->first; i < LOCKS; i++)
        json_array_append_new(runs, run_json(c, i));
    return report_root(runs);
}

int compare_run(const struct options *options, json_t **root)
{
    static const struct {
        enum part part;
        int (*run)(struct comparison *);
        void (*print)(const struct comparison *);
    } parts[] = {
        {PART_LOST, run_lost, print_lost},
        {PART_TORN, run_torn, print_torn},
        {PART_SLOW, run_slow, print_slow},
    };
    struct comparison *c = zalloc(1, sizeof(*c));
    unsigned begun = 0;
    int status = 0;

    c->options = options;
    c->first = options->first;
    c->locks = LOCKS - options->first;
    c->parts = options->parts ? options->parts : PARTS_ALL;
    printf("twostate-io run %s --compare, seed %llu\n", options->name,
           (unsigned long long)options->load.seed);
    for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts) && status == 0; i++) {
        if (!(c->parts & parts[i].part) || load_interrupted)
            continue;
        begun |= parts[i].part;
        status = parts[i].run(c);
        if (status == 0)
            parts[i].print(c);
    }
    if (status == 0) {
        c->parts = begun;
        print_verdicts(c);
        status = !clean(c, DRIVER_USER) || !clean(c, DRIVER_KERNEL) ? 1 : load_interrupted ? 2 : 0;
        *root = compare_json(c);
    }
    free(c);
    return status;
}
