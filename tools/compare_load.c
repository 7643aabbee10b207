/* SPDX-License-Identifier: MIT */
/*
 * The same load under each lock, in rounds: each goes round the locks, a different one first each
 * time, so that what else the machine does falls on all of them alike.
 */
#include "compare_load.h"
#include "report.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNNING 0.8 /* of the time; the rest is writing the file and checking all of it */
#define ROUND   5.0 /* seconds under one lock that are worth one more round */

struct table {
    const struct options *options;
    unsigned rounds;
    unsigned first, locks; /* of drivers[], and how many from there on */
    struct load_result results[DRIVER_COUNT];
};

/* A multiple of the locks, so that each is as often the first as the others. */
static unsigned count_rounds(const struct load_options *load, unsigned locks)
{
    double wanted = load->seconds * RUNNING / (locks * ROUND);
    unsigned rounds = locks;

    while (rounds < wanted && rounds < 999)
        rounds += locks;
    return load->ops > 0 && load->ops < rounds ? (unsigned)load->ops : rounds;
}

/* A round's share: of the time of all locks, but of the operations of each. */
static struct load_options share_of(const struct table *table, unsigned round)
{
    struct load_options load = table->options->load;

    load.seconds *= RUNNING / (table->locks * table->rounds);
    if (load.ops > 0)
        load.ops = load.ops / table->rounds + (round < load.ops % table->rounds);
    load.seed += round;
    return load;
}

static int run_round(struct table *table, unsigned round)
{
    struct load_options load = share_of(table, round);
    char title[64];

    load.title = title;
    for (unsigned i = 0; i < table->locks; i++) {
        unsigned lock = table->first + (i + round) % table->locks;

        if (load_interrupted)
            return 0;
        snprintf(title, sizeof(title), "round %u of %u, %s", round + 1, table->rounds,
                 drivers[lock]->title);
        if (load.progress)
            fprintf(stderr, "\r%s \033[K", title);
        int error = load_run(table->options->path, drivers[lock], &load, &table->results[lock]);

        if (error && !(error == -EINTR && load_interrupted)) {
            fprintf(stderr, "twostate-io: %s under %s: %s\n", table->options->name,
                    drivers[lock]->title, driver_open_error(error));
            return error;
        }
    }
    return 0;
}

static double rate(const struct load_result *result, unsigned kind)
{
    return result->seconds > 0 ? (double)result->kinds[kind].ops / result->seconds : 0;
}

static void print_row(const struct table *table, unsigned kind, unsigned lock)
{
    const struct load_result *result = &table->results[lock];
    const struct kind_result *row = &result->kinds[kind];
    double base = rate(&table->results[DRIVER_NONE], kind);

    printf("%-15s %-9s %-7s %9.0f %7.2f %10.1f %13.1f %6llu %6llu %6llu %6llu\n",
           lock == table->first ? kind_names[kind] : "", drivers[lock]->name, drivers[lock]->cache,
           rate(result, kind), base > 0 ? rate(result, kind) / base : 0,
           hist_us(&row->latency, 0.99), hist_us(&row->wait, 0.999),
           (unsigned long long)row->found[FOUND_TORN], (unsigned long long)row->found[FOUND_STALE],
           (unsigned long long)row->found[FOUND_LOST], (unsigned long long)row->errors);
}

/* The locks are beside each other under each kind that any of them ran, or lost data of. */
static void print_table(const struct table *table)
{
    printf("%-15s %-9s %-7s %9s %7s %10s %13s %6s %6s %6s %6s\n", "kind", "lock", "cache", "ops/s",
           "vs none", "p99 us", "wait p99.9 us", "torn", "stale", "lost", "errors");
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        uint64_t any = 0;

        for (unsigned lock = table->first; lock < DRIVER_COUNT; lock++) {
            const struct kind_result *row = &table->results[lock].kinds[kind];

            any += row->ops + row->errors + row->found[FOUND_LOST];
        }
        for (unsigned lock = table->first; lock < DRIVER_COUNT && any > 0; lock++)
            print_row(table, kind, lock);
    }
    printf("vs none: times the rate of the kernel alone, without a lock. wait: for the "
           "mode.\n");
    printf("fsync EIO:");
    for (unsigned lock = table->first; lock < DRIVER_COUNT; lock++)
        printf("%s %s %llu", lock == table->first ? "" : ";", drivers[lock]->title,
               (unsigned long long)table->results[lock].fsync_eio);
    printf("\n");
}

static json_t *table_json(const struct table *table)
{
    json_t *runs = json_array();

    for (unsigned lock = table->first; lock < DRIVER_COUNT; lock++)
        json_array_append_new(runs, report_json(&table->results[lock], &table->options->load));
    return report_root(runs);
}

/* After a signal only what was found counts: that nothing was says little. */
static void print_verdicts(const struct table *table)
{
    for (unsigned lock = table->first; lock < DRIVER_COUNT; lock++)
        if (!load_interrupted || !report_clean(&table->results[lock]))
            report_verdict(&table->results[lock]);
    if (load_interrupted)
        printf("interrupted: no verdict on what did not run.\n");
}

/* The worse of the two caches. */
static int engine_status(const struct table *table)
{
    int status = 0;

    for (unsigned lock = table->first; lock <= DRIVER_KERNEL; lock++) {
        const int own = report_status(&table->results[lock]);

        if (status != 1 && own != 0)
            status = own;
    }
    return status;
}

int compare_load(const struct options *options, json_t **root)
{
    struct table *table = zalloc(1, sizeof(*table));
    int status = 2, error = 0;
    unsigned round = 0;

    table->options = options;
    table->first = options->first;
    table->locks = DRIVER_COUNT - options->first;
    table->rounds = count_rounds(&options->load, table->locks);
    for (unsigned lock = table->first; lock < DRIVER_COUNT;
         lock++) /* should a signal keep it from running */
        table->results[lock].driver = drivers[lock];
    printf("twostate-io run %s --compare, seed %llu: the load in %u rounds\n", options->name,
           (unsigned long long)options->load.seed, table->rounds);
    fflush(stdout);
    for (; round < table->rounds && error == 0 && !load_interrupted; round += !load_interrupted)
        error = run_round(table, round);
    if (error == 0) {
        if (load_interrupted)
            printf("cut short after %u of %u rounds\n", round, table->rounds);
        print_table(table);
        print_verdicts(table);
        *root = table_json(table);
        status = engine_status(table);
        if (load_interrupted && status == 0)
            status = 2;
    }
    free(table);
    return status;
}
