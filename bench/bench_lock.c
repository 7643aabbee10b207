/* SPDX-License-Identifier: MIT */
/* bench_lock: the lock against its peers. The command line; a file for each command does the work. */
#include "bench_lock.h"

#include <string.h>

#include "cli.h"
#include "clock.h"
#include "report.h"

#define DEFAULT_RUNS 7
#define QUICK_RUNS   3

static const char usage[] =
    "usage: bench_lock COMMAND [--json FILE] [--plot FILE.svg] [--quick] [--runs N]\n"
    "\n"
    "  pair     what acquire and release cost, 1 and 2 threads that share one state; the sizes\n"
    "  mixed    throughput and waits where two states contend, over threads, hold times and "
    "shares\n"
    "  direct   the same where holders of state B sleep 100 us: direct IO in flight\n"
    "  latency  wake-up, drain and switch\n"
    "  syscalls system calls for each operation\n"
    "  starve   how often one thread gets state B, or a drain, while holders of A overlap\n"
    "  machine  names the machine and the compiler\n"
    "\n"
    "  --json FILE      write the figures to FILE\n"
    "  --plot FILE.svg  draw them (pair, mixed, direct and latency; needs gnuplot)\n"
    "  --quick          fewer cells, shorter runs: under 30 s\n"
    "  --runs N         each figure is the median of N runs (7; with --quick 3); syscalls has one\n"
    "  --help           print this\n";

static int machine_main(const struct options *options)
{
    char text[256];
    json_t *object;

    report_machine(text, sizeof(text));
    puts(text);
    object = json_pack("{s:s}", "machine", text);
    return report_json(options->json, object) ? 0 : 1;
}

static const struct command {
    const char *name;
    int (*main)(const struct options *options);
    bool draws;
} commands[] = {{"pair", pair_main, true},          {"mixed", mixed_main, true},
                {"direct", direct_main, true},      {"latency", latency_main, true},
                {"syscalls", syscalls_main, false}, {"starve", starve_main, false},
                {"machine", machine_main, false}};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {CLI_JSON, CLI_PLOT, CLI_QUICK,
                                          CLI_RUNS, CLI_HELP, CLI_END};
    struct cli cli = {.program = "bench_lock", .usage = usage, .operand_is = "which benchmark?"};
    const struct command *command = NULL;
    struct options options;
    const int status = cli_parse(&cli, known, argc, argv);

    if (status >= 0)
        return status;
    options = (struct options){.quick = cli.quick, .runs = cli.runs, .plot = cli.plot};
    if (options.runs == 0)
        options.runs = options.quick ? QUICK_RUNS : DEFAULT_RUNS;
    command = find(cli.operand);
    if (command == NULL)
        return cli_bad(&cli, "no benchmark is called ", cli.operand);
    if (cli.plot != NULL && !command->draws)
        return cli_bad(&cli, "no plot of ", cli.operand);
    if (cli.plot != NULL && !report_can_plot())
        return 1;
    if (cli.json != NULL && (options.json = report_open(cli.json)) == NULL)
        return 1;
    clock_calibrate();
    return command->main(&options);
}
