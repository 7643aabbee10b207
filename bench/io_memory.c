/* SPDX-License-Identifier: MIT */
/*
 * bench_io memory: is the cache's budget kept, whatever the load; and (io_flat.c) do time and memory
 * of an operation stay the same in large files, and with many files open.
 *
 * Four threads work for a while on more data than the budget. Looked at each millisecond: what the
 * engine says that it uses, and by how much the process has grown, with all that it needs beside the
 * data: the index, buffers, stacks.
 */
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "bench_io.h"
#include "report.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define GIB          (INT64_C(1) << 30)

struct pressure {
    struct io_file file;
    struct io_engine engine;
    int64_t grown_from; /* bytes of the process, before */
    int64_t most_grown;
    uint64_t most_used;
};

static double in_mib(int64_t bytes)
{
    return (double)bytes / (double)IO_MIB;
}

static int64_t resident(void)
{
    FILE *statm = fopen("/proc/self/statm", "re");
    long long size, pages = 0;

    if (statm == NULL || fscanf(statm, "%lld %lld", &size, &pages) != 2)
        io_die("/proc/self/statm", EIO);
    fclose(statm);
    return pages * sysconf(_SC_PAGESIZE);
}

static void look(void *context)
{
    struct pressure *pressure = context;
    const int64_t grown = resident() - pressure->grown_from;
    struct twostate_engine_info info;

    io_check("twostate_engine_query", twostate_engine_query(pressure->engine.engine, &info), 0);
    if (info.cache_used > pressure->most_used)
        pressure->most_used = info.cache_used;
    if (grown > pressure->most_grown)
        pressure->most_grown = grown;
}

static void transfer(struct io_crew *crew, struct io_thread *thread, bool write, int64_t length,
                     int64_t align, unsigned flags)
{
    const struct pressure *pressure = crew->context;
    const int64_t places = (pressure->file.size - length) / align + 1;
    const int64_t offset = (int64_t)(io_random(&thread->seed) % (uint64_t)places) * align;
    ssize_t n;

    if (write)
        n = twostate_pwrite(pressure->engine.file, thread->buffer, (size_t)length, offset, flags);
    else
        n = twostate_pread(pressure->engine.file, thread->buffer, (size_t)length, offset, flags);
    io_check("IO under pressure", n, (size_t)length);
}

static void overwrite(struct io_crew *crew, struct io_thread *thread)
{
    transfer(crew, thread, true, IO_BLOCK, IO_BLOCK, 0);
}

static void read_blocks(struct io_crew *crew, struct io_thread *thread)
{
    transfer(crew, thread, false, IO_BLOCK, IO_BLOCK, 0);
}

static void write_large(struct io_crew *crew, struct io_thread *thread)
{
    transfer(crew, thread, true, IO_LARGEST, 512, 0);
}

static void all_kinds(struct io_crew *crew, struct io_thread *thread)
{
    const uint64_t random = io_random(&thread->seed);
    const int64_t length = random % 8 == 0 ? IO_LARGEST : (int64_t)(random % 16 + 1) * IO_BLOCK;

    transfer(crew, thread, random % 3 != 0, length, IO_BLOCK,
             thread->number == 0 ? TWOSTATE_IO_DIRECT : 0);
}

static const struct load {
    const char *name, *says;
    void (*step)(struct io_crew *crew, struct io_thread *thread);
    int64_t size; /* of a file with holes only; 0: written, twice the budget */
} loads[] = {
    {"budget_overwrite", "4 KiB overwrites", overwrite, 0},
    {"budget_read", "4 KiB reads", read_blocks, 0},
    {"budget_large", "1 MiB writes at any sector", write_large, 0},
    {"budget_mixed", "4 KiB to 1 MiB, reads and writes, one thread direct", all_kinds, 0},
    {"budget_sparse", "4 KiB writes in a hole of 100 GiB", overwrite, 100 * GIB},
};

static void press(const struct load *load, const struct io_options *options, json_t *rows)
{
    const int64_t budget = (options->quick ? 64 : 256) * IO_MIB;
    const struct twostate_engine_options engine_options = {.cache_bytes = (uint64_t)budget};
    struct pressure pressure = {
        .file = io_file_make(options->dir, load->size ? load->size : 2 * budget, load->size == 0)};
    struct io_crew crew = {.step = load->step, .context = &pressure, .threads = 4};
    double ops_per_s;

    malloc_trim(0);
    pressure.grown_from = resident() + crew.threads * (int64_t)IO_LARGEST;
    pressure.engine =
        io_engine_open(&pressure.file, &io_twostate, TWOSTATE_CACHE_USER, &engine_options);
    ops_per_s = io_crew_run(&crew, options->quick ? 500000000 : 5000000000, look);
    io_engine_close(&pressure.engine);
    printf("%-52s %8.1f %8.1f %8.1f %10.0f\n", load->says, in_mib(budget),
           in_mib((int64_t)pressure.most_used), in_mib(pressure.most_grown), ops_per_s);
    io_add_row(rows,
               json_pack("{s:s, s:s, s:s, s:i, s:i, s:o, s:I, s:I, s:I}", "case", load->name,
                         "impl", "twostate_user", "fs", pressure.file.fs, "block",
                         load->step == write_large ? IO_LARGEST : IO_BLOCK, "threads",
                         (int)crew.threads, "ops_per_s", report_number(ops_per_s), "budget_bytes",
                         (json_int_t)budget, "most_used_bytes", (json_int_t)pressure.most_used,
                         "most_grown_bytes", (json_int_t)pressure.most_grown));
    io_file_destroy(&pressure.file);
}

/* The most that key is of the budget, in any row. */
static double most(const json_t *rows, const char *key)
{
    double part = 0;

    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);

        part = fmax(part, json_number_value(json_object_get(row, key)) /
                              json_number_value(json_object_get(row, "budget_bytes")));
    }
    return part;
}

json_t *io_memory(const struct io_options *options)
{
    json_t *rows = json_array();
    double used, grown;

    printf("twostate_user: the cache's budget, four threads, files on %s\n\n",
           io_fs_name(options->dir));
    printf("%-52s %8s %8s %8s %10s\n", "MiB", "budget", "used", "grown", "ops/s");
    for (size_t i = 0; i < COUNT(loads); i++) {
        report_progress((unsigned)i, COUNT(loads), loads[i].says);
        press(&loads[i], options, rows);
    }
    report_progress(1, 1, "");
    used = most(rows, "most_used_bytes");
    grown = most(rows, "most_grown_bytes");
    putchar('\n');
    io_flat(options, rows);
    report_goal("what the engine says it uses, over the budget", used, false, 1);
    report_goal("what the process grows by, over the budget", grown, false, 1.05);
    return rows;
}
