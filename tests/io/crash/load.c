/* SPDX-License-Identifier: MIT */
/*
 * The load: see load.h.
 *
 * The ledger has to be right at every moment, for there is no other: a SUBMIT is in it before the
 * engine hears of the write, and what was acknowledged after the engine has said so.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#define MOST_BYTES ((size_t)1 << 20)

enum {
    SLOTS = 4,  /* asynchronous requests of a thread */
    PIECES = 3, /* of memory, that one request has */
};

struct slot {
    struct worker *worker;
    char *memory;
    uint32_t busy; /* atomic */
    struct event event;
    bool dsync;
    size_t length;
};

struct worker {
    const struct load *load;
    bool lazy; /* syncs seldom, so that much is dirty when it does */
    struct twostate_file *file;
    uint32_t number;
    uint32_t until; /* events */
    uint64_t random;
    char *memory;
    struct slot slots[SLOTS];
    pthread_t thread;
};

/* A write that has been chosen. */
struct request {
    struct event event;
    int64_t offset;
    size_t length;
    unsigned flags;
};

static void note(const struct load *load, struct event event)
{
    event.position = load->position ? __atomic_load_n(load->position, __ATOMIC_ACQUIRE) : 0;
    ledger_add(load->ledger, event);
}

static void note_failure(const struct load *load, int64_t result)
{
    note(load, (struct event){.kind = EVENT_FAILED, .offset = result});
}

/* The answer to a write. */
static void note_written(const struct load *load, struct event event, int64_t result, size_t length,
                         bool dsync)
{
    if (result != (int64_t)length) {
        note_failure(load, result);
        return;
    }
    event.kind = dsync ? EVENT_DURABLE : EVENT_COMPLETE;
    note(load, event);
}

/* The answer to a sync, before which there were `before` events. */
static void note_synced(const struct load *load, int64_t before, int64_t result)
{
    if (result)
        note_failure(load, result);
    else
        note(load, (struct event){.kind = EVENT_SYNCED, .offset = before});
}

static void fill(const struct shape *shape, const struct event *event, char *memory)
{
    const uint32_t words = event->place == RECORD ? event->count : shape->cell / WORD;
    const uint32_t places = event->place == RECORD ? 1 : event->count;
    uint64_t *to = (uint64_t *)(void *)memory;

    for (uint32_t i = 0; i < places; i++)
        for (uint32_t index = 0; index < words; index++)
            *to++ = word_make(shape, event->place == RECORD ? RECORD : event->place + i,
                              event->version, index);
}

static uint32_t below(struct worker *w, uint32_t end)
{
    return random_below(&w->random, end);
}

/* Small ones more often than large ones. */
static uint32_t some(struct worker *w, uint32_t most)
{
    const uint32_t limit = most >> below(w, 8);

    return 1 + below(w, limit ? limit : 1);
}

static unsigned choose_flags(struct worker *w)
{
    static const unsigned flags[] = {
        0,
        0,
        TWOSTATE_IO_DSYNC,
        TWOSTATE_IO_DIRECT,
        TWOSTATE_IO_DIRECT,
        TWOSTATE_IO_DIRECT | TWOSTATE_IO_DSYNC,
        TWOSTATE_IO_DONTCACHE,
        TWOSTATE_IO_DONTCACHE | TWOSTATE_IO_DSYNC,
    };

    return w->lazy && below(w, 32) ? 0 : flags[below(w, sizeof(flags) / sizeof(flags[0]))];
}

/* A record; of whole blocks where cells are. */
static struct request choose_record(struct worker *w)
{
    const struct shape *shape = &w->load->ledger->shape;
    const uint32_t unit = shape->cell % BLOCK == 0 && below(w, 8) ? BLOCK / WORD : 1;
    const uint32_t words = unit * some(w, (uint32_t)(MOST_BYTES / 8 / WORD) / unit);

    return (struct request){
        .event = {.place = RECORD, .count = words, .offset = -1},
        .length = (size_t)words * WORD,
        .flags = choose_flags(w) | TWOSTATE_IO_APPEND,
    };
}

/* Cells of one run of this thread. A thread that has none: count is 0. */
static struct request choose_cells(struct worker *w)
{
    const struct shape *shape = &w->load->ledger->shape;
    const uint32_t runs = (shape->cells + shape->run - 1) / shape->run;
    const uint32_t mine = (runs + shape->threads - 1 - w->number) / shape->threads;
    struct request request = {.flags = choose_flags(w)};
    uint32_t run = 0;
    uint32_t first = 0;
    uint32_t end = 0;

    if (mine == 0)
        return request;
    run = w->number + shape->threads * below(w, mine);
    end = (run + 1) * shape->run < shape->cells ? (run + 1) * shape->run : shape->cells;
    first = run * shape->run + below(w, end - run * shape->run);
    request.event = (struct event){.place = first, .count = some(w, end - first), .offset = -1};
    request.offset = (int64_t)first * shape->cell;
    request.length = (size_t)request.event.count * shape->cell;
    return request;
}

/* Requests in flight have no order, so none may overlap them. */
static bool overlaps(const struct worker *w, const struct event *event)
{
    for (int i = 0; i < SLOTS; i++) {
        const struct event *other = &w->slots[i].event;

        if (__atomic_load_n(&w->slots[i].busy, __ATOMIC_ACQUIRE) && event->place != RECORD &&
            other->place != RECORD && event->place < other->place + other->count &&
            other->place < event->place + event->count)
            return true;
    }
    return false;
}

static struct slot *free_slot(struct worker *w)
{
    for (int i = 0; i < SLOTS; i++)
        if (!__atomic_load_n(&w->slots[i].busy, __ATOMIC_ACQUIRE))
            return &w->slots[i];
    return NULL;
}

/* The memory in up to PIECES pieces, mostly one; mostly aligned. */
static int split(struct worker *w, char *memory, size_t length, struct iovec *iov)
{
    const uint32_t words = (uint32_t)(length / WORD);
    int count = 0;

    while (count < PIECES - 1 && length > WORD && below(w, 4) == 0) {
        const size_t piece = (size_t)WORD * (1 + below(w, words));

        if (piece >= length)
            break;
        iov[count++] = (struct iovec){.iov_base = memory, .iov_len = piece};
        memory += piece;
        length -= piece;
    }
    iov[count++] = (struct iovec){.iov_base = memory, .iov_len = length};
    return count;
}

/* Now the write has a version, and the ledger knows of it. */
static int begin(struct worker *w, struct request *request, char *memory, struct iovec *iov)
{
    char *start = memory + (below(w, 4) ? 0 : WORD * below(w, BLOCK / WORD));

    request->event.kind = EVENT_SUBMIT;
    request->event.version = ledger_version(w->load->ledger);
    fill(&w->load->ledger->shape, &request->event, start);
    note(w->load, request->event);
    return split(w, start, request->length, iov);
}

static void write_now(struct worker *w, struct request *request)
{
    const bool dsync = request->flags & TWOSTATE_IO_DSYNC;
    struct iovec iov[PIECES];
    const int count = begin(w, request, w->memory, iov);
    ssize_t result = 0;

    if (request->flags & TWOSTATE_IO_APPEND)
        result = twostate_append(w->file, iov, count, request->flags, &request->event.offset);
    else
        result = twostate_pwritev(w->file, iov, count, request->offset, request->flags);
    note_written(w->load, request->event, result, request->length, dsync);
}

static void written(void *arg, ssize_t result)
{
    struct slot *slot = arg;

    note_written(slot->worker->load, slot->event, result, slot->length, slot->dsync);
    __atomic_store_n(&slot->busy, 0, __ATOMIC_RELEASE);
}

static void write_async(struct worker *w, struct request *request, struct slot *slot)
{
    struct iovec iov[PIECES];
    const int count = begin(w, request, slot->memory, iov);
    int result = 0;

    slot->event = request->event;
    slot->dsync = request->flags & TWOSTATE_IO_DSYNC;
    slot->length = request->length;
    __atomic_store_n(&slot->busy, 1, __ATOMIC_RELEASE);
    result =
        twostate_pwritev_async(w->file, iov, count, request->offset, request->flags, written, slot);
    if (result) {
        note_failure(w->load, result);
        __atomic_store_n(&slot->busy, 0, __ATOMIC_RELEASE);
    }
}

static void write_some(struct worker *w)
{
    const bool record = w->load->ledger->shape.records && below(w, 4) == 0;
    struct request request = record ? choose_record(w) : choose_cells(w);
    struct slot *slot = below(w, 3) ? NULL : free_slot(w);

    if (request.length == 0 || overlaps(w, &request.event))
        return;
    if (slot)
        write_async(w, &request, slot);
    else
        write_now(w, &request);
}

static void synced(void *arg, ssize_t result)
{
    struct slot *slot = arg;

    note_synced(slot->worker->load, slot->event.offset, result);
    __atomic_store_n(&slot->busy, 0, __ATOMIC_RELEASE);
}

static void sync_async(struct worker *w, struct slot *slot)
{
    int result = 0;

    slot->event = (struct event){.place = RECORD, .offset = ledger_count(w->load->ledger)};
    __atomic_store_n(&slot->busy, 1, __ATOMIC_RELEASE);
    result = twostate_fsync_async(w->file, synced, slot);
    if (result) {
        note_failure(w->load, result);
        __atomic_store_n(&slot->busy, 0, __ATOMIC_RELEASE);
    }
}

static void sync_some(struct worker *w)
{
    const uint32_t before = ledger_count(w->load->ledger);
    const uint32_t way = below(w, 3);
    struct slot *slot = way == 0 ? free_slot(w) : NULL;

    if (w->load->skip_sync)
        note_synced(w->load, before, 0);
    else if (slot)
        sync_async(w, slot);
    else
        note_synced(w->load, before,
                    way == 1 ? twostate_fsync(w->file) : twostate_fdatasync(w->file));
}

static void note_zeroed(const struct load *load, struct event event, int64_t result)
{
    event.kind = EVENT_ZEROED;
    if (result)
        note_failure(load, result);
    else
        note(load, event);
}

static void punch_some(struct worker *w)
{
    struct request request = choose_cells(w);

    if (request.length == 0 || overlaps(w, &request.event))
        return;
    request.event.kind = EVENT_ZERO;
    request.event.version = ledger_version(w->load->ledger);
    note(w->load, request.event);
    note_zeroed(w->load, request.event,
                twostate_fallocate(w->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                   request.offset, (int64_t)request.length));
}

/* Nobody else is at work. All cells from some one on are cut off, or come to be. */
static void truncate_some(const struct load *load, uint64_t *random, struct twostate_file *file)
{
    const struct shape *shape = &load->ledger->shape;
    const uint32_t place = random_below(random, shape->cells);
    const int64_t size = (int64_t)place * shape->cell;
    const struct event event = {
        .kind = EVENT_ZERO,
        .place = place,
        .count = shape->cells - place,
        .version = ledger_version(load->ledger),
        .offset = size,
    };

    note(load, event);
    note_zeroed(load, event, twostate_truncate(file, size));
}

/* What it reads is other tests' business: here it fills the cache, and changes the mode. */
static void read_some(struct worker *w)
{
    const uint32_t end = (uint32_t)shape_end(&w->load->ledger->shape);
    const ssize_t result = twostate_pread(w->file, w->memory, some(w, 1 << 16), below(w, end),
                                          below(w, 2) ? TWOSTATE_IO_DIRECT : 0);

    if (result < 0)
        note_failure(w->load, result);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct ledger *ledger = w->load->ledger;

    while (ledger_count(ledger) < w->until && !ledger_used_up(ledger)) {
        const uint32_t what = below(w, 16);

        if (what == 0 && w->lazy && below(w, 8))
            continue;
        if (what == 0)
            sync_some(w);
        else if (what <= 2)
            read_some(w);
        else if (what == 3 && below(w, 4) == 0)
            punch_some(w);
        else
            write_some(w);
    }
    return NULL;
}

static char *memory_new(void)
{
    void *memory = NULL;

    if (posix_memalign(&memory, BLOCK, MOST_BYTES + BLOCK))
        abort();
    return memory;
}

static void worker_start(struct worker *w)
{
    w->memory = memory_new();
    for (int i = 0; i < SLOTS; i++) {
        w->slots[i].worker = w;
        w->slots[i].memory = memory_new();
    }
    if (pthread_create(&w->thread, NULL, work, w))
        abort();
}

static void worker_free(struct worker *w)
{
    for (int i = 0; i < SLOTS; i++)
        free(w->slots[i].memory);
    free(w->memory);
}

static int open_file(const struct load *load, uint64_t *random, struct twostate_engine *engine,
                     struct twostate_file **file)
{
    const struct twostate_file_options options = {
        .cache = load->cache,
        .folio = 4096U << (2 * random_below(random, 3)),
    };

    return twostate_file_open_with(engine, load->path, O_RDWR, 0, &options, file);
}

/* Opens, works, closes: what is complete at that time is durable then. */
static int load_once(const struct load *load, bool lazy, uint64_t *random,
                     struct twostate_engine *engine)
{
    const uint32_t threads = load->ledger->shape.threads;
    const uint32_t until = ledger_count(load->ledger) + load->quota;
    struct worker workers[MOST_THREADS] = {0};
    struct twostate_file *file = NULL;
    uint32_t before = 0;
    int result = open_file(load, random, engine, &file);

    if (result)
        return result;
    if (!load->ledger->shape.records && random_below(random, 2))
        truncate_some(load, random, file);
    for (uint32_t i = 0; i < threads; i++) {
        workers[i] = (struct worker){.load = load, .lazy = lazy, .file = file, .number = i};
        workers[i].until = until;
        workers[i].random = random_next(random);
        worker_start(&workers[i]);
    }
    for (uint32_t i = 0; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    before = ledger_count(load->ledger);
    note_synced(load, before, twostate_file_close(file));
    for (uint32_t i = 0; i < threads; i++)
        worker_free(&workers[i]);
    return 0;
}

/* The cache is kept small, so that it evicts and writes back; or nothing makes it. */
static struct twostate_engine_options choose_options(const struct load *load, bool lazy,
                                                     uint64_t *random)
{
    static const unsigned percents[] = {1, 10, 40, 90};
    static const unsigned times[] = {1, 20, 5000};
    struct twostate_engine_options options = {.backend = load->backend};

    if (load->cache == TWOSTATE_CACHE_USER && lazy) {
        options.dirty_percent = 90;
        options.writeback_ms = 60000;
    } else if (load->cache == TWOSTATE_CACHE_USER) {
        options.cache_bytes = (uint64_t)(4 << random_below(random, 3)) << 20;
        options.dirty_percent = percents[random_below(random, 4)];
        options.writeback_ms = times[random_below(random, 3)];
    }
    return options;
}

int load_run(const struct load *load)
{
    uint64_t random = load->seed;
    const bool lazy = random_below(&random, 4) == 0;
    const struct twostate_engine_options options = choose_options(load, lazy, &random);
    struct twostate_engine *engine = NULL;
    int result = twostate_engine_create(&options, &engine);

    if (result)
        return result;
    for (uint32_t i = 0; i < load->openings && result == 0; i++)
        result = load_once(load, lazy, &random, engine);
    twostate_engine_destroy(engine);
    return result;
}
