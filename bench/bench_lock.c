/* SPDX-License-Identifier: MIT */
/* bench_lock: the lock against its peers. The command line; pair.c and mixed.c do the work. */
#include "bench_lock.h"

#include <string.h>

#include "cli.h"
#include "clock.h"
#include "report.h"

#define DEFAULT_RUNS 7
#define QUICK_RUNS   3

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

int main(int argc, char **argv)
{
    static const struct option known[] = {CLI_JSON, CLI_PLOT, CLI_QUICK,
                                          CLI_RUNS, CLI_HELP, CLI_END};
    struct cli cli = {
        .program = "bench_lock", .usage = usage, .operand_is = "which benchmark, pair or mixed?"};
    struct options options;
    const int status = cli_parse(&cli, known, argc, argv);

    if (status >= 0)
        return status;
    options = (struct options){.quick = cli.quick, .runs = cli.runs, .plot = cli.plot};
    if (options.runs == 0)
        options.runs = options.quick ? QUICK_RUNS : DEFAULT_RUNS;
    if (strcmp(cli.operand, "pair") != 0 && strcmp(cli.operand, "mixed") != 0)
        return cli_bad(&cli, "pair or mixed, not ", cli.operand);
    if (cli.plot != NULL && !report_can_plot())
        return 1;
    if (cli.json != NULL && (options.json = report_open(cli.json)) == NULL)
        return 1;
    clock_calibrate();
    return strcmp(cli.operand, "pair") == 0 ? pair_main(&options) : mixed_main(&options);
}
