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
    "usage: bench_io CASE [--json FILE] [--dir DIR] [--quick] [--runs N]\n"
    "\n"
    "  mixed   two buffered and two direct threads on one file\n"
    "  direct  direct IO at depth 1, 8 and 32, against a bare liburing loop\n"
    "\n"
    "  --json FILE  write the figures to FILE\n"
    "  --dir DIR    where the test file is made, without a name (the current directory)\n"
    "  --quick      a smaller file, shorter runs: under 30 s\n"
    "  --runs N     each figure is the median of N runs (7; with --quick 3)\n"
    "  --help       print this\n";

static const struct {
    const char *name;
    json_t *(*run)(const struct io_options *options);
} cases[] = {{"mixed", io_mixed}, {"direct", io_direct}};

static int run(const struct cli *cli, const struct io_options *options)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        FILE *json = NULL;

        if (strcmp(cli->operand, cases[i].name) != 0)
            continue;
        if (cli->json != NULL && (json = report_open(cli->json)) == NULL)
            return 1;
        clock_calibrate();
        return report_json(json, cases[i].run(options)) ? 0 : 1;
    }
    fprintf(stderr, "bench_io: no case %s; there are:", cli->operand);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        fprintf(stderr, " %s", cases[i].name);
    fputc('\n', stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {CLI_JSON, CLI_DIR,  CLI_QUICK,
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
