/* SPDX-License-Identifier: MIT */
/* The load: starts the threads, paces them, stops them, adds up. */
#include "load.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_NS     (NS_PER_S / 20)
#define PROGRESS_NS (NS_PER_S / 2)

static void stop(struct load *load)
{
    pthread_mutex_lock(&load->mutex);
    atomic_store(&load->stop, true);
    pthread_cond_broadcast(&load->stopping);
    pthread_mutex_unlock(&load->mutex);
}

/* Sleeps until then, or until the load stops. */
static void sleep_until(struct load *load, int64_t then)
{
    struct timespec at = {.tv_sec = (time_t)(then / NS_PER_S), .tv_nsec = (long)(then % NS_PER_S)};
    int error = 0;

    pthread_mutex_lock(&load->mutex);
    while (!atomic_load(&load->stop) && error == 0)
        error = pthread_cond_timedwait(&load->stopping, &load->mutex, &at);
    pthread_mutex_unlock(&load->mutex);
}

/* How many operations the load still wants, of most that a worker could do at once. */
static unsigned take_ops(struct load *load, unsigned most)
{
    uint64_t limit = load->options->ops;
    uint64_t taken = limit > 0 ? atomic_fetch_add(&load->ops, most) : 0;

    if (limit == 0 || (taken < limit && limit - taken >= most))
        return most;
    return taken < limit ? (unsigned)(limit - taken) : 0;
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    struct load *load = worker->load;
    const struct load_options *options = load->options;
    double rate = options->rate[worker->kind] / options->threads[worker->kind];
    int64_t interval = rate > 0 ? (int64_t)((double)NS_PER_S / rate) : 0;
    unsigned most = worker->kind <= KIND_DIRECT_WRITE ? options->depth : 1;
    int64_t next = now_ns() + interval * random_below(&worker->random, 1000) / 1000;

    for (;;) {
        if (interval > 0) {
            sleep_until(load, next);
            int64_t now = now_ns();

            next = (next > now ? next : now) + interval;
        }
        if (atomic_load_explicit(&load->stop, memory_order_relaxed))
            return NULL;
        worker->batch = take_ops(load, most);
        if (worker->batch == 0) {
            stop(load);
            return NULL;
        }
        worker_step(worker);
    }
}

static void worker_init(struct worker *worker, struct load *load, enum kind kind, unsigned index,
                        unsigned number)
{
    size_t longest = load->layout.longest, depth = load->options->depth;
    size_t buffer = longest * depth > BLOCK_SIZE_MAX ? longest * depth : BLOCK_SIZE_MAX;

    worker->load = load;
    worker->kind = kind;
    worker->index = index;
    worker->number = number;
    worker->random = load->options->seed + number * UINT64_C(0x5851f42d4c957f2d);
    worker->buffer = aligned_zalloc(buffer);
    worker->requests = zalloc(depth, sizeof(*worker->requests));
    worker->jobs = zalloc(depth, sizeof(*worker->jobs));
}

static void workers_init(struct load *load)
{
    const struct load_options *options = load->options;
    unsigned total = 0, next = 0;

    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        total += options->threads[kind];
    load->workers = zalloc(total, sizeof(*load->workers));
    load->worker_count = total;
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        for (unsigned i = 0; i < options->threads[kind]; i++, next++)
            worker_init(&load->workers[next], load, (enum kind)kind, i, next + 1);
}

static void workers_free(struct load *load)
{
    for (unsigned i = 0; i < load->worker_count; i++) {
        free(load->workers[i].buffer);
        free(load->workers[i].requests);
        free(load->workers[i].jobs);
    }
    free(load->workers);
}

static uint64_t get(const atomic_uint_least64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void print_progress(const struct load *load, double seconds)
{
    uint64_t ops = 0, bytes = 0, found[FOUND_COUNT] = {0};

    for (unsigned i = 0; i < load->worker_count; i++) {
        const struct worker *worker = &load->workers[i];

        ops += get(&worker->ops);
        bytes += get(&worker->bytes);
        for (unsigned kind = 0; kind < KIND_COUNT; kind++)
            for (unsigned f = 0; f < FOUND_COUNT; f++)
                found[f] += get(&worker->found[kind][f]);
    }
    const char *title = load->options->title ? load->options->title : load->driver->title;

    fprintf(stderr, "\r%s %.1f s: %llu ops, %.0f MB/s, torn %llu, stale %llu, lost %llu \033[K",
            title, seconds, (unsigned long long)ops, (double)bytes / 1e6 / seconds,
            (unsigned long long)found[FOUND_TORN], (unsigned long long)found[FOUND_STALE],
            (unsigned long long)found[FOUND_LOST]);
}

/* Waits for the end of the run, which it brings about if time or a signal does. */
static void supervise(struct load *load, int64_t begun)
{
    int64_t shown = begun;
    int64_t limit = (int64_t)(load->options->seconds * (double)NS_PER_S);

    for (;;) {
        int64_t now = now_ns();

        if (load->options->progress && now - shown >= PROGRESS_NS) {
            print_progress(load, (double)(now - begun) / (double)NS_PER_S);
            shown = now;
        }
        if (load_interrupted || (limit > 0 && now - begun >= limit))
            stop(load);
        if (atomic_load(&load->stop))
            break;
        now += LOOK_NS;
        sleep_until(load, limit > 0 && now > begun + limit ? begun + limit : now);
    }
    if (load->options->progress)
        fputs("\r\033[K", stderr);
}

static void add_up(const struct load *load, struct load_result *result)
{
    for (unsigned i = 0; i < load->worker_count; i++) {
        const struct worker *worker = &load->workers[i];
        struct kind_result *own = &result->kinds[worker->kind];

        own->ops += get(&worker->ops);
        own->bytes += get(&worker->bytes);
        own->errors += get(&worker->errors);
        if (own->error == 0)
            own->error = worker->error;
        result->fsync_eio += get(&worker->fsync_eio);
        hist_merge(&own->latency, &worker->latency);
        hist_merge(&own->wait, &worker->wait);
        for (unsigned kind = 0; kind < KIND_COUNT; kind++)
            for (unsigned f = 0; f < FOUND_COUNT; f++)
                result->kinds[kind].found[f] += get(&worker->found[kind][f]);
    }
}

/* After a fsync: so all of it has been written back. */
static void ask_cache(struct load *load, struct load_result *result)
{
    struct twostate_engine_info info = {0};

    if (load->driver->query == NULL)
        return;
    load->driver->query(load->file, &info);
    result->cache_bytes = info.cache_limit;
    result->cache_misses += info.cache_misses;
    result->cache_evicted += info.cache_evicted;
    result->written_back += info.written_back;
}

/* Makes durable what was written, and lets go of the file. Its errors are those of a fsync. */
static void finish(struct load *load, struct load_result *result)
{
    struct kind_result *fsync = &result->kinds[KIND_FSYNC];
    int errors[2] = {load->driver->fsync(load->file)};

    ask_cache(load, result);
    errors[1] = load->driver->close(load->file);

    /* The engine's close repeats what no fsync has told; the other drivers' tells nothing new. */
    for (unsigned i = 0; i < 2; i++) {
        if (errors[i] == -EIO) {
            result->fsync_eio++;
        } else if (errors[i]) {
            fsync->errors++;
            fsync->error = fsync->error ? fsync->error : errors[i];
        }
    }
}

static void run_threads(struct load *load, struct load_result *result)
{
    int64_t begun =
        now_ns(); /* the threads may have done all there is to do before the last starts */

    for (unsigned i = 0; i < load->worker_count; i++) {
        int error = pthread_create(&load->workers[i].thread, NULL, worker_main, &load->workers[i]);

        if (error)
            die("cannot start a thread: %s", strerror(error));
    }
    supervise(load, begun);
    for (unsigned i = 0; i < load->worker_count; i++)
        pthread_join(load->workers[i].thread, NULL);
    result->seconds += (double)(now_ns() - begun) / (double)NS_PER_S;
}

int load_run(const char *path, const struct driver *driver, const struct load_options *options,
             struct load_result *result)
{
    struct load load = {.options = options, .driver = driver};
    pthread_condattr_t attributes;

    result->driver = driver;
    layout_init(&load.layout, &options->layout);
    int error = layout_write(&load.layout, path);

    if (error == 0)
        error = driver->open(path, &options->driver, &load.file);
    if (error) {
        layout_destroy(&load.layout);
        return error;
    }
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&load.stopping, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&load.mutex, NULL);
    pthread_mutex_init(&load.truncating, NULL);
    workers_init(&load);

    run_threads(&load, result);
    add_up(&load, result);
    finish(&load, result);
    int unchecked = load_final_check(&load, path, result);

    if (result->unchecked == 0)
        result->unchecked = unchecked;

    workers_free(&load);
    pthread_mutex_destroy(&load.truncating);
    pthread_mutex_destroy(&load.mutex);
    pthread_cond_destroy(&load.stopping);
    layout_destroy(&load.layout);
    return 0;
}

uint64_t load_found(const struct load_result *result)
{
    uint64_t found = 0;

    for (unsigned i = 0; i < KIND_COUNT; i++)
        for (unsigned f = 0; f < FOUND_COUNT; f++)
            found += result->kinds[i].found[f];
    return found;
}

uint64_t load_errors(const struct load_result *result)
{
    uint64_t errors = 0;

    for (unsigned i = 0; i < KIND_COUNT; i++)
        errors += result->kinds[i].errors;
    return errors;
}
