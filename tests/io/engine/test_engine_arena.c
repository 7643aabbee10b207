/* SPDX-License-Identifier: MIT */
/* The memory of user caches: who gets it, who gives way, and that it is never more than allowed. */
#include "common.h"
#include "inject.h"

#include "io/arena.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <twostate/validate.h>

#define S4  UINT32_C(4096)
#define S16 UINT32_C(16384)
#define S64 UINT32_C(65536)

/* An owner is only an address to the arena. */
static char owners[4];
#define OWNER(n) ((struct user_cache *)(void *)&owners[n])

static struct {
    struct arena *arena;
    struct folio *evicted[64]; /* the last ones, by count */
    uint32_t evictions;
    uint32_t presses;
    uint32_t asked;
    uint32_t broken; /* what `stuck` answers */
    struct folio *used_again;
} now;

static void note_evicted(struct folio *folio)
{
    CHECK(twostate_iolock_query(&folio->lock).mode == TWOSTATE_EXCLUSIVE);
    CHECK(folio->owner != NULL && folio->dirty == 0);
    now.evicted[(add(&now.evictions, 1) - 1) % 64] = folio;
}

static void note_pressed(void *context)
{
    CHECK(context == &now);
    add(&now.presses, 1);
}

static int ask(void *context)
{
    CHECK(context == &now);
    add(&now.asked, 1);
    return load(&now.broken) ? -EIO : 0;
}

static void begin(uint64_t limit)
{
    memset(&now, 0, sizeof(now));
    assert_int_equal(arena_create_(limit, note_evicted, note_pressed, &now, &now.arena), 0);
}

static void end(void)
{
    assert_int_equal(arena_query_(now.arena).used, 0);
    arena_destroy_(now.arena);
    assert_int_equal(twostate_validate_query().holds, 0);
}

static int reserve(uint32_t size, unsigned count)
{
    return arena_reserve_(now.arena, size, count, false, ask, &now);
}

static uint64_t used(void)
{
    return arena_query_(now.arena).used;
}

/* A folio in use: owned, clean, unlocked. */
static struct folio *own(uint32_t size, unsigned owner)
{
    struct folio *folio = arena_take_(now.arena, size);

    folio->owner = OWNER(owner);
    twostate_iolock_release(&folio->lock, TWOSTATE_EXCLUSIVE);
    return folio;
}

static void disown(struct folio *folio, uint32_t size)
{
    twostate_iolock_acquire(&folio->lock, TWOSTATE_EXCLUSIVE);
    arena_free_(now.arena, folio, size);
}

static void set_dirty(struct folio *folio, uint32_t dirty)
{
    __atomic_store_n(&folio->dirty, dirty, __ATOMIC_RELEASE);
    if (dirty == 0)
        arena_cleaned_(now.arena);
}

/* A reservation in a thread of its own, which gives it back at once, or when it is told. */
struct wanted {
    struct task task;
    uint32_t size;
    unsigned count;
    int result;
    uint32_t keep;
    uint32_t has;
};

static void want(void *argument)
{
    struct wanted *wanted = argument;

    wanted->result = reserve(wanted->size, wanted->count);
    store(&wanted->has, 1);
    AWAIT(!load(&wanted->keep));
    if (wanted->result == 0)
        arena_unreserve_(now.arena, wanted->size, wanted->count);
}

static void want_start(struct wanted *wanted, uint32_t size, unsigned count, bool keep)
{
    *wanted = (struct wanted){.size = size, .count = count, .keep = keep};
    task_start(&wanted->task, want, wanted);
}

static void refused(void **state)
{
    struct arena *arena = NULL;

    (void)state;
    assert_int_equal(arena_create_(UINT64_MAX, note_evicted, note_pressed, NULL, &arena), -ENOMEM);
    inject_error(CALL_ALLOCATE, 1, 1, ENOMEM);
    assert_int_equal(arena_create_(MIB, note_evicted, note_pressed, NULL, &arena), -ENOMEM);
    inject_nothing();
    begin(UINT64_C(10) * S16 + 5);
    assert_int_equal(reserve(S16, 11), -ENOMEM);
    assert_int_equal(reserve(S64, UINT32_MAX), -ENOMEM);
    assert_int_equal(reserve(5000, 1), -EINVAL);
    assert_int_equal(reserve(S16, 10), 0);
    assert_int_equal(used(), 10 * S16);
    arena_unreserve_(now.arena, S16, 10);
    assert_int_equal(reserve(S64, 0), 0);
    end();
}

/* Address space is refused: for the descriptors, then for the memory. */
static void no_address_space(void **state)
{
    (void)state;
    begin(MIB);
    for (uint32_t nth = 1; nth <= 2; nth++) {
        inject_error(CALL_ALLOCATE, nth, 1, ENOMEM);
        assert_int_equal(reserve(S16, 1), -ENOMEM);
        inject_nothing();
        assert_int_equal(used(), 0);
    }
    assert_int_equal(reserve(S16, 1), 0);
    arena_unreserve_(now.arena, S16, 1);
    end();
}

/* What is taken is free, locked, aligned, and nobody else's. */
static void taken(void **state)
{
    struct folio *folios[64];

    (void)state;
    begin(MIB);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(reserve(S16, 64), 0);
        for (unsigned i = 0; i < 64; i++) {
            struct folio *folio = arena_take_(now.arena, S16);

            folios[i] = folio;
            twostate_iolock_assert_held(&folio->lock, TWOSTATE_EXCLUSIVE);
            assert_null(folio->owner);
            assert_int_equal(folio->valid, 0);
            assert_int_equal(folio->dirty, 0);
            assert_int_equal((uintptr_t)folio->data % 4096, 0);
            memset(folio->data, (int)i, S16);
            folio->valid = 15;
            folio->owner = OWNER(0);
            assert_int_equal(used(), MIB);
        }
        for (unsigned i = 0; i < 64; i++) {
            for (unsigned at = 0; at < S16; at += 1000)
                assert_int_equal(folios[i]->data[at], i);
            arena_free_(now.arena, folios[i], S16);
            assert_null(folios[i]->owner);
            assert_int_equal(twostate_iolock_query(&folios[i]->lock).holders, 0);
        }
        assert_int_equal(used(), 0);
    }
    assert_int_equal(now.evictions, 0);
    end();
}

/* NOWAIT neither evicts nor passes who waits. */
static void nowait(void **state)
{
    struct folio *folio = NULL;

    (void)state;
    begin(UINT64_C(2) * S16);
    assert_int_equal(arena_reserve_(now.arena, S16, 1, true, NULL, NULL), 0);
    folio = own(S16, 0);
    assert_int_equal(arena_reserve_(now.arena, S16, 2, true, NULL, NULL), -EAGAIN);
    assert_int_equal(used(), S16);
    assert_int_equal(now.evictions, 0);
    assert_int_equal(arena_reserve_(now.arena, S16, 3, true, NULL, NULL), -ENOMEM);
    disown(folio, S16);
    end();
}

static void evicts(unsigned count, struct folio *const *folios, const unsigned *order)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(reserve(S16, 1), 0);
        assert_int_equal(now.evictions, i + 1);
        assert_ptr_equal(now.evicted[i], folios[order[i]]);
        assert_null(folios[order[i]]->owner);
        assert_int_equal(twostate_iolock_query(&folios[order[i]]->lock).holders, 0);
    }
}

/* The hand passes those used since it last came by, once. */
static void second_chance(void **state)
{
    static const unsigned order[] = {3, 5, 0, 1, 4, 7, 2, 6};
    struct folio *folios[8];

    (void)state;
    begin(UINT64_C(8) * S16);
    assert_int_equal(reserve(S16, 8), 0);
    for (unsigned i = 0; i < 8; i++) {
        folios[i] = own(S16, 0);
        folios[i]->used = i != 3 && i != 5;
    }
    evicts(2, folios, order);
    /* The hand has passed 0, 1, 2 and 4; comes by 6 and 7 next. */
    assert_int_equal(folios[2]->used + folios[4]->used, 0);
    assert_int_equal(folios[6]->used + folios[7]->used, 2);
    folios[2]->used = 1;
    folios[6]->used = 1;
    memset(now.evicted, 0, sizeof(now.evicted));
    now.evictions = 0;
    evicts(2, folios, order + 2);
    assert_int_equal(folios[7]->used, 0);
    folios[6]->used = 1;
    now.evictions = 0;
    evicts(4, folios, order + 4);
    assert_int_equal(used(), 8 * S16);
    arena_unreserve_(now.arena, S16, 8);
    end();
}

/* Used again since it got its second chance: it gives way, rather than that somebody waits. */
static void use_again(struct folio *folio)
{
    note_evicted(folio);
    now.used_again->used = 1;
}

static void no_mercy(void **state)
{
    struct folio *unused = NULL;

    (void)state;
    memset(&now, 0, sizeof(now));
    assert_int_equal(arena_create_(UINT64_C(2) * S16, use_again, note_pressed, &now, &now.arena),
                     0);
    assert_int_equal(reserve(S16, 2), 0);
    now.used_again = own(S16, 0);
    now.used_again->used = 1;
    unused = own(S16, 0);
    assert_int_equal(reserve(S16, 2), 0);
    assert_ptr_equal(now.evicted[0], unused);
    assert_ptr_equal(now.evicted[1], now.used_again);
    assert_int_equal(now.presses, 0);
    arena_unreserve_(now.arena, S16, 2);
    end();
}

/* Nothing gives way while it is dirty, being written, locked, or not yet anybody's. */
static void waits_for_clean(void **state)
{
    static const uint32_t dirty[] = {1, 0x8000, 0x10000, 0x80000000};
    struct wanted wanted;
    struct folio *folio = NULL;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        begin(S64);
        assert_int_equal(reserve(S64, 1), 0);
        folio = own(S64, 0);
        folio->dirty = dirty[i];
        want_start(&wanted, S64, 1, false);
        AWAIT(load(&now.asked) > 3);
        assert_true(load(&now.presses) > 0);
        assert_int_equal(load(&now.evictions), 0);
        assert_int_equal(used(), S64);
        set_dirty(folio, 0);
        task_join(&wanted.task);
        assert_int_equal(wanted.result, 0);
        assert_int_equal(now.evictions, 1);
        end();
    }
}

static void waits_for_unlocked(void **state)
{
    struct wanted wanted;
    struct folio *folio = NULL;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        begin(S16);
        assert_int_equal(reserve(S16, 1), 0);
        folio = arena_take_(now.arena, S16);
        if (i < 2)
            folio->owner = OWNER(0);
        if (i == 1)
            twostate_iolock_demote(&folio->lock);
        want_start(&wanted, S16, 1, false);
        AWAIT(load(&now.asked) > 3);
        assert_int_equal(load(&now.evictions), 0);
        if (i == 2)
            arena_free_(now.arena, folio, S16);
        else /* of this nobody tells */
            twostate_iolock_release(&folio->lock, i ? TWOSTATE_SHARED : TWOSTATE_EXCLUSIVE);
        task_join(&wanted.task);
        assert_int_equal(wanted.result, 0);
        assert_int_equal(now.evictions, i < 2);
        end();
    }
}

/* Unlocked, but not anybody's yet. */
static void not_owned(void **state)
{
    struct folio *folio = NULL;

    (void)state;
    begin(S16);
    assert_int_equal(reserve(S16, 1), 0);
    folio = arena_take_(now.arena, S16);
    twostate_iolock_release(&folio->lock, TWOSTATE_EXCLUSIVE);
    store(&now.broken, 1);
    assert_int_equal(reserve(S16, 1), -EIO);
    assert_int_equal(now.evictions, 0);
    disown(folio, S16);
    end();
}

/* Who can't have all has nothing: what he waits for is another's to use. */
static void all_or_nothing(void **state)
{
    struct folio *folios[4];
    struct wanted wanted;

    (void)state;
    begin(UINT64_C(8) * S16);
    assert_int_equal(reserve(S16, 4), 0);
    for (unsigned i = 0; i < 4; i++) {
        folios[i] = own(S16, 0);
        folios[i]->dirty = i != 0;
    }
    want_start(&wanted, S16, 6, false);
    AWAIT(load(&now.evictions) == 1 && load(&now.asked) > 2);
    assert_int_equal(used(), 3 * S16);
    store(&now.broken, 1);
    task_join(&wanted.task);
    assert_int_equal(wanted.result, -EIO);
    assert_int_equal(used(), 3 * S16);
    assert_int_equal(reserve(S16, 5), 0);
    arena_unreserve_(now.arena, S16, 5);
    for (unsigned i = 1; i < 4; i++) {
        folios[i]->dirty = 0;
        disown(folios[i], S16);
    }
    end();
}

/* A small one doesn't get what a large one waits for. It is asked whether it is stuck, too. */
static void in_line(void **state)
{
    struct wanted large;
    struct wanted small;
    struct wanted third;

    (void)state;
    begin(UINT64_C(8) * S16);
    assert_int_equal(reserve(S16, 4), 0);
    want_start(&large, S16, 6, true);
    AWAIT(load(&now.presses) > 0);
    want_start(&small, S16, 1, true);
    AWAIT(load(&now.asked) > 8);
    assert_int_equal(arena_reserve_(now.arena, S16, 1, true, NULL, NULL), -EAGAIN);
    arena_unreserve_(now.arena, S16, 1);
    assert_int_equal(load(&large.has) + load(&small.has), 0);
    assert_int_equal(used(), 3 * S16);
    arena_unreserve_(now.arena, S16, 1);
    AWAIT(load(&large.has) && load(&small.has) == 0);
    assert_int_equal(used(), 8 * S16);
    want_start(&third, S64, 2, false);
    store(&large.keep, 0);
    AWAIT(load(&small.has));
    arena_unreserve_(now.arena, S16, 2);
    store(&small.keep, 0);
    task_join(&large.task);
    task_join(&small.task);
    task_join(&third.task);
    assert_int_equal(large.result | small.result | third.result, 0);
    end();
}

/* The first in line gives up: the next one gets its turn. */
static void gives_up(void **state)
{
    struct wanted all;
    struct wanted behind;

    (void)state;
    begin(UINT64_C(8) * S16);
    assert_int_equal(reserve(S16, 2), 0);
    want_start(&all, S16, 8, false);
    AWAIT(load(&now.presses) > 0);
    want_start(&behind, S16, 7, false);
    AWAIT(load(&now.asked) > 6);
    store(&now.broken, 1);
    task_join(&all.task);
    task_join(&behind.task);
    assert_int_equal(all.result, -EIO);
    assert_int_equal(behind.result, -EIO);
    assert_int_equal(used(), 2 * S16);
    arena_unreserve_(now.arena, S16, 2);
    end();
}

/* Two that need most of the memory, again and again, and keep what they get: neither waits for ever. */
static void take_many(void *argument)
{
    struct folio *folios[257];

    (void)argument;
    for (unsigned round = 0; round < 60; round++) {
        CHECK(reserve(S4, 257) == 0);
        for (unsigned i = 0; i < 257; i++) {
            folios[i] = arena_take_(now.arena, S4);
            folios[i]->owner = OWNER(0);
        }
        CHECK(used() <= UINT64_C(300) * S4);
        for (unsigned i = 0; i < 257; i++) {
            if (i % 2)
                arena_free_(now.arena, folios[i], S4);
            else
                twostate_iolock_release(&folios[i]->lock, TWOSTATE_EXCLUSIVE);
        }
    }
}

static void two_large(void **state)
{
    struct task tasks[2];

    (void)state;
    begin(UINT64_C(300) * S4);
    for (unsigned i = 0; i < 2; i++)
        task_start(&tasks[i], take_many, NULL);
    for (unsigned i = 0; i < 2; i++)
        task_join(&tasks[i]);
    assert_int_equal(reserve(S4, 300), 0);
    arena_unreserve_(now.arena, S4, 300);
    end();
}

/* Pages with memory among the first `bytes` of a size, where its first folio is. */
static uint64_t resident(const char *first, uint64_t bytes)
{
    static unsigned char pages[4096];
    uint64_t count = 0;

    assert_true(bytes / 4096 <= sizeof(pages));
    assert_int_equal(mincore((void *)(uintptr_t)first, bytes, pages), 0);
    for (unsigned i = 0; i < bytes / 4096; i++)
        count += pages[i] & 1;
    return count * 4096;
}

/* Sizes take each other's memory, free or to be evicted; what has memory never exceeds the limit. */
static void sizes_share(void **state)
{
    static const uint32_t sizes[] = {S64, S4, S16, 8192, S4, 32768, S64};
    enum { LIMIT = 1024 * 1024 };
    static struct folio *folios[256];
    const char *first[5] = {NULL};
    uint64_t sum = 0;

    (void)state;
    for (unsigned freed = 0; freed < 2; freed++) {
        begin(LIMIT);
        memset(first, 0, sizeof(first));
        for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            const unsigned kind = (unsigned)__builtin_ctz(sizes[s]) - 12;
            const unsigned count = LIMIT / sizes[s];

            for (unsigned i = 0; i < count; i++) {
                assert_int_equal(reserve(sizes[s], 1), 0);
                folios[i] = own(sizes[s], s % 4);
                if (first[kind] == NULL)
                    first[kind] = folios[i]->data;
                memset(folios[i]->data, 1, sizes[s]);
                sum = 0;
                for (unsigned k = 0; k < 5 && i % 8 == 0; k++)
                    sum += first[k] ? resident(first[k], LIMIT) : 0;
                assert_true(sum <= LIMIT);
            }
            for (unsigned i = 0; freed && i < count; i++)
                disown(folios[i], sizes[s]);
            assert_int_equal(used(), freed ? 0 : LIMIT);
        }
        if (!freed)
            assert_int_equal(reserve(S64, LIMIT / S64), 0);
        assert_int_equal(now.presses, 0);
        if (!freed)
            arena_unreserve_(now.arena, S64, LIMIT / S64);
        end();
    }
}

/* A large memory evicts some ahead; but only what was not used. */
static void ahead(void **state)
{
    const unsigned count = 16 * MIB / S64;

    (void)state;
    begin(16 * MIB);
    assert_int_equal(reserve(S64, count), 0);
    for (unsigned i = 0; i < count; i++)
        own(S64, 0)->used = i >= 10;
    assert_int_equal(reserve(S64, 1), 0);
    assert_int_equal(now.evictions, 3);
    assert_int_equal(reserve(S64, 2), 0);
    assert_int_equal(now.evictions, 3);
    assert_int_equal(reserve(S64, 7), 0);
    assert_int_equal(now.evictions, 10);
    arena_unreserve_(now.arena, S64, 10);
    assert_int_equal(reserve(S64, count), 0);
    arena_unreserve_(now.arena, S64, count);
    end();
}

/* A file's folios by number, found without a lock as in a cache; three sizes in too little memory. */
#define FILES   3
#define NUMBERS 96

static const uint32_t file_sizes[FILES] = {S4, S16, S64};

static struct {
    struct folio *folios[FILES][NUMBERS]; /* atomic */
    uint32_t running;
    uint32_t failed;
    uint64_t seed;
    uint32_t threads;
} files;

static void forget(struct folio *folio)
{
    const unsigned file = (unsigned)((char *)(void *)folio->owner - owners);

    CHECK(folio->dirty == 0);
    CHECK(__atomic_load_n(&files.folios[file][folio->index], __ATOMIC_ACQUIRE) == folio);
    __atomic_store_n(&files.folios[file][folio->index], NULL, __ATOMIC_RELEASE);
}

static uint32_t tag_of(unsigned file, uint64_t index)
{
    return file * 1000 + (uint32_t)index + 1;
}

static bool is_it(const struct folio *folio, unsigned file, uint64_t index)
{
    return folio->owner == OWNER(file) && folio->index == index;
}

static void check_folio(const struct folio *folio, unsigned file, uint64_t index)
{
    uint32_t tag = 0;

    for (unsigned i = 0; i < 2; i++) {
        memcpy(&tag, folio->data + (i ? file_sizes[file] - 4 : 0), sizeof(tag));
        CHECK(tag == tag_of(file, index));
    }
}

static void read_one(unsigned file, uint64_t index)
{
    struct folio *folio = __atomic_load_n(&files.folios[file][index], __ATOMIC_ACQUIRE);

    if (folio == NULL)
        return;
    twostate_iolock_acquire(&folio->lock, TWOSTATE_SHARED);
    if (is_it(folio, file, index)) {
        check_folio(folio, file, index);
        __atomic_store_n(&folio->used, 1, __ATOMIC_RELAXED);
    }
    twostate_iolock_release(&folio->lock, TWOSTATE_SHARED);
}

/* Puts one in if it is not there, and makes it dirty now and then. */
static void write_one(unsigned file, uint64_t index, bool dirty)
{
    const uint32_t size = file_sizes[file];
    const uint32_t tag = tag_of(file, index);
    struct folio *folio = arena_take_(now.arena, size);
    struct folio *none = NULL;

    folio->owner = OWNER(file);
    folio->index = index;
    memcpy(folio->data, &tag, sizeof(tag));
    memcpy(folio->data + size - 4, &tag, sizeof(tag));
    if (!__atomic_compare_exchange_n(&files.folios[file][index], &none, folio, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        arena_free_(now.arena, folio, size);
        return;
    }
    if (dirty)
        __atomic_store_n(&folio->dirty, 1, __ATOMIC_RELEASE);
    twostate_iolock_release(&folio->lock, TWOSTATE_EXCLUSIVE);
}

static void use_files(void *argument)
{
    struct random random = {files.seed + add(&files.threads, 1)};

    (void)argument;
    for (unsigned i = 0; i < 1500; i++) {
        const unsigned file = (unsigned)random_below(&random, FILES);
        const unsigned count = 1 + (unsigned)random_below(&random, 7);
        const uint64_t at = random_below(&random, NUMBERS - count);
        unsigned taken_count = 0;

        for (unsigned j = 0; j < count; j++)
            read_one(file, at + j);
        if (reserve(file_sizes[file], count))
            continue;
        CHECK(used() <= arena_query_(now.arena).limit);
        for (unsigned j = 0; j < count; j++)
            if (random_below(&random, 8) > 0 && ++taken_count)
                write_one(file, at + j, random_below(&random, 3) == 0);
        arena_unreserve_(now.arena, file_sizes[file], count - taken_count);
    }
    add(&files.running, UINT32_MAX);
}

/* Writes back. */
static void clean_all(bool forget_too)
{
    for (unsigned file = 0; file < FILES; file++) {
        for (uint64_t index = 0; index < NUMBERS; index++) {
            struct folio *folio = __atomic_load_n(&files.folios[file][index], __ATOMIC_ACQUIRE);

            if (folio == NULL)
                continue;
            twostate_iolock_acquire(&folio->lock, TWOSTATE_EXCLUSIVE);
            if (is_it(folio, file, index) && folio->dirty)
                set_dirty(folio, 0);
            if (is_it(folio, file, index) && forget_too) {
                forget(folio);
                arena_free_(now.arena, folio, file_sizes[file]);
            } else {
                twostate_iolock_release(&folio->lock, TWOSTATE_EXCLUSIVE);
            }
        }
    }
}

static void clean(void *argument)
{
    (void)argument;
    while (load(&files.running) > 0) {
        clean_all(false);
        sched_yield();
    }
}

static void stress(void **state)
{
    struct task tasks[5];

    (void)state;
    memset(&now, 0, sizeof(now));
    memset(&files, 0, sizeof(files));
    files.seed = seed_choose();
    files.running = 4;
    assert_int_equal(arena_create_(UINT64_C(40) * S64, forget, note_pressed, &now, &now.arena), 0);
    for (unsigned i = 0; i < 4; i++)
        task_start(&tasks[i], use_files, NULL);
    task_start(&tasks[4], clean, NULL);
    for (unsigned i = 0; i < 5; i++)
        task_join(&tasks[i]);
    clean_all(true);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),         cmocka_unit_test(no_address_space),
        cmocka_unit_test(taken),           cmocka_unit_test(nowait),
        cmocka_unit_test(second_chance),   cmocka_unit_test(no_mercy),
        cmocka_unit_test(waits_for_clean), cmocka_unit_test(waits_for_unlocked),
        cmocka_unit_test(not_owned),       cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(in_line),         cmocka_unit_test(gives_up),
        cmocka_unit_test(two_large),       cmocka_unit_test(sizes_share),
        cmocka_unit_test(ahead),           cmocka_unit_test(stress),
    };

    if (twostate_validate_start(TWOSTATE_VALIDATE_STOP, TWOSTATE_RULES_ALL))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
