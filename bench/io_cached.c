/* SPDX-License-Identifier: MIT */
/*
 * bench_io cached: buffered IO of several threads on one file, all of it in the cache, at random.
 *
 * Each implementation has a file of its own, of the same size and all written: the engine with its
 * own cache, the same without its locks (nolock.h), the engine over the kernel's cache, and pread and
 * pwrite. memcpy is the floor: the same bytes to and from one piece of memory as large as the file.
 *
 * A machine is not as fast at one time as at another. So a round has a short turn for each implementation
 * and number of threads, in random order, and what is compared is compared round by round: a ratio is the
 * median of the rounds' ratios. Each turn begins with a moment that does not count, in which what others
 * have put out of the processor's caches comes back. What a round left dirty is synced in nobody's time.
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

#define TURNS     3 /* in which a run is done */
#define WARM_PART 3 /* of a turn, does not count */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { LOADS = 3, BLOCKS = 2, WIDTHS = 4 };

static const struct load {
    const char *name;
    unsigned writes; /* percent */
} loads[LOADS] = {{"overwrite", 100}, {"read", 0}, {"mixed7030", 30}};

static const struct {
    int bytes;
    const char *name;
} blocks[BLOCKS] = {{4096, "4 KiB"}, {65536, "64 KiB"}};

static const unsigned all_threads[WIDTHS] = {1, 2, 4, 8};

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

/* Of one load with one block size, one implementation and so many threads: a figure for each round. */
struct cell {
    double *ops_per_s;
    double *cpu_ns; /* of the processor, for one operation */
};

struct results {
    unsigned widths, rounds;
    struct cell cells[LOADS][BLOCKS][WIDTHS][IMPLS];
};

static double median(const struct results *results, const double *values)
{
    double *sorted = io_alloc(results->rounds, sizeof(*sorted));
    double middle;

    memcpy(sorted, values, results->rounds * sizeof(*sorted));
    middle = report_median(sorted, results->rounds);
    free(sorted);
    return middle;
}

static double ratio(const struct results *results, const struct cell *of, const struct cell *to)
{
    double *ratios = io_alloc(results->rounds, sizeof(*ratios));
    double middle;

    for (unsigned i = 0; i < results->rounds; i++)
        ratios[i] = of->ops_per_s[i] / to->ops_per_s[i];
    middle = report_median(ratios, results->rounds);
    free(ratios);
    return middle;
}

/* One load with one block size, all numbers of threads and all implementations in turns. */
static void measure(const struct place places[IMPLS], const struct io_options *options,
                    const struct job *load, struct cell cells[WIDTHS][IMPLS],
                    const struct results *results)
{
    const uint64_t slice_ns = (options->quick ? 50000000 : 300000000) / TURNS;
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
    unsigned turns[WIDTHS * IMPLS];

    for (unsigned round = 0; round < results->rounds; round++) {
        io_shuffle(turns, results->widths * IMPLS, &seed);
        for (unsigned i = 0; i < results->widths * IMPLS; i++) {
            const unsigned width = turns[i] / IMPLS, impl = turns[i] % IMPLS;
            struct job job = *load;
            struct io_crew crew = {.step = impls[impl].step,
                                   .context = &job,
                                   .threads = all_threads[width],
                                   .warm_ns = slice_ns / WARM_PART};

            job.place = &places[impl];
            cells[width][impl].ops_per_s[round] = io_crew_turn(&crew, slice_ns - crew.warm_ns);
            cells[width][impl].cpu_ns[round] = crew.cpu_ns;
        }
        for (unsigned i = 0; i < IMPLS && load->writes > 0; i++)
            sync_place(&places[i]);
    }
}

static void say(const struct results *results, unsigned l, unsigned b, unsigned width,
                const char *fs, json_t *rows)
{
    const struct cell *cells = results->cells[l][b][width];
    const double of_kernel = ratio(results, &cells[USER], &cells[KERNEL]);

    printf("%-10s %-6s %7u |", loads[l].name, blocks[b].name, all_threads[width]);
    for (unsigned i = 0; i < IMPLS; i++) {
        const double ops_per_s = median(results, cells[i].ops_per_s);

        printf(" %15.0f", ops_per_s / 1000);
        io_add_row(rows,
                   json_pack("{s:s, s:s, s:s, s:i, s:i, s:o, s:o}", "case", loads[l].name, "impl",
                             impls[i].name, "fs", fs, "block", blocks[b].bytes, "threads",
                             (int)all_threads[width], "ops_per_s", report_number(ops_per_s),
                             "cpu_ns_per_op", report_number(median(results, cells[i].cpu_ns))));
    }
    printf(" | %9.2f %9.2f %9.3f%s\n", of_kernel, ratio(results, &cells[USER], &cells[MEMCPY]),
           1 - ratio(results, &cells[USER], &cells[NOLOCK]), of_kernel < 1 ? "  lost" : "");
}

static void goals(const struct results *results)
{
    enum { OVERWRITE, READ, MIXED };
    enum { SMALL, LARGE };
    enum { ONE, TWO };
    static const struct {
        const char *says;
        int load, block, threads, than;
        double goal;
    } ratios[] = {
        {"4 KiB overwrites, 2 threads, over the kernel's", OVERWRITE, SMALL, TWO, KERNEL, 6},
        {"4 KiB overwrites, 1 thread, over the kernel's", OVERWRITE, SMALL, ONE, KERNEL, 4},
        {"4 KiB overwrites, 2 threads, over memcpy's", OVERWRITE, SMALL, TWO, MEMCPY, 0.7},
        {"4 KiB 70/30, 2 threads, over the kernel's", MIXED, SMALL, TWO, KERNEL, 12},
        {"4 KiB reads, 2 threads, over the kernel's", READ, SMALL, TWO, KERNEL, 2},
        {"64 KiB overwrites, 2 threads, over the kernel's", OVERWRITE, LARGE, TWO, KERNEL, 2},
    };
    const struct cell(*small)[IMPLS] = results->cells[OVERWRITE][SMALL];

    putchar('\n');
    for (size_t i = 0; i < COUNT(ratios); i++) {
        const struct cell *cells =
            results->cells[ratios[i].load][ratios[i].block][ratios[i].threads];

        report_goal(ratios[i].says, ratio(results, &cells[USER], &cells[ratios[i].than]), true,
                    ratios[i].goal);
    }
    report_goal("4 KiB overwrites, 2 threads over 1",
                ratio(results, &small[TWO][USER], &small[ONE][USER]), true, 1.6);
    report_goal("locks' share of a 4 KiB overwrite, 1 thread",
                1 - ratio(results, &small[ONE][USER], &small[ONE][NOLOCK]), false, 0.05);
    report_goal("locks' share of a 4 KiB overwrite, 2 threads",
                1 - ratio(results, &small[TWO][USER], &small[TWO][NOLOCK]), false, 0.15);
}

static unsigned lost(const struct results *results)
{
    unsigned count = 0;

    for (unsigned l = 0; l < LOADS; l++)
        for (unsigned b = 0; b < BLOCKS; b++)
            for (unsigned w = 0; w < results->widths; w++) {
                const struct cell *cells = results->cells[l][b][w];

                count += ratio(results, &cells[USER], &cells[KERNEL]) < 1;
            }
    return count;
}

/* Room for all figures, of which the first cell's ops_per_s is the begin. */
static struct results *new_results(unsigned widths, unsigned rounds)
{
    struct results *results = io_alloc(1, sizeof(*results));
    double *room = io_alloc((size_t)LOADS * BLOCKS * WIDTHS * IMPLS * 2 * rounds, sizeof(*room));

    results->widths = widths;
    results->rounds = rounds;
    for (unsigned l = 0; l < LOADS; l++)
        for (unsigned b = 0; b < BLOCKS; b++)
            for (unsigned w = 0; w < WIDTHS; w++)
                for (unsigned i = 0; i < IMPLS; i++, room += (size_t)2 * rounds)
                    results->cells[l][b][w][i] =
                        (struct cell){.ops_per_s = room, .cpu_ns = room + rounds};
    return results;
}

json_t *io_cached(const struct io_options *options)
{
    const int64_t size = (options->quick ? 16 : 64) * IO_MIB;
    /* The quick form has the cells that the goals are about. */
    struct results *results = new_results(options->quick ? 2 : WIDTHS, options->runs * TURNS);
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
    for (unsigned n = 0; n < LOADS * BLOCKS; n++) {
        const unsigned l = n / BLOCKS, b = n % BLOCKS;
        const struct job job = {.size = size,
                                .block = blocks[b].bytes,
                                .writes = UINT64_C(65536) * loads[l].writes / 100};

        report_progress(n, LOADS * BLOCKS, loads[l].name);
        measure(places, options, &job, results->cells[l][b], results);
        report_progress(1, 1, "");
        for (unsigned w = 0; w < results->widths; w++)
            say(results, l, b, w, fs, rows);
    }
    printf("\n%u of %u cells lost to the kernel\n", lost(results),
           LOADS * BLOCKS * results->widths);
    goals(results);
    for (unsigned i = 0; i < IMPLS; i++)
        unmake_place(&places[i], size);
    free(results->cells[0][0][0][0].ops_per_s);
    free(results);
    return rows;
}
