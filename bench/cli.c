/* SPDX-License-Identifier: MIT */
/* Reading a benchmark's command line. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_RUNS 1000

int cli_bad(const struct cli *cli, const char *what, const char *value)
{
    fprintf(stderr, "%s: %s%s; see --help\n", cli->program, what, value);
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

static int help(const struct cli *cli)
{
    return fputs(cli->usage, stdout) == EOF || fflush(stdout) == EOF;
}

int cli_parse(struct cli *cli, const struct option *options, int argc, char **argv)
{
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case 'j':
            cli->json = optarg;
            break;
        case 'p':
            cli->plot = optarg;
            break;
        case 'd':
            cli->dir = optarg;
            break;
        case 'q':
            cli->quick = true;
            break;
        case 'r':
            if (!parse_runs(optarg, &cli->runs))
                return cli_bad(cli, "--runs takes a number from 1 to 1000, not ", optarg);
            break;
        case 'h':
            return help(cli);
        default:
            return cli_bad(cli, "unknown option, or one without its value", "");
        }
    }
    if (optind == argc)
        return cli_bad(cli, cli->operand_is, "");
    if (argc - optind > 1)
        return cli_bad(cli, "too many arguments: ", argv[optind + 1]);
    cli->operand = argv[optind];
    return -1;
}
