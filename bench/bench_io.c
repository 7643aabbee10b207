/* SPDX-License-Identifier: MIT */
/* bench_io: the engine against the ways to do the same IO without it. The command line. */
#include "bench_io.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "clock.h"
#include "report.h"

#define DEFAULT_RUNS 7
#define QUICK_RUNS   3

static const char usage[] =
    "usage: bench_io CASE [--json FILE] [--plot FILE.svg] [--dir DIR] [--quick] [--runs N]\n"
    "\n"
    "  cached     overwrites, reads and both at random within what is cached, 1 to 8 threads\n"
    "  direct     direct IO at depth 1, 8 and 32, against a bare liburing loop\n"
    "  mixed      two buffered and two direct threads on one file\n"
    "  writeback  a sync of what is dirty: 1 GiB in one piece, 4096 blocks here and there\n"
    "  memory     the budget, and what an operation costs in large files and with many open\n"
    "\n"
    "  --json FILE      write the figures to FILE\n"
    "  --plot FILE.svg  draw them (cached, direct and mixed; needs gnuplot)\n"
    "  --dir DIR        where the test files are made, without names (the current directory)\n"
    "  --quick          smaller files, fewer cells, shorter runs: under 30 s\n"
    "  --runs N         each figure is the median of N runs (7; with --quick 3);\n"
    "                   cached and memory: of 3 N, each a third as long\n"
    "  --help           print this\n";

static const struct {
    const char *name;
    json_t *(*run)(const struct io_options *options);
    bool draws;
} cases[] = {{"cached", io_cached, true},
             {"direct", io_direct, true},
             {"mixed", io_mixed, true},
             {"writeback", io_writeback, false},
             {"memory", io_memory, false}};

static int run(const struct cli *cli, const struct io_options *options)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        FILE *json = NULL;
        json_t *rows;
        bool ok;

        if (strcmp(cli->operand, cases[i].name) != 0)
            continue;
        if (cli->plot != NULL && !cases[i].draws)
            return cli_bad(cli, "no plot of ", cli->operand);
        if (cli->plot != NULL && !report_can_plot())
            return 1;
        if (cli->json != NULL && (json = report_open(cli->json)) == NULL)
            return 1;
        clock_calibrate();
        rows = cases[i].run(options);
        ok = cli->plot == NULL || io_draw(cli->plot, rows);
        return report_json(json, rows) && ok ? 0 : 1;
    }
    fprintf(stderr, "bench_io: no case %s; there are:", cli->operand);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        fprintf(stderr, " %s", cases[i].name);
    fputc('\n', stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {CLI_JSON, CLI_PLOT, CLI_DIR, CLI_QUICK,
                                          CLI_RUNS, CLI_HELP, CLI_END};
    struct cli cli = {.program = "bench_io", .usage = usage, .operand_is = "which case?"};
    struct io_options options;
    const int status = cli_parse(&cli, known, argc, argv);

    if (status >= 0)
        return status;
    options =
        (struct io_options){.dir = cli.dir ? cli.dir : ".", .quick = cli.quick, .runs = cli.runs};
    if (options.runs == 0)
        options.runs = options.quick ? QUICK_RUNS : DEFAULT_RUNS;
    return run(&cli, &options);
}
