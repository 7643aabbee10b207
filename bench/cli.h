/* SPDX-License-Identifier: MIT */
/* The command lines of both benchmarks: one operand, and options of which each takes its own. */
#ifndef BENCH_CLI_H
#define BENCH_CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

struct cli {
    const char *program;
    const char *usage;
    const char *operand_is; /* says what is missing if there is no operand */
    const char *operand;
    bool quick;
    unsigned runs;    /* each figure is the median of so many; 0: not given */
    const char *json; /* file names, NULL if not given */
    const char *plot;
    const char *dir;
};

/* Each option's letter, for cli_parse. */
#define CLI_JSON                                                                                   \
    {                                                                                              \
        "json", required_argument, NULL, 'j'                                                       \
    }
#define CLI_PLOT                                                                                   \
    {                                                                                              \
        "plot", required_argument, NULL, 'p'                                                       \
    }
#define CLI_DIR                                                                                    \
    {                                                                                              \
        "dir", required_argument, NULL, 'd'                                                        \
    }
#define CLI_QUICK                                                                                  \
    {                                                                                              \
        "quick", no_argument, NULL, 'q'                                                            \
    }
#define CLI_RUNS                                                                                   \
    {                                                                                              \
        "runs", required_argument, NULL, 'r'                                                       \
    }
#define CLI_HELP                                                                                   \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }
#define CLI_END                                                                                    \
    {                                                                                              \
        NULL, 0, NULL, 0                                                                           \
    }

/* Fills in what was given. Returns -1 to go on, or the exit status: 0 after --help, 2 if wrong. */
int cli_parse(struct cli *cli, const struct option *options, int argc, char **argv);

/* Says what is wrong; returns the exit status for it. */
int cli_bad(const struct cli *cli, const char *what, const char *value);

#endif
