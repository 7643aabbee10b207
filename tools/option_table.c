/* SPDX-License-Identifier: MIT */
/* The table of the options. A test sees to it that the completions have the same ones. */
#include "option_table.h"

#include <string.h>

#define BOTH (OF_RUN | OF_JOB)

#define KIND(name, kind)                                                                           \
    {                                                                                              \
        name, OPTION_KIND + (kind), required_argument, BOTH, GROUP_LOAD, NULL, NULL                \
    }

const struct option_entry option_table[] = {
    {"threads", OPTION_THREADS, required_argument, BOTH, GROUP_LOAD, "LIST",
     "KIND=THREADS[@RATE],...: how many threads of each kind, and\n"
     "how many operations a second they do together: help threads"},
    KIND("buffered-read", KIND_BUFFERED_READ),
    KIND("buffered-write", KIND_BUFFERED_WRITE),
    KIND("direct-read", KIND_DIRECT_READ),
    KIND("direct-write", KIND_DIRECT_WRITE),
    KIND("append", KIND_APPEND),
    KIND("truncate", KIND_TRUNCATE),
    KIND("punch", KIND_PUNCH),
    KIND("remap", KIND_REMAP),
    KIND("fsync", KIND_FSYNC),
    {"block-sizes", OPTION_BLOCK_SIZES, required_argument, BOTH, GROUP_LOAD, "LIST",
     "of reads and writes: 64 to 1M, at most 8 (4k,64k)"},
    {"unaligned", OPTION_UNALIGNED, required_argument, BOTH, GROUP_LOAD, "PERCENT",
     "of reads and writes that have odd offsets and lengths; or\n"
     "on, off (20)"},
    {"size", OPTION_SIZE, required_argument, BOTH, GROUP_LOAD, "SIZE",
     "of the file, without what is appended (64M)"},
    {"async", OPTION_ASYNC, required_argument, BOTH, GROUP_LOAD, "N",
     "reads and writes in flight by each thread: 1 to 256 (1)"},
    {"seconds", OPTION_SECONDS, required_argument, BOTH, GROUP_LOAD, "S",
     "how long (10, or no limit with --ops)"},
    {"ops", OPTION_OPS, required_argument, BOTH, GROUP_LOAD, "N", "how many operations in all"},
    {"seed", OPTION_SEED, required_argument, BOTH, GROUP_LOAD, "N",
     "of the random choices (a new one each time)"},
    {"lock", OPTION_LOCK, required_argument, BOTH, GROUP_LOCK, "NAME",
     "twostate: the engine; rwlock: a pthread_rwlock around\n"
     "system calls; none: system calls (twostate)"},
    {"cache", OPTION_CACHE, required_argument, BOTH, GROUP_LOCK, "NAME",
     "of the engine: kernel or user (kernel): help caches"},
    {"cache-bytes", OPTION_CACHE_BYTES, required_argument, BOTH, GROUP_LOCK, "SIZE",
     "memory of the user cache: 4M to 1T (256M)"},
    {"backend", OPTION_BACKEND, required_argument, BOTH, GROUP_LOCK, "NAME",
     "of the engine's direct requests: auto, uring or threads\n"
     "(auto)"},
    {"compare", OPTION_COMPARE, optional_argument, BOTH, GROUP_LOCK, "[=PARTS]",
     "side by side: the engine with each cache, the rwlock and\n"
     "no lock; PARTS are of lost,torn,slow: help check"},
    {"serve", OPTION_SERVE, optional_argument, BOTH, GROUP_OTHER, "[=NAME]",
     "let `twostate-io top` look at the engine; NAME is a path\n"
     "or @NAME of a Unix socket (@twostate/PID)"},
    {"json", OPTION_JSON, required_argument, BOTH, GROUP_OTHER, "FILE",
     "the results as JSON; - is the standard output, which has\n"
     "nothing else then: the tables go to the standard error"},
    {"json", OPTION_JSON, no_argument, OF_TOP, GROUP_OTHER, "",
     "what the engine says, as it says it: a line each time"},
    {"quiet", OPTION_QUIET, no_argument, BOTH, GROUP_OTHER, "", "no progress line"},
    {"keep", OPTION_KEEP, no_argument, BOTH, GROUP_OTHER, "", "leave the file behind"},
    {"overwrite", OPTION_OVERWRITE, no_argument, BOTH, GROUP_OTHER, "",
     "even if FILE holds data that is not from here"},
    {"section", OPTION_SECTION, required_argument, OF_JOB, GROUP_OTHER, "NAME",
     "only this job of the file; may be given again"},
    {"once", OPTION_ONCE, no_argument, OF_TOP, GROUP_OTHER, "", "look once, and end"},
    {"interval", OPTION_INTERVAL, required_argument, OF_TOP, GROUP_OTHER, "S",
     "seconds between two looks: 0.1 to 3600 (1)"},
    {"help", OPTION_HELP, no_argument, BOTH | OF_TOP, GROUP_OTHER, "", "this"},
    {"version", OPTION_VERSION, no_argument, BOTH | OF_TOP, GROUP_OTHER, "",
     "which twostate-io this is"},
    {NULL, 0, 0, 0, GROUP_COUNT, NULL, NULL},
};

void option_table_getopt(unsigned command, struct option options[OPTIONS_MAX])
{
    unsigned count = 0;

    for (const struct option_entry *e = option_table; e->name != NULL; e++)
        if ((e->commands & command) && count < OPTIONS_MAX - 1)
            options[count++] = (struct option){e->name, e->has_argument, NULL, e->id};
    options[count] = (struct option){NULL, 0, NULL, 0};
}

static bool is_of_command_line(int id)
{
    return id == OPTION_JSON || id == OPTION_SECTION || id == OPTION_HELP || id == OPTION_VERSION;
}

const struct option_entry *option_table_key(const char *name)
{
    for (const struct option_entry *e = option_table; e->name != NULL; e++)
        if ((e->commands & OF_JOB) && !is_of_command_line(e->id) && strcmp(e->name, name) == 0)
            return e;
    return NULL;
}
