/* SPDX-License-Identifier: MIT */
/* twostate-io: which command it is, signals, and where the results go. */
#include "help.h"
#include "jobs.h"
#include "options.h"
#include "report.h"
#include "run.h"
#include "top.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void on_signal(int number)
{
    (void)number;
    atomic_store(&load_interrupted, 1);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* Before anything is printed. */
static void prepare_output(const char *json)
{
    if (json != NULL && strcmp(json, "-") == 0 && report_json_only() != 0)
        die("the standard output: %s", strerror(errno));
}

/* Writes the results, if there are any and somebody wants them. */
static int finish_output(json_t *root, const char *json, int status)
{
    if (root != NULL && json != NULL) {
        int error = report_write(root, json);

        if (error) {
            complain("%s: %s", json, strerror(-error));
            status = 2;
        }
    } else if (root != NULL) {
        json_decref(root);
    }
    return status_of_output(status);
}

static int run_main(int argc, char **argv)
{
    struct options options;
    json_t *root = NULL;

    options_parse(&options, argc, argv);
    prepare_output(options.json);
    catch_signals();
    int status = run_file(&options, &root);

    return finish_output(root, options.json, status);
}

static int job_main(int argc, char **argv)
{
    struct jobs jobs;
    json_t *root = NULL;

    jobs_parse(&jobs, argc, argv);
    prepare_output(jobs.json);
    catch_signals();
    int status = jobs_run(&jobs, &root);

    status = finish_output(root, jobs.json, status);
    jobs_free(&jobs);
    return status;
}

static int look_main(int argc, char **argv)
{
    catch_signals();
    return top_main(argc, argv);
}

static int help_main(int argc, char **argv)
{
    if (argc > 2)
        die("help: one topic at a time");
    return help_print(argc == 2 ? argv[1] : NULL);
}

int main(int argc, char **argv)
{
    static struct {
        const char *name;
        int (*main)(int argc, char **argv);
        char as[20]; /* what getopt's messages begin with */
    } commands[] = {{"run", run_main, "twostate-io run"},
                    {"job", job_main, "twostate-io job"},
                    {"top", look_main, "twostate-io top"},
                    {"help", help_main, "twostate-io help"}};

    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return help_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("twostate-io " TWOSTATE_VERSION);
        return status_of_output(0);
    }
    for (unsigned i = 0; argc > 1 && i < sizeof(commands) / sizeof(*commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            argv[1] = commands[i].as;
            return commands[i].main(argc - 1, argv + 1);
        }
    }
    if (argc > 1)
        complain("there is no command '%s'", argv[1]);
    fputs("usage: twostate-io run FILE | job JOBFILE | top FILE|PID | help [TOPIC]\n"
          "Try twostate-io --help.\n",
          stderr);
    return 2;
}
