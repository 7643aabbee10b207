/* SPDX-License-Identifier: MIT */
/*
 * Power cuts: the engine works on a file in an XFS, on a loop device, on a disk that remembers every
 * write and flush. Then the disk is put back to what a cut at any point may have left: all that was
 * flushed by then, and of the rest nothing, everything, or some blocks. Mounted again, the file must
 * hold what was acknowledged as durable before the cut.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"
#include "ledger.h"
#include "lie.h"
#include "load.h"
#include "options.h"
#include "verify.h"
#include "writelog.h"

enum {
    LIMIT = 1 << 16,
    FILE_BYTES = 1 << 20,
    QUOTA = 400,
    OPENINGS = 2,
    CUTS = 20, /* of one session */
    WATCHDOG_MS = 100000,
};

struct session {
    struct options options;
    struct ledger *ledger;
    struct write_log *log;
    uint64_t random;
    unsigned sector;
    struct image base;    /* just formatted */
    struct image live;    /* the disk while it is in use */
    struct image stable;  /* up to a flush */
    struct image scratch; /* after a cut */
    uint64_t applied;     /* entries that are in stable */
    uint64_t begin;       /* the part of the log that the load wrote */
    uint64_t end;
};

enum rest {
    REST_LOST,
    REST_KEPT,
    REST_SOME,
};

struct cut {
    uint64_t position;
    uint64_t seed;
    enum rest rest; /* what became of what was not flushed */
    uint32_t odds;  /* of 8, that a block of it was kept */
};

/* The load. */

static void make_file(const struct session *s, const char *path)
{
    const struct shape *shape = &s->ledger->shape;
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 || (shape->records && ftruncate(fd, shape_end(shape)) < 0) || syncfs(fd) < 0)
        die(path);
    close(fd);
}

static pid_t load_start(const struct session *s, const char *path, uint64_t seed)
{
    const struct load load = {
        .ledger = s->ledger,
        .position = &s->log->position,
        .path = path,
        .backend = s->options.backend,
        .cache = s->options.cache,
        .seed = seed,
        .quota = QUOTA,
        .openings = OPENINGS,
    };
    const pid_t child = fork_bound();

    if (child == 0) {
        lie_about(s->options.lie);
        _exit(-load_run(&load) & 0xff);
    }
    return child;
}

static uint32_t load_await(const struct session *s, pid_t child)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    const struct event *failure = NULL;
    int status = 0;

    for (int ms = 0; waitpid(child, &status, WNOHANG) != child; ms++) {
        if (ms == WATCHDOG_MS)
            kill(child, SIGKILL);
        nanosleep(&pause, NULL);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == EOPNOTSUPP)
        skip("no user cache on this file system", 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == ENOSYS)
        skip("this backend is not to be had", 0);
    failure = ledger_failure(s->ledger);
    if (failure)
        (void)printf("  WRONG: a call answered %" PRId64 "\n", failure->offset);
    if (status)
        (void)printf("  WRONG: the load ended with status %x\n", (unsigned)status);
    if (s->log->full)
        (void)printf("  WRONG: the log is full\n");
    return failure || status || s->log->full ? 1 : 0;
}

/* Writes the log, and the ledger with it. */
static uint32_t work(struct session *s)
{
    const uint64_t seed = random_next(&s->random);
    pid_t server = 0;
    uint32_t wrong = 0;
    int error = 0;

    write_log_clear(s->log);
    image_copy(&s->live, &s->base);
    server = write_log_serve(s->log, "fuse", s->live.fd);
    if (server < 0)
        skip("no FUSE", 0);
    error = disk_mount("fuse/image", "xfs", s->sector, false);
    if (error)
        skip("no XFS", -error);
    make_file(s, "xfs/data");
    s->begin = s->log->position;
    wrong = load_await(s, load_start(s, "xfs/data", seed));
    s->end = __atomic_load_n(&s->log->position, __ATOMIC_ACQUIRE);
    disk_unmount("xfs");
    umount2("fuse", MNT_DETACH);
    waitpid(server, NULL, 0);
    return wrong;
}

/* The cuts. */

/* At an acknowledgement, which it must keep, or anywhere. */
static uint64_t choose_position(struct session *s)
{
    const uint32_t count = ledger_count(s->ledger);

    for (int i = 0; i < 64 && random_below(&s->random, 8) != 0; i++) {
        const struct event *event = &s->ledger->events[random_below(&s->random, count)];

        if (event->kind == EVENT_DURABLE || event->kind == EVENT_SYNCED)
            return event->position;
    }
    return s->begin + random_next(&s->random) % (s->end - s->begin + 1);
}

static struct cut choose_cut(struct session *s)
{
    static const enum rest rests[] = {REST_LOST, REST_LOST, REST_SOME, REST_SOME, REST_KEPT};
    struct cut cut = {.position = choose_position(s), .seed = random_next(&s->random)};

    cut.rest = rests[random_below(&s->random, 5)];
    cut.odds = 1 + random_below(&s->random, 7);
    return cut;
}

static int by_position(const void *left, const void *right)
{
    const struct cut *a = left;
    const struct cut *b = right;

    return a->position < b->position ? -1 : a->position > b->position;
}

static void apply(struct image *image, const struct write_entry *entry)
{
    if (entry->length)
        image_write(image, entry->offset, entry->data, entry->length);
}

/* stable becomes all that was flushed before the cut. */
static void advance(struct session *s, uint64_t position)
{
    uint64_t flushed = s->applied;

    for (uint64_t i = s->applied; i < position; i++)
        if (s->log->entries[i].length == 0)
            flushed = i;
    for (; s->applied < flushed; s->applied++)
        apply(&s->stable, &s->log->entries[s->applied]);
}

static void apply_some(struct image *image, const struct write_entry *entry, struct cut *cut)
{
    uint32_t done = 0;

    while (done < entry->length) {
        const uint64_t offset = entry->offset + done;
        const uint32_t block = (uint32_t)(BLOCK - offset % BLOCK);
        const uint32_t length = entry->length - done < block ? entry->length - done : block;

        if (random_below(&cut->seed, 8) < cut->odds)
            image_write(image, offset, entry->data + done, length);
        done += length;
    }
}

static void make_scratch(struct session *s, struct cut cut)
{
    advance(s, cut.position);
    image_copy(&s->scratch, &s->stable);
    for (uint64_t i = s->applied; i < cut.position && cut.rest != REST_LOST; i++) {
        if (cut.rest == REST_KEPT)
            apply(&s->scratch, &s->log->entries[i]);
        else
            apply_some(&s->scratch, &s->log->entries[i], &cut);
    }
}

/*
 * While the kernel writes a page of its cache back, writers change it: so blocks may be torn there,
 * between versions that are both not older than what is durable.
 */
static uint32_t check_file(const struct session *s, const struct cut *cut)
{
    const int fd = open("check/data", O_RDONLY | O_CLOEXEC);
    const bool whole = s->options.cache == TWOSTATE_CACHE_USER;
    uint32_t wrong = 0;

    if (fd < 0) {
        (void)printf("  WRONG: the file is gone\n");
        return 1;
    }
    wrong = verify(s->ledger, cut->position, fd, whole, s->options.lie != NULL);
    close(fd);
    return wrong;
}

static uint32_t check_cut(struct session *s, const struct cut *cut)
{
    static const char *const rests[] = {"lost", "kept", "kept in part"};
    uint32_t wrong = 0;
    int error = 0;

    make_scratch(s, *cut);
    error = disk_mount("scratch", "check", s->sector, true);
    if (error) {
        (void)printf("  WRONG: can't be mounted: %d\n", error);
        wrong = 1;
    } else {
        wrong = check_file(s, cut);
        disk_unmount("check");
    }
    if (wrong && !s->options.lie)
        (void)printf("cut at %" PRIu64 " of %" PRIu64 ", since the flush at %" PRIu64 " %s: "
                     "%u wrong\n",
                     cut->position, s->end, s->applied, rests[cut->rest], wrong);
    return wrong;
}

static uint32_t check_cuts(struct session *s, uint32_t count)
{
    struct cut cuts[CUTS];
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < count; i++)
        cuts[i] = choose_cut(s);
    cuts[0].position = s->end;
    qsort(cuts, count, sizeof(cuts[0]), by_position);
    image_copy(&s->stable, &s->base);
    s->applied = 0;
    for (uint32_t i = 0; i < count; i++)
        wrong += check_cut(s, &cuts[i]);
    return wrong;
}

/* With a seed of its own, that repeats it alone. */
static uint32_t session_run(struct session *s, uint64_t seed, uint32_t cuts)
{
    const struct shape shape = shape_choose(seed, FILE_BYTES);
    uint32_t wrong = 0;

    s->random = ~seed;
    s->sector = random_below(&s->random, 4) ? 512 : 4096;
    (void)printf("seed %" PRIu64 ": sectors of %u, cells of %u, runs of %u, %u threads%s\n", seed,
                 s->sector, shape.cell, shape.run, shape.threads, shape.records ? ", records" : "");
    ledger_clear(s->ledger, &shape);
    image_format(&s->base, "base", s->sector);
    wrong = work(s);
    (void)printf("  %u events, %" PRIu64 " writes and flushes, %" PRIu64 " KiB; %u cuts\n",
                 ledger_count(s->ledger), s->end - s->begin, s->log->bytes >> 10, cuts);
    return wrong + check_cuts(s, cuts);
}

static void session_free(struct session *s)
{
    image_free(&s->base);
    image_free(&s->live);
    image_free(&s->stable);
    image_free(&s->scratch);
    write_log_free(s->log);
    ledger_free(s->ledger);
}

int main(int argc, char **argv)
{
    struct session s = {.options = options_parse(argc, argv, 60)};
    uint32_t wrong = 0;

    disk_enter();
    if (mkdir("fuse", 0700) < 0 || mkdir("xfs", 0700) < 0 || mkdir("check", 0700) < 0)
        die("mkdir");
    s.ledger = ledger_new(LIMIT);
    s.log = write_log_new();
    s.base = image_new("base");
    s.live = image_new("live");
    s.stable = image_new("stable");
    s.scratch = image_new("scratch");
    for (uint32_t done = 0; done < s.options.rounds && !(s.options.lie && wrong); done += CUTS) {
        const uint32_t left = s.options.rounds - done;

        wrong += session_run(&s, s.options.seed + done / CUTS, left < CUTS ? left : CUTS);
    }
    session_free(&s);
    return options_judge(&s.options, wrong);
}
