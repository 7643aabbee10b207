/* SPDX-License-Identifier: MIT */
/* Reports. The names in the JSON are relied on by scripts. */
#include "report.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_none(const struct load_result *result)
{
    return result->driver == &driver_none;
}

static void print_row(const char *name, const struct kind_result *kind, double seconds)
{
    printf("%-15s %9llu %8.1f %9.1f %9.1f %9.1f %13.1f %6llu %6llu %6llu %6llu\n", name,
           (unsigned long long)kind->ops, (double)kind->bytes / 1e6 / seconds,
           hist_us(&kind->latency, 0.5), hist_us(&kind->latency, 0.99),
           hist_us(&kind->latency, 0.999), hist_us(&kind->wait, 0.999),
           (unsigned long long)kind->found[FOUND_TORN],
           (unsigned long long)kind->found[FOUND_STALE],
           (unsigned long long)kind->found[FOUND_LOST], (unsigned long long)kind->errors);
}

bool report_clean(const struct load_result *result)
{
    return load_found(result) == 0 && load_errors(result) == 0 && result->fsync_eio == 0 &&
           result->unchecked == 0;
}

void report_verdict(const struct load_result *result)
{
    uint64_t found = load_found(result);
    uint64_t errors = load_errors(result);

    for (unsigned i = 0; i < KIND_COUNT; i++)
        if (result->kinds[i].errors > 0)
            printf("%s: %s: first error: %s\n", result->driver->title, kind_names[i],
                   strerror(-result->kinds[i].error));
    if (result->unchecked != 0)
        printf("%s: what the file holds at the end could not be checked: %s\n",
               result->driver->title, strerror(-result->unchecked));
    if (report_clean(result))
        printf("%s: clean. Nothing torn, stale or lost.\n", result->driver->title);
    else if (is_none(result) && result->unchecked == 0)
        printf("none: %llu finding%s, %llu EIO from fsync. That is what IO without a lock does; "
               "it is expected here.\n",
               (unsigned long long)found, found == 1 ? "" : "s",
               (unsigned long long)result->fsync_eio);
    else
        printf("%s: NOT CLEAN: %llu finding%s, %llu error%s, %llu EIO from fsync.\n",
               result->driver->title, (unsigned long long)found, found == 1 ? "" : "s",
               (unsigned long long)errors, errors == 1 ? "" : "s",
               (unsigned long long)result->fsync_eio);
}

void report_print(const struct load_result *result)
{
    printf("lock %s, cache %s, %.1f s, fsync EIO %llu\n", result->driver->name,
           result->driver->cache, result->seconds, (unsigned long long)result->fsync_eio);
    printf("%-15s %9s %8s %9s %9s %9s %13s %6s %6s %6s %6s\n", "kind", "ops", "MB/s", "p50 us",
           "p99 us", "p99.9 us", "wait p99.9 us", "torn", "stale", "lost", "errors");
    for (unsigned i = 0; i < KIND_COUNT; i++)
        if (result->kinds[i].ops > 0 || result->kinds[i].found[FOUND_LOST] > 0)
            print_row(kind_names[i], &result->kinds[i], result->seconds);
    if (result->cache_bytes > 0)
        printf("user cache, %.1f MiB: %llu folios read, %llu evicted, %.1f MB written back\n",
               (double)result->cache_bytes / (1 << 20), (unsigned long long)result->cache_misses,
               (unsigned long long)result->cache_evicted, (double)result->written_back / 1e6);
    report_verdict(result);
}

static json_t *kind_json(const struct kind_result *kind, double seconds)
{
    return json_pack(
        "{s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I}", "ops", (json_int_t)kind->ops,
        "mb_per_s", seconds > 0 ? (double)kind->bytes / 1e6 / seconds : 0.0, "p50_us",
        hist_us(&kind->latency, 0.5), "p99_us", hist_us(&kind->latency, 0.99), "p999_us",
        hist_us(&kind->latency, 0.999), "mode_wait_p999_us", hist_us(&kind->wait, 0.999), "torn",
        (json_int_t)kind->found[FOUND_TORN], "stale", (json_int_t)kind->found[FOUND_STALE], "lost",
        (json_int_t)kind->found[FOUND_LOST], "errors", (json_int_t)kind->errors);
}

static json_t *cache_json(const struct load_result *result)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "bytes", (json_int_t)result->cache_bytes, "misses",
                     (json_int_t)result->cache_misses, "evicted", (json_int_t)result->cache_evicted,
                     "written_back", (json_int_t)result->written_back);
}

json_t *report_json(const struct load_result *result, const struct load_options *options)
{
    json_t *kinds = json_object();

    for (unsigned i = 0; i < KIND_COUNT; i++)
        json_object_set_new(kinds, kind_names[i], kind_json(&result->kinds[i], result->seconds));
    json_t *run =
        json_pack("{s:s, s:s, s:o, s:I, s:I, s:f}", "lock", result->driver->name, "cache",
                  result->driver->cache, "kinds", kinds, "fsync_eio", (json_int_t)result->fsync_eio,
                  "seed", (json_int_t)options->seed, "seconds", result->seconds);

    if (result->cache_bytes > 0)
        json_object_set_new(run, "user_cache", cache_json(result));
    return run;
}

json_t *report_root(json_t *runs)
{
    return json_pack("{s:o, s:b}", "runs", runs, "interrupted", (int)load_interrupted);
}

static FILE *json_output; /* the standard output, if it is for JSON only */

int report_json_only(void)
{
    int fd = dup(STDOUT_FILENO);

    json_output = fd < 0 ? NULL : fdopen(fd, "w");
    return json_output != NULL && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 ? 0 : -errno;
}

int report_write(json_t *root, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? json_output : fopen(path, "w");
    int error = 0;

    if (file == NULL) {
        error = -errno;
    } else {
        errno = EIO; /* should it fail for no reason of the system's */
        if (json_dumpf(root, file, JSON_INDENT(2) | JSON_REAL_PRECISION(8)) != 0 ||
            fputc('\n', file) == EOF || fflush(file) != 0)
            error = -errno;
        if (fclose(file) != 0 && error == 0)
            error = -errno;
    }
    json_decref(root);
    return error;
}

int report_status(const struct load_result *result)
{
    if (load_errors(result) > 0)
        return 1;
    if (!is_none(result) && (load_found(result) > 0 || result->fsync_eio > 0))
        return 1;
    return result->unchecked != 0 ? 2 : 0;
}
