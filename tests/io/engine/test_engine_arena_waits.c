/* SPDX-License-Identifier: MIT */
/* The memory of user caches, wanted by several at once: who waits for it, in line, and for what. */
#include "arena_rig.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <twostate/validate.h>

/* Times that somebody has begun to wait for memory. */
static uint32_t waits;

int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    add(&waits, 1);
    return __real_pthread_cond_timedwait(cond, mutex, until);
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

    wanted->result = arena_want(wanted->size, wanted->count);
    store(&wanted->has, 1);
    AWAIT(!load(&wanted->keep));
    if (wanted->result == 0)
        arena_unreserve_(rig.arena, wanted->size, wanted->count);
}

static void want_start(struct wanted *wanted, uint32_t size, unsigned count, bool keep)
{
    *wanted = (struct wanted){.size = size, .count = count, .keep = keep};
    task_start(&wanted->task, want, wanted);
}

/* Nothing gives way while it is dirty, being written, locked, or not yet anybody's. */
static void waits_for_clean(void **state)
{
    static const uint32_t dirty[] = {1, 0x8000, 0x10000, 0x80000000};
    struct wanted wanted;
    struct folio *folio = NULL;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        arena_begin(S64);
        assert_int_equal(arena_want(S64, 1), 0);
        folio = arena_own(S64, 0);
        folio->dirty = dirty[i];
        want_start(&wanted, S64, 1, false);
        AWAIT(load(&rig.asked) > 3);
        assert_true(load(&rig.presses) > 0);
        assert_int_equal(load(&rig.evictions), 0);
        assert_int_equal(arena_used(), S64);
        arena_set_dirty(folio, 0);
        task_join(&wanted.task);
        assert_int_equal(wanted.result, 0);
        assert_int_equal(rig.evictions, 1);
        arena_end();
    }
}

static void waits_for_unlocked(void **state)
{
    struct wanted wanted;
    struct folio *folio = NULL;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        arena_begin(S16);
        assert_int_equal(arena_want(S16, 1), 0);
        folio = arena_take_(rig.arena, S16);
        if (i < 2)
            folio->owner = OWNER(0);
        if (i == 1)
            twostate_iolock_demote(&folio->lock);
        want_start(&wanted, S16, 1, false);
        AWAIT(load(&rig.asked) > 3);
        assert_int_equal(load(&rig.evictions), 0);
        if (i == 2)
            arena_free_(rig.arena, folio, S16);
        else /* of this nobody tells */
            twostate_iolock_release(&folio->lock, i ? TWOSTATE_SHARED : TWOSTATE_EXCLUSIVE);
        task_join(&wanted.task);
        assert_int_equal(wanted.result, 0);
        assert_int_equal(rig.evictions, i < 2);
        arena_end();
    }
}

/* Who can't have all has nothing: what he waits for is another's to use. */
static void all_or_nothing(void **state)
{
    struct folio *folios[4];
    struct wanted wanted;

    (void)state;
    arena_begin(UINT64_C(8) * S16);
    assert_int_equal(arena_want(S16, 4), 0);
    for (unsigned i = 0; i < 4; i++) {
        folios[i] = arena_own(S16, 0);
        folios[i]->dirty = i != 0;
    }
    want_start(&wanted, S16, 6, false);
    AWAIT(load(&rig.evictions) == 1 && load(&rig.asked) > 2);
    assert_int_equal(arena_used(), 3 * S16);
    store(&rig.broken, 1);
    task_join(&wanted.task);
    assert_int_equal(wanted.result, -EIO);
    assert_int_equal(arena_used(), 3 * S16);
    assert_int_equal(arena_want(S16, 5), 0);
    arena_unreserve_(rig.arena, S16, 5);
    for (unsigned i = 1; i < 4; i++) {
        folios[i]->dirty = 0;
        arena_disown(folios[i], S16);
    }
    arena_end();
}

/* A small one doesn't get what a large one waits for. It is asked whether it is stuck, too. */
static void in_line(void **state)
{
    struct wanted large;
    struct wanted small;
    struct wanted third;

    (void)state;
    arena_begin(UINT64_C(8) * S16);
    assert_int_equal(arena_want(S16, 4), 0);
    want_start(&large, S16, 6, true);
    AWAIT(load(&rig.presses) > 0);
    want_start(&small, S16, 1, true);
    AWAIT(load(&rig.asked) > 8);
    assert_int_equal(arena_reserve_(rig.arena, S16, 1, true, NULL, NULL), -EAGAIN);
    arena_unreserve_(rig.arena, S16, 1);
    assert_int_equal(load(&large.has) + load(&small.has), 0);
    assert_int_equal(arena_used(), 3 * S16);
    arena_unreserve_(rig.arena, S16, 1);
    AWAIT(load(&large.has) && load(&small.has) == 0);
    assert_int_equal(arena_used(), 8 * S16);
    want_start(&third, S64, 2, false);
    store(&large.keep, 0);
    AWAIT(load(&small.has));
    arena_unreserve_(rig.arena, S16, 2);
    store(&small.keep, 0);
    task_join(&large.task);
    task_join(&small.task);
    task_join(&third.task);
    assert_int_equal(large.result | small.result | third.result, 0);
    arena_end();
}

/* The first in line gives up: the next one gets its turn. */
static void gives_up(void **state)
{
    struct folio *folios[2];
    struct wanted all;
    struct wanted behind;

    (void)state;
    arena_begin(UINT64_C(8) * S16);
    assert_int_equal(arena_want(S16, 2), 0);
    for (unsigned i = 0; i < 2; i++) {
        folios[i] = arena_own(S16, 0);
        arena_set_dirty(folios[i], 1);
    }
    want_start(&all, S16, 8, false);
    AWAIT(load(&rig.presses) > 0);
    want_start(&behind, S16, 7, false);
    AWAIT(load(&rig.asked) > 6);
    store(&rig.broken, 1);
    task_join(&all.task);
    task_join(&behind.task);
    assert_int_equal(all.result, -EIO);
    assert_int_equal(behind.result, -EIO);
    assert_int_equal(arena_used(), 2 * S16);
    for (unsigned i = 0; i < 2; i++) {
        arena_set_dirty(folios[i], 0);
        arena_disown(folios[i], S16);
    }
    arena_end();
}

/* What others have reserved, or locked, they will let go: that is waited for, whatever can't be written. */
static void others_are_busy(void **state)
{
    struct folio *locked = NULL;
    struct wanted wanted;

    (void)state;
    arena_begin(UINT64_C(2) * S16);
    store(&rig.broken, 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(arena_want(S16, 2), 0);
        if (i == 1) {
            locked = arena_take_(rig.arena, S16);
            locked->owner = OWNER(0);
            arena_unreserve_(rig.arena, S16, 1);
        }
        want_start(&wanted, S16, 2, false);
        AWAIT(load(&rig.asked) > 4 * (i + 1));
        if (i == 1)
            twostate_iolock_release(&locked->lock, TWOSTATE_EXCLUSIVE);
        else
            arena_unreserve_(rig.arena, S16, 2);
        task_join(&wanted.task);
        assert_int_equal(wanted.result, 0);
    }
    assert_int_equal(rig.evictions, 1);
    arena_end();
}

/* Who is not the first has no reason to give up: what the first waits for may be enough for both. */
static void behind_others_who_are_busy(void **state)
{
    struct wanted first;
    struct wanted second;
    uint32_t asked = 0;

    (void)state;
    arena_begin(UINT64_C(2) * S16);
    store(&rig.broken, 1);
    assert_int_equal(arena_want(S16, 2), 0);
    want_start(&first, S16, 2, false);
    AWAIT(load(&rig.presses) > 0);
    want_start(&second, S16, 1, false);
    asked = load(&rig.asked);
    AWAIT(load(&second.has) || load(&rig.asked) > asked + 12);
    assert_int_equal(load(&first.has) + load(&second.has), 0);
    arena_unreserve_(rig.arena, S16, 2);
    task_join(&first.task);
    task_join(&second.task);
    assert_int_equal(first.result | second.result, 0);
    arena_end();
}

/* Each look at all folios comes after a wait, or after something has become clean. */
static void does_not_spin(void **state)
{
    struct folio *folios[8];
    struct wanted first;
    struct wanted second;
    uint32_t looks = 0;

    (void)state;
    arena_begin(UINT64_C(8) * S16);
    assert_int_equal(arena_want(S16, 8), 0);
    for (unsigned i = 0; i < 8; i++) {
        folios[i] = arena_own(S16, 0);
        arena_set_dirty(folios[i], 1);
    }
    store(&waits, 0);
    want_start(&first, S16, 8, false);
    AWAIT(load(&rig.presses) > 0);
    want_start(&second, S16, 1, false);
    for (unsigned i = 0; i < 7; i++) {
        arena_set_dirty(folios[i], 0);
        AWAIT(load(&rig.evictions) == i + 1);
    }
    AWAIT(load(&rig.asked) > 20);
    looks = load(&rig.asked);
    assert_true(looks <= load(&waits) + 7 + 2);
    arena_set_dirty(folios[7], 0);
    task_join(&first.task);
    task_join(&second.task);
    assert_int_equal(first.result | second.result, 0);
    arena_end();
}

/* Two that need most of the memory, again and again, and keep what they get: neither waits for ever. */
static void take_many(void *argument)
{
    struct folio *folios[257];

    (void)argument;
    for (unsigned round = 0; round < 60; round++) {
        CHECK(arena_want(S4, 257) == 0);
        for (unsigned i = 0; i < 257; i++) {
            folios[i] = arena_take_(rig.arena, S4);
            folios[i]->owner = OWNER(0);
        }
        CHECK(arena_used() <= UINT64_C(300) * S4);
        for (unsigned i = 0; i < 257; i++) {
            if (i % 2)
                arena_free_(rig.arena, folios[i], S4);
            else
                twostate_iolock_release(&folios[i]->lock, TWOSTATE_EXCLUSIVE);
        }
    }
}

static void two_large(void **state)
{
    struct task tasks[2];

    (void)state;
    arena_begin(UINT64_C(300) * S4);
    for (unsigned i = 0; i < 2; i++)
        task_start(&tasks[i], take_many, NULL);
    for (unsigned i = 0; i < 2; i++)
        task_join(&tasks[i]);
    assert_int_equal(arena_want(S4, 300), 0);
    arena_unreserve_(rig.arena, S4, 300);
    arena_end();
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
    const unsigned file = (unsigned)((char *)(void *)folio->owner - arena_owners);

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
    struct folio *folio = arena_take_(rig.arena, size);
    struct folio *none = NULL;

    folio->owner = OWNER(file);
    folio->index = index;
    memcpy(folio->data, &tag, sizeof(tag));
    memcpy(folio->data + size - 4, &tag, sizeof(tag));
    if (!__atomic_compare_exchange_n(&files.folios[file][index], &none, folio, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        arena_free_(rig.arena, folio, size);
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
        if (arena_want(file_sizes[file], count))
            continue;
        CHECK(arena_used() <= arena_query_(rig.arena).limit);
        for (unsigned j = 0; j < count; j++)
            if (random_below(&random, 8) > 0 && ++taken_count)
                write_one(file, at + j, random_below(&random, 3) == 0);
        arena_unreserve_(rig.arena, file_sizes[file], count - taken_count);
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
                arena_set_dirty(folio, 0);
            if (is_it(folio, file, index) && forget_too) {
                forget(folio);
                arena_free_(rig.arena, folio, file_sizes[file]);
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
    memset(&rig, 0, sizeof(rig));
    memset(&files, 0, sizeof(files));
    files.seed = seed_choose();
    files.running = 4;
    assert_int_equal(
        arena_create_(UINT64_C(40) * S64, forget, arena_note_pressed, &rig, &rig.arena), 0);
    for (unsigned i = 0; i < 4; i++)
        task_start(&tasks[i], use_files, NULL);
    task_start(&tasks[4], clean, NULL);
    for (unsigned i = 0; i < 5; i++)
        task_join(&tasks[i]);
    clean_all(true);
    arena_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_for_clean), cmocka_unit_test(waits_for_unlocked),
        cmocka_unit_test(all_or_nothing),  cmocka_unit_test(in_line),
        cmocka_unit_test(others_are_busy), cmocka_unit_test(behind_others_who_are_busy),
        cmocka_unit_test(does_not_spin),   cmocka_unit_test(gives_up),
        cmocka_unit_test(two_large),       cmocka_unit_test(stress),
    };

    if (twostate_validate_start(TWOSTATE_VALIDATE_STOP, TWOSTATE_RULES_ALL))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
