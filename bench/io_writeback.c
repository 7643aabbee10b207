/* SPDX-License-Identifier: MIT */
/*
 * bench_io writeback: how fast what is dirty gets to disk.
 *
 * sequential: all of a file is dirty, in the engine's cache, and synced; against O_DIRECT writes of
 * 1 MiB, one after the other, and against the same through the kernel's cache. random: of the same
 * file 4096 blocks of 4 KiB, in no order. Each way ends with the disk's own cache flushed, and only
 * what comes after the writes to a cache is timed. One file for all, overwritten only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench_io.h"
#include "clock.h"
#include "report.h"

#define RANDOM_BLOCKS 4096
#define NEVER_MS      3600000
#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))

/* What is written: count blocks of so many bytes, at offsets. */
struct load {
    const char *name;
    int64_t block;
    unsigned count;
    int64_t *offsets;
};

struct target {
    const struct io_file *file;
    uint64_t cache_bytes;
    const char *data; /* IO_LARGEST bytes */
};

/* Returns the time that it took, in ns. */
typedef uint64_t way(const struct target *target, const struct load *load);

static uint64_t by_user(const struct target *target, const struct load *load)
{
    const struct twostate_engine_options options = {
        .cache_bytes = target->cache_bytes, .dirty_percent = 90, .writeback_ms = NEVER_MS};
    struct io_engine engine =
        io_engine_open(target->file, &io_twostate, TWOSTATE_CACHE_USER, &options);
    uint64_t began;

    for (unsigned i = 0; i < load->count; i++)
        io_check(
            "writing to the cache",
            twostate_pwrite(engine.file, target->data, (size_t)load->block, load->offsets[i], 0),
            (size_t)load->block);
    began = clock_ns();
    io_check("twostate_fdatasync", twostate_fdatasync(engine.file), 0);
    began = clock_ns() - began;
    io_engine_close(&engine);
    return began;
}

static void write_all(int fd, const struct target *target, const struct load *load)
{
    for (unsigned i = 0; i < load->count; i++) {
        const ssize_t n = pwrite(fd, target->data, (size_t)load->block, load->offsets[i]);

        io_check("pwrite", n < 0 ? -errno : n, (size_t)load->block);
    }
}

static void sync_file(int fd)
{
    if (fdatasync(fd) < 0)
        io_die("fdatasync", errno);
}

static uint64_t by_direct_writes(const struct target *target, const struct load *load)
{
    const uint64_t began = clock_ns();

    write_all(target->file->direct_fd, target, load);
    sync_file(target->file->direct_fd);
    return clock_ns() - began;
}

static uint64_t by_fdatasync(const struct target *target, const struct load *load)
{
    uint64_t took;

    write_all(target->file->fd, target, load);
    took = clock_ns();
    sync_file(target->file->fd);
    took = clock_ns() - took;
    /* The others write past the kernel's cache, which would have to be emptied in their time. */
    posix_fadvise(target->file->fd, 0, 0, POSIX_FADV_DONTNEED);
    return took;
}

static const struct impl {
    const char *name, *says;
    way *run;
} impls[] = {{"twostate_user", "twostate_fdatasync", by_user},
             {"kernel", "pwrite with O_DIRECT", by_direct_writes},
             {"fdatasync", "the kernel's cache", by_fdatasync}};

#define IMPLS ((unsigned)COUNT(impls))

static struct load sequential(int64_t size)
{
    struct load load = {.name = "sequential", .block = IO_LARGEST};

    load.count = (unsigned)(size / load.block);
    load.offsets = io_alloc(load.count, sizeof(*load.offsets));
    for (unsigned i = 0; i < load.count; i++)
        load.offsets[i] = i * load.block;
    return load;
}

/* One block in each stretch of the file, so that they differ; then shuffled. */
static struct load here_and_there(int64_t size)
{
    struct load load = {.name = "random", .block = IO_BLOCK, .count = RANDOM_BLOCKS};
    const int64_t stretch = size / RANDOM_BLOCKS;
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

    load.offsets = io_alloc(load.count, sizeof(*load.offsets));
    for (unsigned i = 0; i < load.count; i++)
        load.offsets[i] = i * stretch + io_random_offset(stretch, IO_BLOCK, &seed);
    for (unsigned i = load.count - 1; i > 0; i--) {
        const unsigned j = (unsigned)(io_random(&seed) % (i + 1));
        const int64_t offset = load.offsets[i];

        load.offsets[i] = load.offsets[j];
        load.offsets[j] = offset;
    }
    return load;
}

static void measure(const struct target *target, const struct load *load, unsigned runs,
                    json_t *rows)
{
    double *ops_per_s = io_alloc((size_t)IMPLS * runs, sizeof(*ops_per_s));

    for (unsigned run = 0; run < runs; run++)
        for (unsigned i = 0; i < IMPLS; i++) {
            report_progress(run * IMPLS + i, runs * IMPLS, load->name);
            ops_per_s[i * runs + run] = load->count * 1e9 / (double)impls[i].run(target, load);
        }
    report_progress(1, 1, "");
    for (unsigned i = 0; i < IMPLS; i++) {
        const double median = report_median(ops_per_s + (size_t)i * runs, runs);

        printf("%-12s %8lld  %-14s %-22s %10.0f %10.0f\n", load->name, (long long)load->block,
               impls[i].name, impls[i].says, median, median * (double)load->block / (double)IO_MIB);
        io_add_row(rows, json_pack("{s:s, s:s, s:s, s:I, s:i, s:I, s:o}", "case", load->name,
                                   "impl", impls[i].name, "fs", target->file->fs, "block",
                                   (json_int_t)load->block, "threads", 1, "bytes",
                                   (json_int_t)load->count * load->block, "ops_per_s",
                                   report_number(median)));
    }
    free(ops_per_s);
}

static double ratio(const json_t *rows, const char *load, const char *than)
{
    const char *const names[] = {"twostate_user", than};
    double of[2];

    for (size_t i = 0; i < 2; i++)
        of[i] =
            io_figure(rows, "ops_per_s", json_pack("{s:s, s:s}", "case", load, "impl", names[i]));
    return of[0] / of[1];
}

json_t *io_writeback(const struct io_options *options)
{
    const int64_t size = (options->quick ? 64 : 1024) * IO_MIB;
    struct io_file file = io_file_make(options->dir, size, true);
    void *data = io_buffer(IO_LARGEST);
    const struct target target = {.file = &file, .cache_bytes = 3 * (uint64_t)size, .data = data};
    struct load loads[] = {sequential(size), here_and_there(size)};
    json_t *rows = json_array();

    posix_fadvise(file.fd, 0, 0, POSIX_FADV_DONTNEED);
    printf("a sync of what is dirty, %lld MiB, one file on %s\n\n", (long long)(size / IO_MIB),
           file.fs);
    printf("%-12s %8s  %-37s %10s %10s\n", "case", "block", "impl", "blocks/s", "MiB/s");
    for (size_t i = 0; i < COUNT(loads); i++) {
        measure(&target, &loads[i], options->runs, rows);
        free(loads[i].offsets);
    }
    putchar('\n');
    report_goal("all of the file, over O_DIRECT writes of 1 MiB",
                ratio(rows, "sequential", "kernel"), true, 0.95);
    report_goal("4096 blocks here and there, over fdatasync", ratio(rows, "random", "fdatasync"),
                true, 0.9);
    free(data);
    io_file_destroy(&file);
    return rows;
}
