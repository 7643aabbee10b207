/* SPDX-License-Identifier: MIT */
/* bench_lock: the lock against its peers. The command line; pair.c and mixed.c do the work. */
#include "bench_lock.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "report.h"

#define DEFAULT_RUNS 7
#define QUICK_RUNS   3
#define MAX_RUNS     1000

static const char usage[] =
    "usage: bench_lock pair|mixed [--json FILE] [--plot FILE.svg] [--quick] [--runs N]\n"
    "\n"
    "  pair   what acquire and release cost, 1 and 2 threads that share one state\n"
    "  mixed  throughput and waits where two states contend, over threads, hold times and shares\n"
    "\n"
    "  --json FILE      write the figures to FILE\n"
    "  --plot FILE.svg  draw them (needs gnuplot)\n"
    "  --quick          fewer cells, shorter runs: under 30 s\n"
    "  --runs N         each figure is the median of N runs (7; with --quick 3)\n"
    "  --help           print this\n";

static int bad(const char *what, const char *value)
{
    fprintf(stderr, "bench_lock: %s%s; see --help\n", what, value);
    return 2;
}

static bool parse_runs(const char *text, unsigned *runs)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || value < 1 || value > MAX_RUNS)
        return false;
    *runs = (unsigned)value;
    return true;
}

static int run(const char *command, const struct options *options)
{
    if (options->plot != NULL && !report_can_plot())
        return 1;
    clock_calibrate();
    return strcmp(command, "pair") == 0 ? pair_main(options) : mixed_main(options);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"json", required_argument, NULL, 'j'}, {"plot", required_argument, NULL, 'p'},
        {"quick", no_argument, NULL, 'q'},      {"runs", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0}};
    struct options options = {0};
    const char *json = NULL;

    for (int c; (c = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
        if (c == 'j')
            json = optarg;
        else if (c == 'p')
            options.plot = optarg;
        else if (c == 'q')
            options.quick = true;
        else if (c == 'r' && !parse_runs(optarg, &options.runs))
            return bad("--runs takes a number from 1 to 1000, not ", optarg);
        else if (c == 'h')
            return fputs(usage, stdout) == EOF;
        else if (c == '?')
            return bad("unknown option, or one without its value", "");
    }
    if (optind == argc)
        return bad("which benchmark, pair or mixed?", "");
    if (argc - optind > 1)
        return bad("too many arguments: ", argv[optind + 1]);
    if (strcmp(argv[optind], "pair") != 0 && strcmp(argv[optind], "mixed") != 0)
        return bad("pair or mixed, not ", argv[optind]);
    if (options.runs == 0)
        options.runs = options.quick ? QUICK_RUNS : DEFAULT_RUNS;
    if (json != NULL && (options.json = report_open(json)) == NULL)
        return 1;
    return run(argv[optind], &options);
}
