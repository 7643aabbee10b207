/* SPDX-License-Identifier: MIT */
/* The command line of the crash tests: see options.h. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static void usage(const char *program)
{
    (void)fprintf(stderr,
                  "usage: %s [--rounds N] [--seed S] [--cache kernel|user]\n"
                  "       [--backend uring|threads] [--lie sync|dsync]\n",
                  program);
    exit(2);
}

void skip(const char *why, int error)
{
    (void)printf("NOT TESTED: %s%s%s\n", why, error ? ": " : "", error ? strerror(error) : "");
    exit(EXIT_SKIPPED);
}

void die(const char *what)
{
    perror(what);
    exit(1);
}

pid_t fork_bound(void)
{
    const pid_t parent = getpid();
    const pid_t child = fork();

    if (child < 0)
        die("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) /* it died before */
            _exit(1);
    }
    return child;
}

static uint64_t seed_of_the_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void parse_one(struct options *options, int option, char **argv)
{
    switch (option) {
    case 'r':
        options->rounds = (uint32_t)strtoul(optarg, NULL, 0);
        return;
    case 's':
        options->seed = strtoull(optarg, NULL, 0);
        return;
    case 'c':
        options->cache = strcmp(optarg, "user") == 0 ? TWOSTATE_CACHE_USER : TWOSTATE_CACHE_KERNEL;
        return;
    case 'b':
        options->backend =
            strcmp(optarg, "threads") == 0 ? TWOSTATE_BACKEND_THREADS : TWOSTATE_BACKEND_URING;
        return;
    case 'l':
        options->lie = optarg;
        return;
    default:
        usage(argv[0]);
    }
}

struct options options_parse(int argc, char **argv, uint32_t rounds)
{
    static const struct option known[] = {
        {"rounds", required_argument, NULL, 'r'},  {"seed", required_argument, NULL, 's'},
        {"cache", required_argument, NULL, 'c'},   {"lie", required_argument, NULL, 'l'},
        {"backend", required_argument, NULL, 'b'}, {0},
    };
    struct options options = {
        .seed = seed_of_the_clock(),
        .rounds = rounds,
        .backend = TWOSTATE_BACKEND_AUTO,
    };
    int option = 0;

    while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0)
        parse_one(&options, option, argv);
    if (optind < argc)
        usage(argv[0]);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)printf("seed %" PRIu64 ", %u rounds\n", options.seed, options.rounds);
    return options;
}

int options_judge(const struct options *options, uint32_t wrong)
{
    if (options->lie) {
        (void)printf("a lie about %s: %s\n", options->lie, wrong ? "found" : "NOT FOUND");
        return wrong ? 0 : 1;
    }
    (void)printf("%s: %u wrong\n", wrong ? "FAILED" : "passed", wrong);
    return wrong ? 1 : 0;
}
