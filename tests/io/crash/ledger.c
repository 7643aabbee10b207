/* SPDX-License-Identifier: MIT */
/* The ledger, and what a file's words look like: see ledger.h. */
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t random_next(uint64_t *state)
{
    return mix(*state += UINT64_C(0x9e3779b97f4a7c15));
}

uint32_t random_below(uint64_t *state, uint32_t end)
{
    return (uint32_t)(random_next(state) % end);
}

/* Cells of a sector, of a block, of several, and two sizes that fit nothing. */
struct shape shape_choose(uint64_t seed, uint32_t bytes)
{
    static const uint32_t sizes[] = {512, 4096, 1000, 16384, 4104};
    static const uint32_t runs[] = {1, 4, 16, 64};
    uint64_t random = seed;
    struct shape shape = {.cell = sizes[random_below(&random, 5)]};

    shape.cells = bytes / shape.cell;
    shape.run = runs[random_below(&random, 4)];
    shape.threads = 2 + random_below(&random, 3);
    shape.records = random_below(&random, 2);
    shape.salt = (uint32_t)random_next(&random);
    return shape;
}

int64_t shape_end(const struct shape *shape)
{
    return (int64_t)shape->cell * shape->cells;
}

static size_t bytes_of(uint32_t limit)
{
    return sizeof(struct ledger) + limit * sizeof(struct event);
}

struct ledger *ledger_new(uint32_t limit)
{
    struct ledger *ledger = mmap(NULL, bytes_of(limit), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (ledger == MAP_FAILED) {
        perror("ledger");
        exit(1);
    }
    ledger->limit = limit;
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    munmap(ledger, bytes_of(ledger->limit));
}

void ledger_clear(struct ledger *ledger, const struct shape *shape)
{
    memset(ledger->events, 0, ledger_count(ledger) * sizeof(struct event));
    ledger->next = 0;
    ledger->version = 0;
    ledger->shape = *shape;
}

uint32_t ledger_count(const struct ledger *ledger)
{
    const uint32_t next = __atomic_load_n(&ledger->next, __ATOMIC_ACQUIRE);

    return next < ledger->limit ? next : ledger->limit;
}

bool ledger_add(struct ledger *ledger, struct event event)
{
    const uint32_t kind = event.kind;
    uint32_t mine = 0;

    if (ledger_count(ledger) == ledger->limit)
        return false;
    mine = __atomic_fetch_add(&ledger->next, 1, __ATOMIC_ACQ_REL);
    if (mine >= ledger->limit)
        return false;
    event.kind = EVENT_NONE;
    ledger->events[mine] = event;
    __atomic_store_n(&ledger->events[mine].kind, kind, __ATOMIC_RELEASE);
    return true;
}

uint32_t ledger_version(struct ledger *ledger)
{
    return __atomic_add_fetch(&ledger->version, 1, __ATOMIC_ACQ_REL);
}

bool ledger_used_up(const struct ledger *ledger)
{
    return ledger_count(ledger) == ledger->limit ||
           __atomic_load_n(&ledger->version, __ATOMIC_ACQUIRE) >= MOST_VERSION - MOST_THREADS;
}

const struct event *ledger_failure(const struct ledger *ledger)
{
    const uint32_t count = ledger_count(ledger);

    for (uint32_t i = 0; i < count; i++)
        if (ledger->events[i].kind == EVENT_FAILED)
            return &ledger->events[i];
    return NULL;
}

uint64_t word_make(const struct shape *shape, uint32_t place, uint32_t version, uint32_t index)
{
    const uint64_t what = (uint64_t)version << 40 | (uint64_t)index << 24;
    const uint64_t check = mix(what ^ mix((uint64_t)shape->salt << 32 | place));

    return what | (check & 0xffffff);
}

uint32_t word_version(uint64_t word)
{
    return (uint32_t)(word >> 40);
}

uint32_t word_index(uint64_t word)
{
    return (uint32_t)(word >> 24) & (MOST_INDEX - 1);
}
