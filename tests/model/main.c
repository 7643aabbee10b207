/* SPDX-License-Identifier: MIT */
/*
 * The command: explores one program, or a set of them, and says what was exhausted and what was
 * not.
 *
 *     model [options] program       threads, one word each (program.h)
 *     model [options] --set NAME    the programs of a set (sets.c); --sets lists them
 *
 *     --subject NAME                lock, iolock, pair, folio, lease: what the operations are about;
 *                                   --ops lists them
 *     --full                        a step is one access to a word; else fused (world.h)
 *     --splits N                    fused, but so many times in an execution
 *     --spurious N                  wake-ups for no reason in an execution; 1
 *     --patience-0                  of a lock that is handed over as soon as somebody waits
 *     --shared                      a lock between processes
 *     --no-merge                    keeps apart what differs in dead memory only (automaton.c)
 *     --no-reduction                looks at states that others cover, too (store.h)
 *     --states N                    gives up (and says so) beyond so many
 *     --random SEED, --pct SEED     --schedules N by chance instead (walk.h), --changes N
 *     --replay WAY                  shows one schedule, as printed with a failure
 *     --expect-failure              succeeds if it fails: for locks with a known bug
 *     --progress                    a line on stderr
 */
#include "automaton.h"
#include "explore.h"
#include "program.h"
#include "sets.h"
#include "trace.h"
#include "walk.h"
#include "word.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct options {
    struct program program;
    uint32_t states;
    uint64_t seed;
    unsigned schedules;
    bool by_chance, progress, expect_failure, no_merge, no_reduction;
    int changes;
    const char *replay, *set;
};

static const char *const subjects[] = {"lock", "iolock", "pair", "folio", "lease"};

static void list_ops(void)
{
    for (unsigned i = 3; i < ops_count; i++)
        printf("%-7s %-3s %s\n", subjects[ops[i].subject], ops[i].name, ops[i].what);
}

static bool set_subject(struct program *program, const char *name)
{
    for (unsigned i = 0; i < SUBJECT_ANY; i++) {
        if (strcmp(name, subjects[i]) == 0) {
            program->subject = (enum subject)i;
            return true;
        }
    }
    return false;
}

static bool parse(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"subject", required_argument, NULL, 's'},
        {"full", no_argument, NULL, 'f'},
        {"splits", required_argument, NULL, 'k'},
        {"spurious", required_argument, NULL, 'w'},
        {"patience-0", no_argument, NULL, '0'},
        {"shared", no_argument, NULL, 'S'},
        {"states", required_argument, NULL, 'n'},
        {"random", required_argument, NULL, 'r'},
        {"pct", required_argument, NULL, 'p'},
        {"schedules", required_argument, NULL, 'N'},
        {"changes", required_argument, NULL, 'c'},
        {"replay", required_argument, NULL, 'R'},
        {"expect-failure", no_argument, NULL, 'x'},
        {"progress", no_argument, NULL, 'P'},
        {"no-merge", no_argument, NULL, 'M'},
        {"no-reduction", no_argument, NULL, 'e'},
        {"set", required_argument, NULL, 't'},
        {"sets", no_argument, NULL, 'T'},
        {"ops", no_argument, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };
    struct program *program = &options->program;
    int option = 0;

    optind = 1;
    while ((option = getopt_long(argc, argv, "+", names, NULL)) != -1) {
        const unsigned long number = optarg ? strtoul(optarg, NULL, 0) : 0;

        switch (option) {
        case 's':
            if (!set_subject(program, optarg))
                return false;
            break;
        case 'f':
            program->splits = SPLITS_ALL;
            break;
        case 'k':
            program->splits = (unsigned)number;
            break;
        case 'w':
            program->spurious = (unsigned)number;
            break;
        case '0':
            program->first_word |= word_patience(0);
            break;
        case 'S':
            program->first_word |= WORD_SHARED;
            break;
        case 'n':
            options->states = (uint32_t)number;
            break;
        case 'r':
        case 'p':
            options->by_chance = true;
            options->seed = number;
            options->changes = option == 'r' ? -1 : 3;
            break;
        case 'N':
            options->schedules = (unsigned)number;
            break;
        case 'c':
            options->changes = (int)number;
            break;
        case 'R':
            options->replay = optarg;
            break;
        case 'x':
            options->expect_failure = true;
            break;
        case 'M':
            options->no_merge = true;
            break;
        case 'e':
            options->no_reduction = true;
            break;
        case 'P':
            options->progress = true;
            break;
        case 't':
            options->set = optarg;
            break;
        case 'T':
            sets_list();
            exit(0);
        case 'o':
            list_ops();
            exit(0);
        default:
            return false;
        }
    }
    for (int i = optind; i < argc; i++)
        if (!program_add(program, argv[i], strlen(argv[i])))
            return false;
    program_finish(program);
    return options->set || program->threads > 0;
}

static void print_mode(const struct options *options)
{
    const struct program *program = &options->program;

    printf("%s, ", subjects[program->subject]);
    if (program->splits == SPLITS_ALL)
        fputs("full", stdout);
    else if (program->splits)
        printf("fused with %u splits", program->splits);
    else
        fputs("fused", stdout);
    if (options->no_merge)
        fputs(", not merged", stdout);
    if (options->no_reduction)
        fputs(", not reduced", stdout);
    if (word_patience_us(program->first_word) == 0)
        fputs(", patience 0", stdout);
    if (program->first_word & WORD_SHARED)
        fputs(", shared", stdout);
    fputs(": ", stdout);
    trace_print_program(stdout, program);
}

static void print_result(const struct options *options, const struct exploration *result)
{
    static const char *const verdicts[] = {"exhausted", "cut, nothing wrong", "WRONG"};

    print_mode(options);
    if (options->by_chance)
        printf(": %s from seed %llu on: %u schedules, %llu steps, the longest %u, %.1f s%s\n",
               options->changes < 0 ? "random" : "PCT", (unsigned long long)options->seed,
               result->states, (unsigned long long)result->steps, result->depth, result->seconds,
               result->wrong ? ": WRONG" : ", nothing wrong");
    else
        printf(": %s: %u states, %llu steps, depth %u, %.1f s\n", verdicts[result->verdict],
               result->states, (unsigned long long)result->steps, result->depth, result->seconds);
    if (result->verdict == VERDICT_FAILED) {
        printf("%s\n", result->wrong);
        trace_print(stdout, &options->program, result->way, result->length);
        fputs("--replay ", stdout);
        trace_print_way(stdout, result->way, result->length);
        fputc('\n', stdout);
    }
    fflush(stdout);
}

static int run(const struct options *options)
{
    const struct program *program = &options->program;
    struct exploration result;

    automaton_init(!program->async && program->splits == 0 && !options->no_merge);
    if (options->replay) {
        static struct choice way[20000];
        const unsigned length = trace_parse(options->replay, way, sizeof(way) / sizeof(way[0]));

        trace_print(stdout, program, way, length);
        return length == 0;
    }
    if (options->by_chance)
        result = walk(program, options->seed, options->schedules, options->changes);
    else
        result = explore(program, options->states, !options->no_reduction, options->progress);
    print_result(options, &result);
    free(result.way);
    return (result.verdict == VERDICT_FAILED) != options->expect_failure;
}

static const struct options defaults = {
    .program = {.spurious = 1}, .states = 30000000, .schedules = 10000};

/* In a process of its own: each has its own automaton, and its memory is gone with it. */
static int run_line(const char *line, const struct options *common, unsigned *exhausted)
{
    char copy[400], *argv[40] = {(char *)"model"};
    struct options options = defaults;
    int argc = 1, status = 0;
    pid_t child = 0;

    options.progress = common->progress;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok(copy, " "); word && argc < 39; word = strtok(NULL, " "))
        argv[argc++] = word;
    if (!parse(&options, argc, argv))
        return 2;
    child = fork();
    if (child == 0)
        exit(run(&options));
    waitpid(child, &status, 0);
    *exhausted += !options.by_chance;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

int main(int argc, char **argv)
{
    struct options options = defaults;
    unsigned exhausted = 0, count = 0;
    const char *const *lines = NULL;
    int result = 0;

    if (!parse(&options, argc, argv)) {
        fputs("usage: model [options] program | --set NAME (see main.c)\n", stderr);
        return 2;
    }
    if (options.set == NULL)
        return run(&options);
    lines = sets_find(options.set);
    for (; lines && lines[count]; count++)
        result |= run_line(lines[count], &options, &exhausted);
    printf("%s: %u programs, %s\n", options.set, count, result ? "WRONG" : "nothing wrong");
    return lines == NULL || count == 0 ? 2 : result;
}
