/* SPDX-License-Identifier: MIT */
/*
 * The fuzzer of the IO engine: scripts of random operations, each run in a process of its own and
 * compared with a model; the first that fails is made smaller, printed, and kept in a file.
 */
#include "options.h"
#include "run.h"
#include "shrink.h"
#include "threads.h"
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE        45 /* seconds that an operation may take */
#define SHRUNK_PATIENCE 10
#define TRIES           20 /* runs of a script that fails now and then */
#define SHORT           60 /* operations of a script that is printed */

struct fuzz {
    struct options options;
    struct report *report;
    struct script *script;
    unsigned tries;
    int patience;
    uint64_t done;
    int64_t begun;
    int64_t shown;
};

struct one_run {
    const struct script *script;
    const struct place *place;
};

static void run_script(void *arg, struct report *report)
{
    const struct one_run *run = arg;

    script_run(run->script, run->place, report);
}

static void show_progress(void *arg)
{
    struct fuzz *f = arg;
    const int64_t now = now_ns();

    if (!f->options.progress || now - f->shown < NS_PER_S / 2)
        return;
    f->shown = now;
    fprintf(stderr, "\r%.0f s: %" PRIu64 " operations \033[K", (double)(now - f->begun) / 1e9,
            f->done + report_get(&f->report->done));
}

static enum outcome run_once(struct fuzz *f, const struct script *script, bool quiet)
{
    struct one_run run = {script, &f->options.place};
    const struct child child = {.run = run_script,
                                .arg = &run,
                                .patience = f->patience,
                                .quiet = quiet,
                                .tick = quiet ? NULL : show_progress,
                                .tick_arg = f};

    return child_run(&child, f->report);
}

static bool script_fails(const struct script *script, void *arg)
{
    struct fuzz *f = arg;

    for (unsigned i = 0; i < f->tries; i++)
        if (run_once(f, script, true) != OUTCOME_OK)
            return true;
    return false;
}

static void keep_script(const struct fuzz *f, uint64_t seed)
{
    char name[64];
    FILE *file = NULL;

    (void)snprintf(name, sizeof(name), "fuzz-%llx.txt", (unsigned long long)seed);
    file = fopen(name, "w");
    if (file) {
        script_print(f->script, file);
        (void)fclose(file);
        printf("kept in %s, to be run by --replay\n", name);
    }
}

/* Fails now and then only: each of the shrinker's questions is asked several times. */
static void shrink_failed(struct fuzz *f, uint64_t seed, enum outcome outcome)
{
    const size_t last = (size_t)report_get(&f->report->step);

    f->patience = outcome == OUTCOME_HUNG ? SHRUNK_PATIENCE : PATIENCE;
    f->tries = 3;
    if (!script_fails(f->script, f))
        f->tries = TRIES;
    else
        f->tries = 1;
    printf("making the script smaller, for at most %d s\n", f->options.shrink);
    shrink(f->script, last, script_fails, f, f->options.shrink);
    f->tries = TRIES;
    if (script_fails(f->script, f))
        printf("%s\n", f->report->message);
    else
        printf("it does not fail any more\n");
    if (f->script->count <= SHORT)
        script_print(f->script, stdout);
    keep_script(f, seed);
}

static void failed(struct fuzz *f, const char *what, uint64_t seed)
{
    if (f->options.progress)
        fputs("\r\033[K", stderr);
    printf("FAILED after %" PRIu64 " operations, %s %" PRIu64 ": %s\n",
           f->done + report_get(&f->report->done), what, seed, f->report->message);
    (void)fflush(stdout);
}

static bool is_over(const struct fuzz *f)
{
    const struct options *o = &f->options;

    return (o->ops > 0 && f->done >= o->ops) ||
           (o->minutes > 0 && (double)(now_ns() - f->begun) > o->minutes * 60e9);
}

/* A script's own seed is printed when it fails: with --ops 1 and that seed it is the first one. */
static uint64_t script_seed(uint64_t seed, uint64_t number)
{
    uint64_t state = seed + number;

    return number ? random_next(&state) : seed;
}

static int run_sequential(struct fuzz *f)
{
    for (uint64_t number = 0; !is_over(f); number++) {
        const uint64_t seed = script_seed(f->options.seed, number);
        enum outcome outcome = OUTCOME_OK;

        script_make(f->script, seed, &f->options.choice, SCRIPT_MOST);
        if (f->options.print) {
            script_print(f->script, stdout);
            f->done += f->script->count;
            continue;
        }
        outcome = run_once(f, f->script, false);
        if (outcome != OUTCOME_OK) {
            failed(f, "script of seed", seed);
            shrink_failed(f, seed, outcome);
            return EXIT_FAILURE;
        }
        f->done += f->script->count;
    }
    return EXIT_SUCCESS;
}

static int run_concurrent(struct fuzz *f)
{
    for (uint64_t number = 0; !is_over(f); number++) {
        struct threads_run run = {.choice = &f->options.choice,
                                  .place = &f->options.place,
                                  .threads = f->options.threads,
                                  .seed = script_seed(f->options.seed, number)};
        const struct child child = {.run = threads_run,
                                    .arg = &run,
                                    .patience = PATIENCE,
                                    .tick = show_progress,
                                    .tick_arg = f};

        if (child_run(&child, f->report) != OUTCOME_OK) {
            failed(f, "load of seed", run.seed);
            return EXIT_FAILURE;
        }
        f->done += report_get(&f->report->done);
    }
    return EXIT_SUCCESS;
}

static int replay(struct fuzz *f)
{
    int status = EXIT_SUCCESS;

    for (char **name = f->options.replay; *name; name++) {
        FILE *file = fopen(*name, "r");
        int line = 0;

        if (file == NULL)
            die("%s: %s", *name, strerror(errno));
        line = script_parse(f->script, file);
        (void)fclose(file);
        if (line)
            die("%s:%d: not understood", *name, line);
        if (run_once(f, f->script, false) != OUTCOME_OK) {
            printf("FAILED: %s: %s\n", *name, f->report->message);
            status = EXIT_FAILURE;
        }
        f->done += f->script->count;
    }
    return status;
}

int main(int argc, char **argv)
{
    struct fuzz f = {.patience = PATIENCE};
    int status = EXIT_SUCCESS;

    if (!options_parse(&f.options, argc, argv, &status))
        return status;
    f.begun = now_ns();
    f.report = report_new();
    f.script = zalloc(1, sizeof(*f.script));
    if (f.options.replay) {
        status = replay(&f);
    } else {
        if (!f.options.print)
            printf("SEED=%llu\n", (unsigned long long)f.options.seed);
        status = f.options.threads > 1 ? run_concurrent(&f) : run_sequential(&f);
    }
    if (f.options.progress)
        fputs("\r\033[K", stderr);
    if (status == EXIT_SUCCESS && !f.options.print)
        printf("%llu operations in %.0f s: all agree\n", (unsigned long long)f.done,
               (double)(now_ns() - f.begun) / 1e9);
    free(f.script);
    return status;
}
