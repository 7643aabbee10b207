/* SPDX-License-Identifier: MIT */
/* The command line. What it does not name comes from the environment (SEED), or the clock. */
#include "options.h"
#include "util.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BIT(n) (1U << (unsigned)(n))

static const char usage[] =
    "usage: test_fuzz [option]...\n"
    "       test_fuzz --replay FILE...\n"
    "Random operations on the IO engine, each compared with a model in memory.\n"
    "  --ops N           stop after so many operations (default 20000)\n"
    "  --minutes M       or after so many minutes\n"
    "  --seed S          a run's seed: the same one makes the same operations\n"
    "  --cache C         user, kernel or both (default both)\n"
    "  --backend B       uring, threads or both (default both)\n"
    "  --threads T       T threads on one file, whose reads are checked for order\n"
    "  --file PATH       the file to use, and PATH.2; they stay (default: files without a name\n"
    "                    in $TWOSTATE_TEST_DIR, or here)\n"
    "  --shrink SECONDS  how long to make a script that fails smaller (default 60)\n"
    "  --print           print the scripts instead of running them\n"
    "  --replay FILE...  run scripts\n";

static uint64_t default_seed(void)
{
    const char *given = getenv("SEED");
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return given ? strtoull(given, NULL, 0)
                 : (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static double number(const char *text)
{
    char *end = NULL;
    const double value = strtod(text, &end);

    if (*text == 0 || *end || value < 0)
        die("not a number: %s", text);
    return value;
}

static unsigned choose(const char *text, const char *first, unsigned first_bit, const char *second,
                       unsigned second_bit)
{
    if (strcmp(text, first) == 0)
        return first_bit;
    if (strcmp(text, second) == 0)
        return second_bit;
    if (strcmp(text, "both") != 0)
        die("not %s, %s or both: %s", first, second, text);
    return first_bit | second_bit;
}

static void set(struct options *o, int option, const char *value)
{
    switch (option) {
    case 'o':
        o->ops = (uint64_t)number(value);
        break;
    case 'm':
        o->minutes = number(value);
        break;
    case 's':
        o->seed = strtoull(value, NULL, 0);
        break;
    case 'c':
        o->choice.caches =
            choose(value, "user", BIT(TWOSTATE_CACHE_USER), "kernel", BIT(TWOSTATE_CACHE_KERNEL));
        break;
    case 'b':
        o->choice.backends = choose(value, "uring", BIT(TWOSTATE_BACKEND_URING), "threads",
                                    BIT(TWOSTATE_BACKEND_THREADS));
        break;
    case 't':
        o->threads = (unsigned)number(value);
        break;
    case 'f':
        o->place.path = value;
        break;
    case 'r':
        o->shrink = (int)number(value);
        break;
    default:
        o->print = true;
    }
}

bool options_parse(struct options *o, int argc, char **argv, int *status)
{
    const struct option names[] = {
        {"ops", required_argument, NULL, 'o'},     {"minutes", required_argument, NULL, 'm'},
        {"seed", required_argument, NULL, 's'},    {"cache", required_argument, NULL, 'c'},
        {"backend", required_argument, NULL, 'b'}, {"threads", required_argument, NULL, 't'},
        {"file", required_argument, NULL, 'f'},    {"shrink", required_argument, NULL, 'r'},
        {"print", no_argument, NULL, 'p'},         {"replay", no_argument, NULL, 'y'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    bool replay = false;
    int option = 0;

    *o = (struct options){
        .seed = default_seed(), .threads = 1, .shrink = 60, .progress = isatty(STDERR_FILENO)};
    set(o, 'c', "both");
    set(o, 'b', "both");
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'h' || option == '?') {
            fputs(usage, option == 'h' ? stdout : stderr);
            *status = option == 'h' ? 0 : 2;
            return false;
        }
        if (option == 'y')
            replay = true;
        else
            set(o, option, optarg);
    }
    if (replay != (optind < argc))
        die("--replay and files go together");
    o->replay = replay ? argv + optind : NULL;
    if (o->ops == 0 && o->minutes == 0)
        o->ops = 20000;
    return true;
}
