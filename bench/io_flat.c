/* SPDX-License-Identifier: MIT */
/*
 * bench_io memory, its second part: overwrites of 4 KiB of what is cached, by one thread.
 *
 * size: 64 folios, as far apart as they can be in a file of 1 MiB to 100 GiB with holes.
 * files: 10,000 folios, of 1 to 10,000 open files.
 * So what is touched is the same in each row, and only what it takes to get there may differ. A run is
 * several rounds, with a short turn for each row, of which the begin does not count; what is compared is
 * compared round by round, for the machine is not as fast at one time as at another.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench_io.h"
#include "report.h"

#define COUNT(array)      (sizeof(array) / sizeof((array)[0]))
#define NEVER_MS          3600000
#define FOLIO             16384 /* the default */
#define FAR_FOLIOS        64
#define MANY_FOLIOS       10000
#define MANY_FILES        10000
#define ALL_FILES         11111 /* of all rows, which are open at once */
#define QUICK_FOLIOS      1000
#define QUICK_FILES       111
#define SPARE_DESCRIPTORS 200
#define MOST_SPREADS      16
#define TURNS             3    /* in which a run is done */
#define WARM_PART         3    /* of a turn, does not count */
#define FLAT              1.25 /* most over least of what should be the same */

/* Folios of files, all cached; and what was measured of them. */
struct spread {
    const char *name;
    struct twostate_engine *engine;
    struct twostate_file *first; /* with it comes what all files share; not one of the following */
    struct twostate_file **files;
    unsigned count;  /* files */
    unsigned folios; /* of each file */
    int64_t size;    /* of each file */
    int64_t stride;  /* from one folio to the next */

    double ns;     /* of an operation, and */
    double cpu_ns; /* of the processor for it, which others that run meanwhile hardly change, */
    double beside; /* and as part of the first row's of the same case, in the same round */
    double folio_bytes;  /* of heap for each folio, beside its data */
    double opened_bytes; /* of heap for each open file */
};

static void step(struct io_crew *crew, struct io_thread *thread)
{
    const struct spread *spread = crew->context;
    const uint64_t random = io_random(&thread->seed);
    const uint64_t folio = (random >> 2) % ((uint64_t)spread->count * spread->folios);
    const int64_t offset = (int64_t)(folio / spread->count) * spread->stride +
                           (int64_t)(random % (FOLIO / IO_BLOCK)) * IO_BLOCK;

    io_check(
        "overwriting",
        twostate_pwrite(spread->files[folio % spread->count], thread->buffer, IO_BLOCK, offset, 0),
        IO_BLOCK);
}

static int64_t heap(void)
{
    const struct mallinfo2 info = mallinfo2();

    return (int64_t)(info.uordblks + info.hblkhd);
}

static void open_file(const struct spread *spread, const char *dir, struct twostate_file **opened)
{
    const struct twostate_file_options options = {.cache = TWOSTATE_CACHE_USER};
    struct io_file file = io_file_make(dir, spread->size, false);
    char path[64];

    io_file_path(file.fd, path);
    io_check("opening a file",
             twostate_file_open_with(spread->engine, path, O_RDWR, 0, &options, opened), 0);
    io_file_destroy(&file);
}

/* Returns the bytes of heap that an open file takes. */
static double open_files(struct spread *spread, const char *dir)
{
    const struct twostate_engine_options options = {
        .cache_bytes = 512 << 20, .dirty_percent = 90, .writeback_ms = NEVER_MS};
    int64_t before;

    spread->files = io_alloc(spread->count, sizeof(struct twostate_file *));
    io_check("an engine", twostate_engine_create(&options, &spread->engine), 0);
    open_file(spread, dir, &spread->first);
    before = heap();
    for (unsigned i = 0; i < spread->count; i++)
        open_file(spread, dir, &spread->files[i]);
    return (double)(heap() - before) / spread->count;
}

static void close_files(struct spread *spread)
{
    for (unsigned i = 0; i < spread->count; i++)
        io_check("closing a file", twostate_file_close(spread->files[i]), 0);
    io_check("closing a file", twostate_file_close(spread->first), 0);
    io_check("ending the engine", twostate_engine_destroy(spread->engine), 0);
    free(spread->files);
}

/* Makes all of it cached. Returns the bytes of heap that a folio takes. */
static double touch(const struct spread *spread)
{
    char *buffer = io_buffer(FOLIO);
    const int64_t before = heap();
    int64_t took;

    for (unsigned i = 0; i < spread->count; i++)
        for (unsigned j = 0; j < spread->folios; j++)
            io_check("writing",
                     twostate_pwrite(spread->files[i], buffer, FOLIO, j * spread->stride, 0),
                     FOLIO);
    took = heap() - before;
    free(buffer);
    return (double)took / ((double)spread->count * spread->folios);
}

/* The first row of the same case. */
static unsigned first_of(const struct spread *spreads, unsigned i)
{
    while (i > 0 && strcmp(spreads[i - 1].name, spreads[i].name) == 0)
        i--;
    return i;
}

/* The figures of so many rounds for each row: becomes medians. */
static void sum_up(struct spread *spreads, unsigned count, unsigned rounds, double *ns,
                   double *cpu_ns)
{
    double *parts = io_alloc(rounds, sizeof(*parts));

    for (unsigned i = 0; i < count; i++) {
        for (unsigned round = 0; round < rounds; round++)
            parts[round] =
                cpu_ns[i * rounds + round] / cpu_ns[first_of(spreads, i) * rounds + round];
        spreads[i].beside = report_median(parts, rounds);
    }
    for (unsigned i = 0; i < count; i++) {
        spreads[i].ns = report_median(ns + (size_t)i * rounds, rounds);
        spreads[i].cpu_ns = report_median(cpu_ns + (size_t)i * rounds, rounds);
    }
    free(parts);
}

/* All of them in turns, so that a disturbance meets all of them. */
static void run_all(struct spread *spreads, unsigned count, const struct io_options *options)
{
    const uint64_t slice_ns = (options->quick ? 40000000 : 200000000) / TURNS;
    const unsigned rounds = options->runs * TURNS;
    double *ns = io_alloc((size_t)rounds * 2 * count, sizeof(*ns));
    double *cpu_ns = ns + (size_t)count * rounds;
    unsigned turns[MOST_SPREADS];
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

    for (unsigned round = 0; round < rounds; round++) {
        io_shuffle(turns, count, &seed);
        for (unsigned turn = 0; turn < count; turn++) {
            const unsigned i = turns[turn];
            struct io_crew crew = {.step = step,
                                   .context = &spreads[i],
                                   .threads = 1,
                                   .warm_ns = slice_ns / WARM_PART};

            report_progress(round * count + turn, rounds * count, spreads[i].name);
            ns[(size_t)i * rounds + round] = 1e9 / io_crew_turn(&crew, slice_ns - crew.warm_ns);
            cpu_ns[(size_t)i * rounds + round] = crew.cpu_ns;
        }
    }
    report_progress(1, 1, "");
    sum_up(spreads, count, rounds, ns, cpu_ns);
    free(ns);
}

static void say(const struct spread *spread, const char *fs, json_t *rows)
{
    printf("%-6s %7u %12.1f %8u | %10.1f %10.1f %12.0f %12.0f\n", spread->name, spread->count,
           (double)spread->size / (double)IO_MIB, spread->folios * spread->count, spread->ns,
           spread->cpu_ns, spread->folio_bytes, spread->opened_bytes);
    io_add_row(rows,
               json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:I, s:o, s:o, s:o, s:o, s:o}", "case",
                         spread->name, "impl", "twostate_user", "fs", fs, "block", IO_BLOCK,
                         "threads", 1, "files", (int)spread->count, "file_bytes",
                         (json_int_t)spread->size, "ops_per_s", report_number(1e9 / spread->ns),
                         "ns_per_op", report_number(spread->ns), "cpu_ns_per_op",
                         report_number(spread->cpu_ns), "bytes_per_folio",
                         report_number(FOLIO + spread->folio_bytes), "bytes_per_open_file",
                         report_number(spread->opened_bytes)));
}

static unsigned open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    if (dir == NULL)
        io_die("/proc/self/fd", errno);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static unsigned descriptors_with(unsigned files, const char *dir)
{
    struct spread spread = {.count = files, .size = FOLIO};
    unsigned n;

    open_files(&spread, dir);
    n = open_descriptors();
    close_files(&spread);
    return n;
}

/* Raises the limit of descriptors as far as needed, or as it goes. How many files may be open? */
static unsigned most_files(const char *dir)
{
    const unsigned each = descriptors_with(2, dir) - descriptors_with(1, dir);
    const rlim_t wanted = (rlim_t)ALL_FILES * each + SPARE_DESCRIPTORS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        io_die("the limit of descriptors", errno);
    if (limit.rlim_cur < wanted) {
        const rlim_t was = limit.rlim_max;

        /* Who is allowed to goes beyond the hard limit. */
        limit.rlim_cur = wanted;
        limit.rlim_max = was > wanted ? was : wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
            limit.rlim_cur = limit.rlim_max = was;
            if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                io_die("the limit of descriptors", errno);
        }
    }
    return limit.rlim_cur >= wanted ? ALL_FILES
                                    : (unsigned)((limit.rlim_cur - SPARE_DESCRIPTORS) / each);
}

/* The most that key is in the rows of a case, over the least. */
static double most_over_least(const json_t *rows, const char *name, const char *key)
{
    double least = INFINITY, most = 0;

    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const double value = json_number_value(json_object_get(row, key));

        if (strcmp(json_string_value(json_object_get(row, "case")), name) != 0)
            continue;
        least = fmin(least, value);
        most = fmax(most, value);
    }
    return most > 0 ? most / least : NAN;
}

/* The same of what an operation takes of the processor. */
static double most_time_over_least(const struct spread *spreads, unsigned count, const char *name)
{
    double least = INFINITY, most = 0;

    for (unsigned i = 0; i < count; i++) {
        if (strcmp(spreads[i].name, name) != 0)
            continue;
        least = fmin(least, spreads[i].beside);
        most = fmax(most, spreads[i].beside);
    }
    return most > 0 ? most / least : NAN;
}

/* What is compared; how many. */
static unsigned plan(struct spread *spreads, const struct io_options *options)
{
    static const int64_t sizes[] = {1, 16, 256, 4096, 102400}; /* MiB */
    const unsigned folios = options->quick ? QUICK_FOLIOS : MANY_FOLIOS;
    unsigned left = options->quick ? QUICK_FILES : most_files(options->dir);
    unsigned n = 0;

    for (; n < COUNT(sizes); n++)
        spreads[n] = (struct spread){
            .name = "size", .count = 1, .folios = FAR_FOLIOS, .size = sizes[n] * IO_MIB};
    for (unsigned count = 1; count <= MANY_FILES && left > 0; count *= 10, n++) {
        const unsigned files = count < left ? count : left;

        spreads[n] = (struct spread){.name = "files",
                                     .count = files,
                                     .folios = folios / files,
                                     .size = (int64_t)(folios / files) * FOLIO};
        left -= files;
    }
    return n;
}

void io_flat(const struct io_options *options, json_t *rows)
{
    struct spread spreads[MOST_SPREADS];
    const unsigned count = plan(spreads, options);

    for (unsigned i = 0; i < count; i++) {
        struct spread *spread = &spreads[i];

        report_progress(i, count, "opening files");
        spread->stride = spread->size / spread->folios / FOLIO * FOLIO;
        spread->opened_bytes = open_files(spread, options->dir);
        spread->folio_bytes = touch(spread);
    }
    run_all(spreads, count, options);
    printf("%-6s %7s %12s %8s | %10s %10s %12s %12s\n", "case", "files", "MiB of each", "folios",
           "ns/op", "CPU ns", "bytes/folio", "bytes/file");
    for (unsigned i = 0; i < count; i++) {
        say(&spreads[i], io_fs_name(options->dir), rows);
        close_files(&spreads[i]);
    }
    if (spreads[count - 1].count < MANY_FILES && !options->quick)
        printf("10,000 files at once are more descriptors than this process may have\n");
    putchar('\n');
    report_goal("CPU time of an operation, 1 MiB to 100 GiB, most over least",
                most_time_over_least(spreads, count, "size"), false, FLAT);
    report_goal("memory for a folio, 1 MiB to 100 GiB, most over least",
                most_over_least(rows, "size", "bytes_per_folio"), false, FLAT);
    report_goal("CPU time of an operation, 1 file to many, most over least",
                most_time_over_least(spreads, count, "files"), false, FLAT);
    report_goal("memory for a folio, 1 file to many, most over least",
                most_over_least(rows, "files", "bytes_per_folio"), false, FLAT);
    report_goal("memory for an open file, 1 file to many, most over least",
                most_over_least(rows, "files", "bytes_per_open_file"), false, FLAT);
}
