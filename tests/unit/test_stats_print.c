/* SPDX-License-Identifier: MIT */
/* How the statistics are put into buckets, and written as a table and as JSON. */
#include "stats.h"

#include <twostate/class.h>
#include <twostate/stats.h>

#include <errno.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

/* What has to be escaped, and what has not. */
#define ODD_NAME "a \"b\" \\c\n\x01 \xc3\xa4/"

static const struct twostate_class odd = {.name = ODD_NAME};
static struct twostate_lock odd_lock;

static char *printed(enum twostate_stats_format format)
{
    static char *text;
    static size_t size;
    FILE *file = open_memstream(&text, &size);

    assert_non_null(file);
    assert_int_equal(twostate_stats_print(file, format), 0);
    assert_int_equal(fclose(file), 0);
    return text;
}

static void count_wait(int64_t ns)
{
    const struct watch_wait wait = {
        .lock = &odd_lock, .group = GROUP_B, .queue = 3, .looks = 5, .sleeps = 2};

    stats_waited_(&wait, ns);
}

static struct twostate_stats odd_stats(void)
{
    struct twostate_stats stats;

    for (unsigned i = 0; twostate_stats_snapshot(i, &stats); i++)
        if (strcmp(stats.name, ODD_NAME) == 0)
            return stats;
    fail_msg("nothing was counted");
    return stats;
}

static int enable(void **state)
{
    (void)state;
    twostate_stats_enable();
    assert_int_equal(twostate_lock_set_class(&odd_lock, &odd), 0);
    return 0;
}

static void test_nothing_yet(void **state)
{
    char *text = printed(TWOSTATE_STATS_TEXT);
    char *json = printed(TWOSTATE_STATS_JSON);
    json_t *root = json_loads(json, 0, NULL);

    (void)state;
    assert_string_equal(text, "");
    assert_non_null(root);
    assert_int_equal(json_array_size(json_object_get(root, "classes")), 0);
    json_decref(root);
    free(text);
    free(json);
}

static void test_buckets(void **state)
{
    static const struct {
        int64_t ns;
        unsigned bucket;
    } rows[] = {{-5, 0},        {0, 0},       {1, 0},        {2, 1},
                {3, 1},         {4, 2},       {31, 4},       {32, 5},
                {63, 5},        {64, 6},      {1023, 9},     {1024, 10},
                {1025, 10},     {999999, 19}, {1048576, 20}, {INT64_C(1) << 39, 39},
                {INT64_MAX, 39}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct twostate_stats stats;
        const struct twostate_stats_times *wait = &stats.groups[TWOSTATE_STATS_B].wait;
        const uint64_t ns = rows[i].ns > 0 ? (uint64_t)rows[i].ns : 0;

        twostate_stats_reset();
        count_wait(rows[i].ns);
        stats = odd_stats();
        for (unsigned n = 0; n < TWOSTATE_STATS_BUCKETS; n++)
            assert_int_equal(wait->buckets[n], n == rows[i].bucket);
        assert_int_equal(wait->count, 1);
        assert_int_equal(wait->total_ns, ns);
        assert_int_equal(wait->max_ns, ns);
        assert_int_equal(wait->p50_ns, ns);
        assert_int_equal(wait->p999_ns, ns);
    }
}

static void test_percentiles(void **state)
{
    struct twostate_stats stats;
    const struct twostate_stats_times *wait = &stats.groups[TWOSTATE_STATS_B].wait;

    (void)state;
    twostate_stats_reset();
    for (int64_t i = 1; i <= 1000; i++)
        count_wait(i * 1000);
    stats = odd_stats();
    assert_in_range(wait->p50_ns, 500000, 515000);
    assert_in_range(wait->p99_ns, 990000, 1000000);
    assert_in_range(wait->p999_ns, 999000, 1000000);
    assert_int_equal(wait->max_ns, 1000000);
    assert_int_equal(wait->total_ns, UINT64_C(500500) * 1000);
}

/* The times, and every counter another number, so that no two can be mistaken. */
static void count_all(void)
{
    const struct watch_call call = {.lock = &odd_lock, .group = GROUP_A, .holds = 1};
    struct watch_wait wait = {.lock = &odd_lock, .group = GROUP_DRAIN, .looks = 7, .queue = 11};

    twostate_stats_reset();
    for (int i = 0; i < 2000; i++)
        count_wait(i < 1500 ? 1000 : i < 1990 ? 100000 : 10000000);
    for (int i = 0; i < 4; i++)
        stats_held_(&call);
    for (int i = 0; i < 2; i++)
        stats_phase_(&odd_lock, false, GROUP_A);
    for (int i = 0; i < 5; i++) {
        wait.async = i > 1;
        wait.impatient = i > 3;
        wait.result = i == 4 ? -ECANCELED : 0;
        stats_waited_(&wait, 1000);
    }
}

static uint64_t number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    if (!json_is_integer(value))
        fail_msg("no number %s", name);
    return (uint64_t)json_integer_value(value);
}

static void assert_times(const json_t *object, const struct twostate_stats_times *times)
{
    const json_t *buckets = json_object_get(object, "buckets");
    size_t next = 0;

    assert_int_equal(json_object_size(object), 7);
    assert_int_equal(number(object, "count"), times->count);
    assert_int_equal(number(object, "total_ns"), times->total_ns);
    assert_int_equal(number(object, "max_ns"), times->max_ns);
    assert_int_equal(number(object, "p50_ns"), times->p50_ns);
    assert_int_equal(number(object, "p99_ns"), times->p99_ns);
    assert_int_equal(number(object, "p999_ns"), times->p999_ns);
    for (unsigned n = 0; n < TWOSTATE_STATS_BUCKETS; n++) {
        const json_t *bucket = json_array_get(buckets, next);

        if (times->buckets[n] == 0)
            continue;
        assert_int_equal(json_integer_value(json_array_get(bucket, 0)), n ? UINT64_C(1) << n : 0);
        assert_int_equal(json_integer_value(json_array_get(bucket, 1)), times->buckets[n]);
        next++;
    }
    assert_int_equal(json_array_size(buckets), next);
}

static void assert_group(const json_t *object, const struct twostate_stats_group *group)
{
    assert_int_equal(json_object_size(object), 11);
    assert_int_equal(number(object, "acquires"), group->acquires);
    assert_int_equal(number(object, "waits"), group->waits);
    assert_int_equal(number(object, "refused"), group->refused);
    assert_int_equal(number(object, "impatient"), group->impatient);
    assert_int_equal(number(object, "grants"), group->grants);
    assert_int_equal(number(object, "looks"), group->looks);
    assert_int_equal(number(object, "sleeps"), group->sleeps);
    assert_int_equal(number(object, "mode_switches"), group->mode_switches);
    assert_times(json_object_get(object, "wait"), &group->wait);
    assert_times(json_object_get(object, "hold"), &group->hold);
}

static void test_json(void **state)
{
    static const char *const names[] = {"A", "B", "drain"};
    struct twostate_stats stats;
    json_error_t error;
    char *text = NULL;
    json_t *root = NULL;
    const json_t *class = NULL;

    (void)state;
    count_all();
    stats = odd_stats();
    text = printed(TWOSTATE_STATS_JSON);
    root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail_msg("%s at line %d, column %d", error.text, error.line, error.column);
    assert_int_equal(json_object_size(root), 1);
    assert_int_equal(json_array_size(json_object_get(root, "classes")), 1);
    class = json_array_get(json_object_get(root, "classes"), 0);
    assert_int_equal(json_object_size(class), 4);
    assert_string_equal(json_string_value(json_object_get(class, "name")), ODD_NAME);
    assert_true(json_is_false(json_object_get(class, "iolock")));
    assert_int_equal(number(class, "longest_queue"), 11);
    assert_int_equal(json_array_size(json_object_get(class, "groups")), 3);
    for (unsigned i = 0; i < 3; i++) {
        const json_t *group = json_array_get(json_object_get(class, "groups"), i);

        assert_string_equal(json_string_value(json_object_get(group, "name")), names[i]);
        assert_group(group, &stats.groups[i]);
    }
    json_decref(root);
    free(text);
}

/* The numbers of a line, after its name. */
static void assert_counts(const char *text, const char *name, const uint64_t counts[8])
{
    const char *line = strstr(text, name);
    char *end = NULL;

    assert_non_null(line);
    line += strlen(name);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(strtoull(line, &end, 10), counts[i]);
        assert_ptr_not_equal(line, end);
        line = end;
    }
    assert_int_equal(*end, '\n');
}

static void test_text(void **state)
{
    char *text = NULL;
    char *rest = NULL;
    size_t widths[2] = {0, 0}; /* of the lines of counts, of those of times */
    unsigned lines = 0;

    (void)state;
    count_all();
    text = printed(TWOSTATE_STATS_TEXT);
    assert_non_null(strstr(text, ODD_NAME ": longest queue 11\n"));
    assert_counts(text, "\n  A ", (uint64_t[]){4, 0, 0, 0, 0, 0, 0, 2});
    assert_counts(text, "\n  B ", (uint64_t[]){0, 2000, 0, 0, 0, 10000, 4000, 0});
    assert_counts(text, "\n  drain ", (uint64_t[]){0, 5, 1, 1, 2, 35, 0, 0});
    for (char *line = strtok_r(strstr(text, "queue 11"), "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        size_t *width = &widths[lines > 4];

        if (lines++ == 0)
            continue;
        assert_true(*width == 0 || *width == strlen(line));
        *width = strlen(line);
        assert_true(*width <= 100);
        assert_int_not_equal(line[*width - 1], ' ');
    }
    assert_int_equal(lines, 1 + 4 + 3); /* heading, counts, the times of two groups */
    free(text);
}

static void test_failures(void **state)
{
    FILE *full = fopen("/dev/full", "w");

    (void)state;
    count_all();
    assert_non_null(full);
    setvbuf(full, NULL, _IONBF, 0);
    assert_int_equal(twostate_stats_print(full, TWOSTATE_STATS_TEXT), -EIO);
    clearerr(full);
    assert_int_equal(twostate_stats_print(full, TWOSTATE_STATS_JSON), -EIO);
    fclose(full);
    assert_int_equal(twostate_stats_print(stderr, (enum twostate_stats_format)2), -EINVAL);
}

/* What this program writes to its standard error with TWOSTATE_STATS=value, if it uses a lock. */
static size_t run_with(const char *value, char *output, size_t size)
{
    char variable[64];
    char *const environment[] = {variable, NULL};
    char *const arguments[] = {(char[]){"test"}, (char[]){"use-a-lock"}, NULL};
    posix_spawn_file_actions_t actions;
    int pipe_ends[2];
    pid_t child = 0;
    int status = 0;
    FILE *file = NULL;
    size_t length = 0;

    snprintf(variable, sizeof(variable), "TWOSTATE_STATS=%s", value);
    assert_int_equal(pipe(pipe_ends), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, pipe_ends[0]);
    assert_int_equal(posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environment),
                     0);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_ends[1]);
    file = fdopen(pipe_ends[0], "r");
    assert_non_null(file);
    length = fread(output, 1, size - 1, file);
    output[length] = '\0';
    fclose(file);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1, *value >= '1');
    return length;
}

static void test_environment(void **state)
{
    static char output[1 << 16];
    json_t *root = NULL;

    (void)state;
    assert_int_equal(run_with("", output, sizeof(output)), 0);
    assert_int_equal(run_with("0", output, sizeof(output)), 0);
    assert_int_equal(run_with("1", output, sizeof(output)), 0);
    run_with("test", output, sizeof(output));
    assert_non_null(strstr(output, "TWOSTATE_STATS: 'test' means nothing"));
    assert_non_null(strstr(output, "known are 0 (off), 1 (on), text and json"));
    run_with("text", output, sizeof(output));
    assert_ptr_equal(strstr(output, "lock: longest queue 0\n"), output);
    run_with("json", output, sizeof(output));
    root = json_loads(output, 0, NULL);
    assert_non_null(root);
    assert_int_equal(json_array_size(json_object_get(root, "classes")), 1);
    json_decref(root);
}

/* Returns whether the lock was counted. */
static int use_a_lock(void)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_stats stats;

    twostate_lock_acquire(&lock, TWOSTATE_A);
    twostate_lock_release(&lock, TWOSTATE_A);
    return twostate_stats_snapshot(0, &stats) && stats.groups[TWOSTATE_STATS_A].acquires == 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_yet), cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_percentiles), cmocka_unit_test(test_json),
        cmocka_unit_test(test_text),        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_environment),
    };

    (void)argv;
    return argc > 1 ? use_a_lock() : cmocka_run_group_tests(tests, enable, NULL);
}
