/* SPDX-License-Identifier: MIT */
/* Runs a scenario while something goes wrong: see run.h. */
#include "run_private.h"

#include "inject_backend.h"

#include "engine/common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <twostate/validate.h>

/* A run that takes longer hangs. */
#define MOST_SECONDS 200

static struct run run;
static char title[160];

void run_failed_(struct run *r, const char *what, int64_t value)
{
    if (!r->failed)
        printf("FAILED: %s\n", title);
    if (r->step)
        printf("    step %u: %s (%lld)\n", (unsigned)(r->step - r->scenario->steps), what,
               (long long)value);
    else
        printf("    at the end: %s (%lld)\n", what, (long long)value);
    (void)fflush(stdout);
    r->failed = true;
}

static void hangs(int signal_number)
{
    const char *const text = "HANGS: ";

    (void)signal_number;
    (void)!write(STDOUT_FILENO, text, strlen(text));
    (void)!write(STDOUT_FILENO, title, strlen(title));
    (void)!write(STDOUT_FILENO, "\n", 1);
    abort();
}

static const char *const kinds[CALL_KINDS] = {
    [CALL_OPEN] = "open",         [CALL_OPEN_DIRECT] = "open_direct",
    [CALL_FSTAT] = "fstat",       [CALL_READ] = "read",
    [CALL_WRITE] = "write",       [CALL_SYNC] = "sync",
    [CALL_TRUNCATE] = "truncate", [CALL_FALLOCATE] = "fallocate",
    [CALL_CLONE] = "clone",       [CALL_COPY] = "copy",
    [CALL_ALLOCATE] = "allocate", [CALL_PLAIN_WRITE] = "plain_write",
    [CALL_THREAD] = "thread",     [CALL_OP] = "op",
    [CALL_RING] = "ring",         [CALL_SUBMIT] = "submit",
    [CALL_REAP] = "reap",
};

static const char *const faults[] = {"none",  "error", "late error", "torn",
                                     "short", "held",  "held done"};

static void set_title(const struct run *r)
{
    const struct trouble *t = &r->trouble;

    (void)snprintf(title, sizeof(title), "%s, %s, %s cache: %s %u%s: %s %s", r->scenario->name,
                   r->setting.backend == TWOSTATE_BACKEND_THREADS ? "threads" : "io_uring",
                   r->setting.cache == TWOSTATE_CACHE_USER ? "user" : "kernel", kinds[t->kind],
                   t->nth, t->times == 1 ? "" : " and more", faults[t->fault],
                   t->error ? strerrorname_np(t->error) : "");
}

void run_prepare(const struct scenario *scenario)
{
    size_t most = scenario->bytes;

    inject_spare(true);
    run = (struct run){.scenario = scenario};
    (void)signal(SIGALRM, hangs);
    scratch_open(&run.scratch);
    run.disk_fd = open(run.scratch.path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    CHECK(run.disk_fd >= 0);
    model_init(&run.model, scenario->bytes, scenario->unit);
    run.slots = calloc(scenario->step_count, sizeof(*run.slots));
    CHECK(run.slots && scenario->step_count + 2 <= MODEL_WRITES);
    for (unsigned i = 0; i < scenario->step_count; i++) {
        const struct step *step = &scenario->steps[i];

        run.slots[i] = (struct slot){.step = step, .number = i + 2};
        run.slots[i].memory = memory_new(step->length + 4096);
        if (step->act == ACT_WRITE && !(step->flags & TWOSTATE_IO_APPEND))
            model_fill(run.slots[i].memory + step->odd, step->length, step->offset, i + 2);
    }
    run.seen = memory_new(most + 4096);
    run.initial = memory_new(scenario->initial + 1);
    model_fill(run.initial, scenario->initial, 0, 1);
}

void run_clean_up(void)
{
    for (unsigned i = 0; i < run.scenario->step_count; i++)
        free(run.slots[i].memory);
    free(run.slots);
    free(run.seen);
    free(run.initial);
    model_destroy(&run.model);
    CHECK(close(run.disk_fd) == 0);
    scratch_close(&run.scratch);
}

/* The file as every run finds it. */
static void reset(struct run *r)
{
    const size_t initial = r->scenario->initial;

    CHECK(ftruncate(r->scratch.fd, 0) == 0);
    CHECK(pwrite(r->scratch.fd, r->initial, initial, 0) == (ssize_t)initial);
    CHECK(fdatasync(r->scratch.fd) == 0);
    model_reset(&r->model);
    model_resize(&r->model, (int64_t)initial);
    model_write(&r->model, 0, initial, 1, false);
    model_synced(&r->model);
    for (unsigned i = 0; i < r->scenario->step_count; i++) {
        struct slot *slot = &r->slots[i];

        slot->offset = slot->result = 0;
        slot->settled = slot->accepted = slot->cancelled = false;
        store(&slot->done, 0);
    }
    r->failed = false;
    r->in_flight = r->reports = 0;
}

/* Anything that fails, at first, is tried again. */
static void create_engine(struct run *r)
{
    struct twostate_engine_options options = r->scenario->options;
    int result = 0;

    options.backend = r->setting.backend;
    for (int i = 0; i < 3; i++) {
        inject_spare(false);
        result = twostate_engine_create(&options, &r->engine);
        inject_spare(true);
        if (result == 0)
            break;
        run_report_(r, result);
        if (i == 1)
            run_heal_(r);
    }
    CHECK(result == 0);
}

void run_open_(struct run *r)
{
    const struct twostate_file_options options = {.cache = r->setting.cache,
                                                  .folio = r->scenario->folio};
    struct twostate_file_stat stat;
    int result = 0;

    r->file = NULL;
    for (int i = 0; i < 3; i++) {
        inject_spare(false);
        result = twostate_file_open_with(r->engine, r->scratch.path, O_RDWR, 0, &options, &r->file);
        inject_spare(true);
        if (result == 0)
            break;
        run_report_(r, result);
        if (i == 1)
            run_heal_(r);
    }
    CHECK(result == 0);
    r->hits_at_open = run_hits_(r);
    CHECK(twostate_stat(r->file, &stat) == 0);
    r->sector = stat.direct_offset ? stat.direct_offset : 1;
}

/* All that can be seen of the file agrees, whichever way one looks at it. */
static void look_at_all(struct run *r)
{
    const size_t bytes = r->scenario->bytes;
    struct twostate_file_stat stat = {0};

    for (unsigned flags = 0; flags < 2; flags++) {
        const ssize_t n = twostate_pread(r->file, r->seen, bytes, 0, flags);

        if (n != r->model.size)
            run_failed_(r, flags ? "a direct read of all" : "a buffered read of all", n);
        else
            run_see_(r, r->seen, (size_t)n, 0, flags ? "a direct read" : "a buffered read");
    }
    if (twostate_stat(r->file, &stat) || stat.size != r->model.size)
        run_failed_(r, "the size", stat.size);
}

static void close_file(struct run *r)
{
    int result = 0;

    AWAIT(run_idle_(r->file));
    result = twostate_file_close(r->file);
    if (result && (result != -r->trouble.error || r->hits == 0))
        run_failed_(r, "close", result);
}

/* Nothing goes wrong any more: all that was acknowledged is there. */
static void finish(struct run *r)
{
    int result = 0;

    r->step = NULL;
    run_heal_(r);
    run_wait_(r);
    result = twostate_fsync(r->file);
    run_synced_(r, result, r->hits);
    look_at_all(r);
    close_file(r);
    run_look_at_disk_(r, 0, (size_t)r->model.size);
    result = twostate_engine_destroy(r->engine);
    if (result)
        run_failed_(r, "destroy", result);
    for (unsigned i = 0; i < r->scenario->step_count; i++)
        if (load(&r->slots[i].done) != r->slots[i].accepted)
            run_failed_(r, "callbacks of one request", load(&r->slots[i].done));
}

static int count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    CHECK(directory);
    while (readdir(directory))
        count++;
    CHECK(closedir(directory) == 0);
    return count;
}

/* Locks are balanced, and so are descriptors. */
static void check_balance(struct run *r, int descriptors)
{
    struct twostate_report report;
    const int now = count_descriptors();

    if (twostate_validate_leaks())
        run_failed_(r, "holds that somebody has", 0);
    while (twostate_validate_next(&report)) {
        run_failed_(r, "the validator", report.rule);
        printf("%s\n", report.text);
    }
    if (now != descriptors)
        run_failed_(r, "descriptors that are left", now - descriptors);
}

/*
 * What went wrong was told as often as it has to be. A read that fails past the last byte of the file
 * need not be told; nor, by the user cache, what could be written the second time. -EAGAIN may be what
 * NOWAIT asked for.
 */
static void check_reports(struct run *r)
{
    const struct trouble *t = &r->trouble;
    const bool absorbed = t->fault == FAULT_SHORT || t->fault == FAULT_HELD ||
                          t->fault == FAULT_HELD_DONE || t->error == EINTR ||
                          t->kind == CALL_SUBMIT || t->kind == CALL_REAP;
    const bool write = t->kind == CALL_WRITE || inject_writes_hit() != r->writes_hit ||
                       t->kind == CALL_TRUNCATE || t->kind == CALL_FALLOCATE;

    if (absorbed && r->reports > 0)
        run_failed_(r, "reports of what is no error", r->reports);
    if (!absorbed && r->hits == 1 && t->kind != CALL_SYNC && r->reports > 1)
        run_failed_(r, "reports of one error", r->reports);
    if (r->setting.cache == TWOSTATE_CACHE_KERNEL && !absorbed && write && t->error != EAGAIN &&
        r->hits > 0 && r->reports == 0)
        run_failed_(r, "nobody was told", r->hits);
}

bool run_once(struct setting setting, const struct trouble *trouble, uint32_t *counts, bool *hit)
{
    struct run *r = &run;
    uint32_t before[CALL_KINDS];
    int descriptors = 0;

    r->setting = setting;
    r->trouble = *trouble;
    r->step = NULL;
    set_title(r);
    (void)alarm(MOST_SECONDS);
    reset(r);
    descriptors = count_descriptors();
    inject_nothing();
    r->hits = 0;
    r->writes_hit = inject_writes_hit();
    for (int i = 0; i < CALL_KINDS; i++)
        before[i] = inject_count((enum call_kind)i);
    if (trouble->fault != FAULT_NONE)
        inject_fault(trouble->kind, trouble->fault, trouble->nth, trouble->times, trouble->error);
    create_engine(r);
    run_open_(r);
    for (unsigned i = 0; i < r->scenario->step_count; i++)
        run_step_(r, &r->slots[i]);
    for (int i = 0; i < CALL_KINDS && counts; i++)
        counts[i] = inject_count((enum call_kind)i) - before[i];
    finish(r);
    check_balance(r, descriptors);
    check_reports(r);
    *hit = r->hits > 0;
    (void)alarm(0);
    return !r->failed;
}
