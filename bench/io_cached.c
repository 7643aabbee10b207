/* SPDX-License-Identifier: MIT */
/*
 * bench_io cached: buffered IO of several threads on one file, all of it in the cache, at random.
 *
 * Each implementation has a file of its own, of the same size and all written: the engine with its
 * own cache, the same without its locks (nolock.h), the engine over the kernel's cache, and pread and
 * pwrite. memcpy is the floor: the same bytes to and from one piece of memory as large as the file.
 * What a run left dirty is synced before the next one, in nobody's time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench_io.h"
#include "report.h"

/* As long as the kernel waits (dirty_expire_centisecs): no write-back falls into a run. */
#define WRITEBACK_MS  30000
#define CACHE_BYTES   (UINT64_C(256) << 20)
#define DIRTY_PERCENT 90

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct load {
    const char *name;
    unsigned writes; /* percent */
} loads[] = {{"overwrite", 100}, {"read", 0}, {"mixed7030", 30}};

static const struct {
    int bytes;
    const char *name;
} blocks[] = {{4096, "4 KiB"}, {65536, "64 KiB"}};

static const unsigned all_threads[] = {1, 2, 4, 8};

struct impl {
    const char *name;
    const struct io_calls *calls; /* NULL: not through an engine */
    enum twostate_cache cache;
    void (*step)(struct io_crew *crew, struct io_thread *thread);
};

/* Where an implementation keeps its data. */
struct place {
    const struct impl *impl;
    struct io_file file;
    struct io_engine engine;
    char *memory;
};

/* What a crew does. */
struct job {
    const struct place *place;
    int64_t size, block;
    uint64_t writes; /* of 2^16 operations */
};

static bool draw(const struct job *job, struct io_thread *thread, int64_t *offset)
{
    *offset = io_random_offset(job->size, job->block, &thread->seed);
    return (thread->seed & 0xffff) < job->writes;
}

static void by_engine(struct io_crew *crew, struct io_thread *thread)
{
    const struct job *job = crew->context;
    const struct io_engine *engine = &job->place->engine;
    const size_t length = (size_t)job->block;
    int64_t offset;
    ssize_t n;

    if (draw(job, thread, &offset))
        n = engine->calls->pwrite(engine->file, thread->buffer, length, offset, 0);
    else
        n = engine->calls->pread(engine->file, thread->buffer, length, offset, 0);
    io_check(job->place->impl->name, n, length);
}

static void by_kernel(struct io_crew *crew, struct io_thread *thread)
{
    const struct job *job = crew->context;
    const size_t length = (size_t)job->block;
    int64_t offset;
    ssize_t n;

    if (draw(job, thread, &offset))
        n = pwrite(job->place->file.fd, thread->buffer, length, offset);
    else
        n = pread(job->place->file.fd, thread->buffer, length, offset);
    io_check("kernel", n < 0 ? -errno : n, length);
}

/* Threads race in it on purpose: it is what no lock at all would cost. ThreadSanitizer asks this. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:by_memcpy\n";
}

static void by_memcpy(struct io_crew *crew, struct io_thread *thread)
{
    const struct job *job = crew->context;
    int64_t offset;

    if (draw(job, thread, &offset))
        memcpy(job->place->memory + offset, thread->buffer, (size_t)job->block);
    else
        memcpy(thread->buffer, job->place->memory + offset, (size_t)job->block);
    __asm__ volatile("" ::: "memory");
}

enum { USER, NOLOCK, KERNEL_CACHE, KERNEL, MEMCPY, IMPLS };

static const struct impl impls[IMPLS] = {
    [USER] = {"twostate_user", &io_twostate, TWOSTATE_CACHE_USER, by_engine},
    [NOLOCK] = {"nolock", &io_nolock, TWOSTATE_CACHE_USER, by_engine},
    [KERNEL_CACHE] = {"twostate_kernel", &io_twostate, TWOSTATE_CACHE_KERNEL, by_engine},
    [KERNEL] = {"kernel", NULL, TWOSTATE_CACHE_KERNEL, by_kernel},
    [MEMCPY] = {"memcpy", NULL, TWOSTATE_CACHE_KERNEL, by_memcpy}};

static struct place make_place(const struct impl *impl, const char *dir, int64_t size)
{
    const struct twostate_engine_options options = {
        .cache_bytes = CACHE_BYTES, .dirty_percent = DIRTY_PERCENT, .writeback_ms = WRITEBACK_MS};
    struct place place = {.impl = impl};

    if (impl->step == by_memcpy) {
        place.memory =
            mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (place.memory == MAP_FAILED)
            io_die("memory", errno);
        madvise(place.memory, (size_t)size, MADV_HUGEPAGE); /* as the engine's cache */
        memset(place.memory, 0x5a, (size_t)size);
        return place;
    }
    place.file = io_file_make(dir, size, true);
    if (impl->calls != NULL) {
        place.engine = io_engine_open(&place.file, impl->calls, impl->cache, &options);
        io_engine_warm(&place.engine, size);
    }
    return place;
}

static void unmake_place(struct place *place, int64_t size)
{
    if (place->memory != NULL) {
        munmap(place->memory, (size_t)size);
        return;
    }
    if (place->impl->calls != NULL)
        io_engine_close(&place->engine);
    io_file_destroy(&place->file);
}

static void sync_place(const struct place *place)
{
    if (place->impl->calls != NULL)
        io_check("fdatasync", place->impl->calls->fdatasync(place->engine.file), 0);
    else if (place->memory == NULL)
        io_check("fdatasync", fdatasync(place->file.fd) < 0 ? -errno : 0, 0);
}

struct median {
    double ops_per_s;
    double cpu_ns; /* of the processor, for one operation */
};

/* One load with one block size and so many threads, the implementations in turns. */
static void measure(struct place places[IMPLS], const struct io_options *options, struct job job,
                    unsigned threads, struct median medians[IMPLS])
{
    const uint64_t slice_ns = options->quick ? 50000000 : 300000000;
    const size_t runs = options->runs;
    double *ops_per_s = io_alloc(runs * 2 * IMPLS, sizeof(*ops_per_s));
    double *cpu_ns = ops_per_s + IMPLS * runs;

    for (size_t run = 0; run < runs; run++)
        for (unsigned i = 0; i < IMPLS; i++) {
            struct io_crew crew = {.step = impls[i].step, .context = &job, .threads = threads};

            job.place = &places[i];
            ops_per_s[i * runs + run] = io_crew_run(&crew, slice_ns, NULL);
            cpu_ns[i * runs + run] = crew.cpu_ns;
            if (job.writes > 0)
                sync_place(&places[i]);
        }
    for (unsigned i = 0; i < IMPLS; i++)
        medians[i] = (struct median){.ops_per_s = report_median(ops_per_s + i * runs, runs),
                                     .cpu_ns = report_median(cpu_ns + i * runs, runs)};
    free(ops_per_s);
}

static void say(const struct load *load, unsigned b, unsigned threads, const char *fs,
                const struct median medians[IMPLS], json_t *rows)
{
    printf("%-10s %-6s %7u |", load->name, blocks[b].name, threads);
    for (unsigned i = 0; i < IMPLS; i++) {
        printf(" %15.0f", medians[i].ops_per_s / 1000);
        io_add_row(rows,
                   json_pack("{s:s, s:s, s:s, s:i, s:i, s:o, s:o}", "case", load->name, "impl",
                             impls[i].name, "fs", fs, "block", blocks[b].bytes, "threads",
                             (int)threads, "ops_per_s", report_number(medians[i].ops_per_s),
                             "cpu_ns_per_op", report_number(medians[i].cpu_ns)));
    }
    printf(" | %9.2f %9.2f %9.3f%s\n", medians[USER].ops_per_s / medians[KERNEL].ops_per_s,
           medians[USER].ops_per_s / medians[MEMCPY].ops_per_s,
           1 - medians[USER].ops_per_s / medians[NOLOCK].ops_per_s,
           medians[USER].ops_per_s < medians[KERNEL].ops_per_s ? "  lost" : "");
}

static double figure(const json_t *rows, const char *load, const char *impl, int block, int threads)
{
    return io_figure(rows, "ops_per_s",
                     json_pack("{s:s, s:s, s:i, s:i}", "case", load, "impl", impl, "block", block,
                               "threads", threads));
}

static void goals(const json_t *rows)
{
    static const struct {
        const char *says, *load;
        int block, threads;
        const char *than;
        double goal;
    } ratios[] = {
        {"4 KiB overwrites, 2 threads, over the kernel's", "overwrite", 4096, 2, "kernel", 6},
        {"4 KiB overwrites, 1 thread, over the kernel's", "overwrite", 4096, 1, "kernel", 4},
        {"4 KiB overwrites, 2 threads, over memcpy's", "overwrite", 4096, 2, "memcpy", 0.7},
        {"4 KiB 70/30, 2 threads, over the kernel's", "mixed7030", 4096, 2, "kernel", 12},
        {"4 KiB reads, 2 threads, over the kernel's", "read", 4096, 2, "kernel", 2},
        {"64 KiB overwrites, 2 threads, over the kernel's", "overwrite", 65536, 2, "kernel", 2},
    };
    double user[3] = {0};

    putchar('\n');
    for (size_t i = 0; i < COUNT(ratios); i++)
        report_goal(
            ratios[i].says,
            figure(rows, ratios[i].load, "twostate_user", ratios[i].block, ratios[i].threads) /
                figure(rows, ratios[i].load, ratios[i].than, ratios[i].block, ratios[i].threads),
            true, ratios[i].goal);
    for (int threads = 1; threads <= 2; threads++)
        user[threads] = figure(rows, "overwrite", "twostate_user", 4096, threads);
    report_goal("4 KiB overwrites, 2 threads over 1", user[2] / user[1], true, 1.6);
    report_goal("locks' share of a 4 KiB overwrite, 1 thread",
                1 - user[1] / figure(rows, "overwrite", "nolock", 4096, 1), false, 0.05);
    report_goal("locks' share of a 4 KiB overwrite, 2 threads",
                1 - user[2] / figure(rows, "overwrite", "nolock", 4096, 2), false, 0.15);
}

/* The quick form has the cells that the goals are about. */
static unsigned widest(const struct io_options *options)
{
    return options->quick ? 2 : COUNT(all_threads);
}

static unsigned lost(const json_t *rows, unsigned widths)
{
    unsigned cells = 0;

    for (size_t l = 0; l < COUNT(loads); l++)
        for (size_t b = 0; b < COUNT(blocks); b++)
            for (unsigned t = 0; t < widths; t++)
                cells += figure(rows, loads[l].name, "twostate_user", blocks[b].bytes,
                                (int)all_threads[t]) < figure(rows, loads[l].name, "kernel",
                                                              blocks[b].bytes, (int)all_threads[t]);
    return cells;
}

json_t *io_cached(const struct io_options *options)
{
    const int64_t size = (options->quick ? 16 : 64) * IO_MIB;
    const unsigned widths = widest(options), cells = COUNT(loads) * COUNT(blocks) * widths;
    struct place places[IMPLS];
    json_t *rows = json_array();
    const char *fs = io_fs_name(options->dir);

    for (unsigned i = 0; i < IMPLS; i++)
        places[i] = make_place(&impls[i], options->dir, size);
    printf("cached IO at random, %d MiB, one file on %s; thousands of operations in a second\n\n",
           (int)(size / IO_MIB), fs);
    printf("%-10s %-6s %7s |", "case", "block", "threads");
    for (unsigned i = 0; i < IMPLS; i++)
        printf(" %15s", impls[i].name);
    printf(" | %9s %9s %9s\n", "of kernel", "of memcpy", "locks");
    for (unsigned cell = 0; cell < cells; cell++) {
        const struct load *load = &loads[cell / widths / COUNT(blocks)];
        const unsigned b = cell / widths % COUNT(blocks), threads = all_threads[cell % widths];
        const struct job job = {
            .size = size, .block = blocks[b].bytes, .writes = UINT64_C(65536) * load->writes / 100};
        struct median medians[IMPLS];

        report_progress(cell, cells, load->name);
        measure(places, options, job, threads, medians);
        report_progress(cells, cells, "");
        say(load, b, threads, fs, medians, rows);
    }
    printf("\n%u of %u cells lost to the kernel\n", lost(rows, widths), cells);
    goals(rows);
    for (unsigned i = 0; i < IMPLS; i++)
        unmake_place(&places[i], size);
    return rows;
}
