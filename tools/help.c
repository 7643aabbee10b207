/* SPDX-License-Identifier: MIT */
/* The help: a page for each topic. Those of the commands get their options from the table. */
#include "help.h"
#include "option_table.h"
#include "options.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

static const char general[] =
    "usage: twostate-io run FILE [OPTION...]            a mixed load; every read is checked\n"
    "       twostate-io job JOBFILE [FILE] [OPTION...]  loads that a file describes\n"
    "       twostate-io top FILE|PID [OPTION...]        what a running engine is doing\n"
    "       twostate-io help [TOPIC]                    or --help [TOPIC]\n"
    "       twostate-io --version\n"
    "\n"
    "Drives buffered and direct IO at once on FILE, and reports what was torn, stale or lost.\n"
    "What FILE holds is overwritten; it is made if it is not there, and then removed at the end.\n"
    "\n"
    "  twostate-io run data                              the default load, 10 seconds\n"
    "  twostate-io run data --cache user --seconds 60    the same with the engine's own cache\n"
    "  twostate-io run data --compare                    beside a rwlock and no lock\n"
    "  twostate-io run data --threads all=0,direct_read=4,buffered_write=2 --block-sizes 4k\n"
    "\n"
    "Topics of help: run, threads, sizes, jobs, check, caches, top, exit.\n";

static const char run_head[] =
    "usage: twostate-io run FILE [OPTION...]\n"
    "\n"
    "Drives a mixed load on FILE, checks every read, and reports what was torn, stale or lost.\n"
    "What FILE holds is overwritten; it is made if it is not there, and then removed at the end.\n"
    "In parentheses: what an option is if it is not given.\n";

static const char threads_page[] =
    "--threads LIST, LIST being KIND=THREADS[@RATE],...\n"
    "\n"
    "THREADS threads of this kind, 0 to 64; with @RATE they do so many operations a second\n"
    "together, else as many as they can. What LIST does not name stays as it is; all names every\n"
    "kind: \"all=0,direct_read=2\" is two direct readers and nothing else.\n"
    "--direct-read 2, --append 1@100 and so on say the same for one kind.\n"
    "\n"
    "KIND, and what it has if nothing is said:\n";

static const char sizes_page[] =
    "Sizes are bytes, with an optional unit, in capitals or not: k, M, G, T or KiB, MiB, GiB, "
    "TiB,\n"
    "which are powers of 1024. 4096, 4k and 4KiB are the same; 1.5M is 1572864. MB is refused,\n"
    "because it may mean powers of 1000.\n"
    "\n"
    "--block-sizes takes several: 512,4k,1M. Half of the reads and writes go to the first few\n"
    "blocks of their size, so that they meet.\n";

static const char jobs_head[] =
    "usage: twostate-io job JOBFILE [FILE] [OPTION...]\n"
    "\n"
    "Runs the jobs of JOBFILE (- is the standard input), one after the other. A job is a section;\n"
    "its lines are the options of `run` without their dashes. [global] holds for the jobs after\n"
    "it, and what the command line says for all of them. Options without a value can be switched:\n"
    "keep, keep=yes, keep=no. # and ; begin a comment, at the beginning of a line or after a "
    "blank.\n"
    "\n"
    "    [global]\n"
    "    file=data          ; relative to the current directory; FILE on the command line is "
    "instead\n"
    "    seconds=5\n"
    "    size=64M\n"
    "\n"
    "    [mixed]            ; what `twostate-io run data --seconds 5 --size 64M` does\n"
    "\n"
    "    [direct readers]\n"
    "    threads=all=0,direct_read=4,buffered_write=1\n"
    "    block-sizes=4k\n"
    "    cache=user\n"
    "\n"
    "The whole file is checked before the first job starts: a mistake is told with its line.\n"
    "In the JSON each run has its job's name as \"job\". The exit status is the worst: 1, then "
    "2.\n";

static const char check_page[] =
    "Every block names its place, its writer and its age, and has a checksum.\n"
    "\n"
    "  torn    a read, of up to 1 MiB, saw a part of a write\n"
    "  stale   a read missed a write that was over before it began\n"
    "  lost    a write that was acknowledged is not there at the end, in the cache or on disk\n"
    "  EIO     an fsync said that data could not be written back. Without a fault of the disk "
    "that\n"
    "          is how the kernel says that a direct write met cached data that it could not drop\n"
    "\n"
    "Direct requests at the same time go to different blocks, unless all of them read: nothing\n"
    "orders two that overlap. Without a lock (--lock none) findings are expected: they are "
    "counted,\n"
    "and are no failure.\n"
    "\n"
    "--compare runs the load given above under the engine with each cache, the rwlock and no lock\n"
    "in turn, and prints them side by side. --seconds is for all of it (30), --ops for each. With\n"
    "--cache kernel no user cache is compared. If no load is given, it is as\n"
    "--compare=lost,torn,slow: loads that are made to show what a lock is for,\n"
    "  lost    writes that are not on disk in the end\n"
    "  torn    reads that saw a part of a write\n"
    "  slow    buffered IO alone, and beside direct IO\n"
    "for which only --cache, --cache-bytes, --backend, --seconds and --seed apply.\n";

static const char caches_page[] =
    "What buffered IO of the engine goes through:\n"
    "\n"
    "  --cache kernel   the kernel's page cache: on any file system; one write at a time\n"
    "  --cache user     the engine's own: buffered writes to one file run in parallel, and what "
    "is\n"
    "                   cached needs no system call. It needs O_DIRECT in units of at most 4096\n"
    "                   bytes, and the file for itself: with every other engine it is EBUSY.\n"
    "                   --cache-bytes is its memory (256M)\n"
    "\n"
    "--lock rwlock and none have the kernel's.\n";

static const char top_head[] =
    "usage: twostate-io top FILE|PID|SOCKET [OPTION...]\n"
    "\n"
    "Shows what a running engine is doing, again each second until q or ^C; a FILE alone, with a "
    "PID\n"
    "all files of that process. The engine has to serve its state: the program calls\n"
    "twostate_engine_serve (io.h), or is `twostate-io run --serve`. SOCKET is a path or @NAME, "
    "for\n"
    "engines that serve under a name of their own. Only the same user and root may look.\n"
    "\n"
    "  mode       what the file is in now: BUFFERED, DIRECT, frozen or unlocked\n"
    "  holders    of IOTYPE, in that mode; of IOLOCK, shared or exclusive\n"
    "  waiting    who waits now for IOLOCK (shared, exclusive), and for IOTYPE (BUFFERED, DIRECT,\n"
    "             drain: until no IO is in flight)\n"
    "  waits      of requests that have waited for their locks, since the file was opened: how "
    "many,\n"
    "             and how long; by what they wanted\n";

static const char exit_page[] =
    "0   Nothing was torn, stale or lost, and no IO failed. What --lock none finds is expected, "
    "and\n"
    "    does not count. top: the engine was shown.\n"
    "1   Something was torn, stale or lost; or IO failed, or an fsync.\n"
    "2   The command could not be carried out: a mistake on the command line or in a job file, a\n"
    "    file that can't be used, output that can't be written, no engine to look at. Or a signal\n"
    "    (INT, TERM) cut it short before it could tell. A load that a signal ends is checked, and\n"
    "    answers 0 or 1.\n"
    "job: 1 if any job answers that, else 2 if any does, else 0.\n";

static void print_kinds(void)
{
    struct options defaults;

    options_default(&defaults);
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        printf("  %-16s %u", kind_names[i], defaults.load.threads[i]);
        if (defaults.load.rate[i] > 0)
            printf("@%g", defaults.load.rate[i]);
        putchar('\n');
    }
}

static void print_option(const struct option_entry *entry)
{
    const bool optional = entry->has_argument == optional_argument;
    const char *line = entry->help;
    char name[64];

    snprintf(name, sizeof(name), "--%s%s%s", entry->name, optional || !*entry->argument ? "" : " ",
             entry->argument);
    printf("  %-22s", name);
    for (const char *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        printf(" %.*s\n%24s", (int)(end - line), line, "");
    printf(" %s\n", line);
}

static void print_options(unsigned command)
{
    static const char *const titles[] = {"The load", "The lock and the cache", "Other"};

    for (unsigned group = 0; group < GROUP_COUNT; group++) {
        bool any = false;

        for (const struct option_entry *e = option_table; e->name != NULL; e++) {
            if (e->group != group || !(e->commands & command) || e->help == NULL)
                continue;
            if (!any)
                printf("\n%s\n", command == OF_RUN ? titles[group] : "Options");
            any = true;
            print_option(e);
            if (e->id == OPTION_THREADS)
                printf("  --buffered-read, --buffered-write, --direct-read, --direct-write, "
                       "--append,\n"
                       "  --truncate, --punch, --remap, --fsync THREADS[@RATE]\n"
                       "%24s the same for one kind\n",
                       "");
        }
    }
}

static void page_run(void)
{
    fputs(run_head, stdout);
    print_options(OF_RUN);
}

static void page_threads(void)
{
    fputs(threads_page, stdout);
    print_kinds();
}

static void page_sizes(void)
{
    fputs(sizes_page, stdout);
}

static void page_jobs(void)
{
    fputs(jobs_head, stdout);
    printf("\nOptions: those of `run`, and\n");
    for (const struct option_entry *e = option_table; e->name != NULL; e++)
        if (e->commands == OF_JOB)
            print_option(e);
}

static void page_check(void)
{
    fputs(check_page, stdout);
}

static void page_caches(void)
{
    fputs(caches_page, stdout);
}

static void page_top(void)
{
    fputs(top_head, stdout);
    print_options(OF_TOP);
}

static void page_exit(void)
{
    fputs(exit_page, stdout);
}

static const struct {
    const char *name;
    void (*print)(void);
} pages[] = {
    {"run", page_run},       {"threads", page_threads}, {"sizes", page_sizes},
    {"jobs", page_jobs},     {"job", page_jobs},        {"check", page_check},
    {"caches", page_caches}, {"top", page_top},         {"exit", page_exit},
};

int help_print(const char *topic)
{
    if (topic == NULL) {
        fputs(general, stdout);
        return status_of_output(0);
    }
    for (unsigned i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
        if (strcmp(topic, pages[i].name) == 0) {
            pages[i].print();
            return status_of_output(0);
        }
    }
    complain("no help on '%s'; topics are run, threads, sizes, jobs, check, caches, top and exit",
             topic);
    return 2;
}
