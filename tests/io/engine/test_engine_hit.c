/* SPDX-License-Identifier: MIT */
/* Hits of the user cache: what is one, what is not, and that it does what the long way would. */
#include "common.h"
#include "io/copy.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <urcu/compiler.h>

#include <twostate/validate.h>

#define FOLIO   (16 * KIB)
#define BUDGET  (4 * MIB)
#define QUIET   64 /* so many requests through the pair, and the next one takes the lease */
#define AN_HOUR 3600000

/* Between the engine and the cache: counts. */

static struct cache_ops counting;
static const struct cache_ops *cache_below;
static uint32_t asked;
static uint32_t hits;

static bool count_hit(struct cache *cache, void *memory, size_t length, int64_t offset, bool write)
{
    const bool hit = cache_below->hit(cache, memory, length, offset, write);

    add(&asked, 1);
    if (hit)
        add(&hits, 1);
    return hit;
}

static struct twostate_file *open_user(struct fixture *f, unsigned folio)
{
    const struct twostate_file_options user = {.cache = TWOSTATE_CACHE_USER, .folio = folio};
    struct twostate_file *file = NULL;

    CHECK(twostate_file_open_with(f->engine, f->scratch.path, O_RDWR, 0, &user, &file) == 0);
    cache_below = file->cache->ops;
    counting = *cache_below;
    counting.hit = count_hit;
    file->cache->ops = &counting;
    return file;
}

static int enter(void **state)
{
    const struct twostate_engine_options options = {
        .cache_bytes = BUDGET, .dirty_percent = 90, .writeback_ms = AN_HOUR};
    struct fixture *f = calloc(1, sizeof(*f));

    CHECK(f);
    scratch_open(&f->scratch);
    CHECK(twostate_engine_create(&options, &f->engine) == 0);
    f->file = open_user(f, FOLIO);
    *state = f;
    return 0;
}

static struct folio *folio_of(struct twostate_file *file, uint64_t number)
{
    struct user_cache *cache = caa_container_of(file->cache, struct user_cache, cache);

    return index_find_(&cache->index, number);
}

/* The file is `size` bytes long, all in memory and on disk, and has its lease. */
static void fill(struct fixture *f, size_t size, char with)
{
    char *data = memory_new(size);

    memset(data, with, size);
    CHECK(twostate_pwrite(f->file, data, size, 0, 0) == (ssize_t)size);
    CHECK(twostate_fsync(f->file) == 0);
    for (int i = 0; i <= QUIET; i++)
        CHECK(twostate_pread(f->file, data, 1, 0, 0) == 1);
    CHECK(load(&f->file->lease.state) == LEASE_ON);
    free(data);
}

static bool is_hit(struct fixture *f, void *memory, size_t length, int64_t offset, bool write)
{
    const uint32_t before = load(&hits);
    const ssize_t moved = write ? twostate_pwrite(f->file, memory, length, offset, 0)
                                : twostate_pread(f->file, memory, length, offset, 0);

    CHECK(moved == (ssize_t)length);
    return load(&hits) != before;
}

static void hits_in(struct fixture *f, size_t folio)
{
    const struct {
        size_t offset;
        size_t length;
        bool hit;
    } cases[] = {
        {0, 1, true},    {0, folio, true},           {1, folio - 1, true},  {folio - 1, 1, true},
        {4095, 1, true}, {1, folio, false},          {folio - 1, 2, false}, {0, 2 * folio, false},
        {0, MIB, false}, {MIB - folio, folio, true}, {MIB - 1, 1, true},    {0, 132 * KIB, false},
    };
    char *data = memory_new(MIB);

    fill(f, MIB, 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const int64_t offset = (int64_t)cases[i].offset;

        assert_true(is_hit(f, data, cases[i].length, offset, false) == cases[i].hit);
        assert_true(is_hit(f, data, cases[i].length, offset, true) == cases[i].hit);
    }
    free(data);
}

static void in_one_folio(void **state)
{
    struct fixture *f = *state;

    for (unsigned folio = 4096; folio <= 65536; folio *= 2) {
        assert_int_equal(twostate_file_close(f->file), 0);
        f->file = open_user(f, folio);
        hits_in(f, folio);
    }
}

/* The end of file, and what has no valid block, are not for it. */
static void what_is_missing_is_none(void **state)
{
    struct fixture *f = *state;
    char *data = memory_new(FOLIO);

    fill(f, FOLIO + 100, 1);
    assert_true(is_hit(f, data, 100, FOLIO, false));
    assert_false(is_hit(f, data, 101, FOLIO, true)); /* the file is longer now */
    assert_true(is_hit(f, data, 101, FOLIO, true));
    assert_int_equal(twostate_pread(f->file, data, 200, FOLIO, 0), 101);
    assert_int_equal(twostate_pread(f->file, data, 200, FOLIO + 101, 0), 0);
    assert_false(is_hit(f, data, 4096, 4 * FOLIO, true)); /* the first of its folio */
    assert_false(is_hit(f, data, 4096, 4 * FOLIO - 4096, false));
    assert_true(is_hit(f, data, 4096, 4 * FOLIO - 4096, false));
    assert_false(is_hit(f, data, 4096, 4 * FOLIO + 8192, true)); /* no such block yet */
    assert_true(is_hit(f, data, 4096, 4 * FOLIO + 8192, true));
    free(data);
}

/* Whoever holds a folio's lock keeps hits out, or writes only. The folio is read as it was before. */
static void where_nobody_else_is(void **state)
{
    struct fixture *f = *state;
    struct cache *cache = f->file->cache;
    struct folio *folio = NULL;
    char byte = 7;

    fill(f, 2 * FOLIO, 1);
    folio = folio_of(f->file, 1);
    assert_non_null(folio);
    folio_lock_(folio, TWOSTATE_SHARED);
    assert_true(cache->ops->hit(cache, &byte, 1, FOLIO, false));
    assert_int_equal(byte, 1);
    byte = 8;
    assert_false(cache->ops->hit(cache, &byte, 1, FOLIO, true));
    folio_unlock_(folio, TWOSTATE_SHARED);
    assert_int_equal(folio->data[0], 1);
    folio_lock_(folio, TWOSTATE_EXCLUSIVE);
    assert_false(cache->ops->hit(cache, &byte, 1, FOLIO, false));
    assert_false(cache->ops->hit(cache, &byte, 1, FOLIO, true));
    assert_int_equal(byte, 8);
    folio_unlock_(folio, TWOSTATE_EXCLUSIVE);
    assert_true(cache->ops->hit(cache, &byte, 1, FOLIO, true));
    assert_int_equal(folio->data[0], 8);
}

/* A folio that serves another place by the time that it is locked is another file's data. */
static void not_in_a_stale_folio(void **state)
{
    struct fixture *f = *state;
    struct cache *cache = f->file->cache;
    struct folio *folio = NULL;
    char byte = 7;

    fill(f, 2 * FOLIO, 1);
    folio = folio_of(f->file, 1);
    assert_non_null(folio);
    folio->index = 5;
    assert_false(cache->ops->hit(cache, &byte, 1, FOLIO, false));
    assert_false(cache->ops->hit(cache, &byte, 1, FOLIO, true));
    assert_int_equal(byte, 7);
    assert_int_equal(folio->data[0], 1);
    assert_int_equal(twostate_iolock_query(&folio->lock).holders, 0);
    folio->index = 1;
    assert_true(cache->ops->hit(cache, &byte, 1, FOLIO, false));
}

/* What a hit writes gets to the disk; and it marks the folio as used. */
static void is_dirty_and_used(void **state)
{
    struct fixture *f = *state;
    struct folio *folio = NULL;
    char data[100];
    char there[100];

    fill(f, 2 * FOLIO, 1);
    folio = folio_of(f->file, 1);
    assert_int_equal(folio->dirty, 0);
    store(&folio->used, 0);
    memset(data, 9, sizeof(data));
    assert_true(is_hit(f, data, 100, FOLIO + 4090, true));
    assert_int_equal(folio->dirty, 3);
    assert_int_equal(load(&folio->used), 1);
    assert_int_equal(twostate_fsync(f->file), 0);
    assert_int_equal(folio->dirty, 0);
    assert_int_equal(pread(f->scratch.fd, there, 100, FOLIO + 4090), 100);
    assert_memory_equal(there, data, 100);
}

static void close_syncs_it(void **state)
{
    struct fixture *f = *state;
    char byte = 9;

    fill(f, FOLIO, 1);
    assert_true(is_hit(f, &byte, 1, 77, true));
    assert_int_equal(twostate_file_close(f->file), 0);
    f->file = NULL;
    byte = 0;
    assert_int_equal(pread(f->scratch.fd, &byte, 1, 77), 1);
    assert_int_equal(byte, 9);
}

/* Where as much is dirty as may be, a writer is to wait. */
static void not_when_all_is_dirty(void **state)
{
    struct fixture *f = *state;
    struct cache *cache = f->file->cache;
    struct user_cache *user = caa_container_of(cache, struct user_cache, cache);
    char byte = 9;

    fill(f, FOLIO, 1);
    __atomic_fetch_add(&user->user->dirty, BUDGET, __ATOMIC_RELAXED);
    assert_false(cache->ops->hit(cache, &byte, 1, 0, true));
    assert_true(cache->ops->hit(cache, &byte, 1, 0, false));
    __atomic_fetch_sub(&user->user->dirty, BUDGET, __ATOMIC_RELAXED);
    assert_true(cache->ops->hit(cache, &byte, 1, 0, true));
}

/* Who reads what was read ahead last asks for the next. */
static void reads_ahead(void **state)
{
    struct fixture *f = *state;
    struct user_cache *user = caa_container_of(f->file->cache, struct user_cache, cache);
    char byte = 0;

    fill(f, 4 * FOLIO, 1);
    __atomic_store_n(&user->window, FOLIO, __ATOMIC_RELAXED);
    __atomic_store_n(&user->ahead, 3 * FOLIO, __ATOMIC_RELAXED);
    assert_true(is_hit(f, &byte, 1, 2 * FOLIO - 1, false));
    assert_false(is_hit(f, &byte, 1, 2 * FOLIO, false));
    AWAIT(load(&f->file->ahead.busy) == 0);
    __atomic_store_n(&user->ahead, 3 * FOLIO, __ATOMIC_RELAXED);
    assert_false(is_hit(f, &byte, 1, 3 * FOLIO - 1, false));
    AWAIT(load(&f->file->ahead.busy) == 0);
    __atomic_store_n(&user->ahead, 3 * FOLIO, __ATOMIC_RELAXED);
    assert_true(is_hit(f, &byte, 1, 3 * FOLIO, false));
    assert_true(is_hit(f, &byte, 1, 3 * FOLIO - 1, true));
}

/* Nor is one asked for with flags, by several pieces, wrongly, or without the lease. */
static void only_plain_calls(void **state)
{
    struct fixture *f = *state;
    char bytes[2] = {1, 2};
    const struct iovec iov[2] = {{bytes, 1}, {bytes + 1, 1}};
    uint32_t before = 0;

    fill(f, FOLIO, 1);
    before = load(&asked);
    assert_int_equal(twostate_pread(f->file, bytes, 1, 0, TWOSTATE_IO_NOWAIT), 1);
    assert_int_equal(twostate_pwrite(f->file, bytes, 1, 0, TWOSTATE_IO_DSYNC), 1);
    assert_int_equal(twostate_preadv(f->file, iov, 2, 0, 0), 2);
    assert_int_equal(twostate_append(f->file, iov, 1, 0, NULL), 1);
    assert_true(twostate_pread(f->file, NULL, 1, 0, 0) < 0);
    assert_true(twostate_pread(f->file, bytes, 1, -1, 0) < 0);
    assert_true(twostate_preadv(f->file, NULL, 1, 0, 0) < 0);
    assert_true(twostate_pread(NULL, bytes, 1, 0, 0) < 0);
    assert_int_equal(twostate_pread(f->file, bytes, 0, 0, 0), 0);
    lease_call_in_(&f->file->lease);
    assert_int_equal(twostate_pread(f->file, bytes, 1, 0, 0), 1);
    lease_allow_(&f->file->lease);
    assert_int_equal(load(&asked), before);
}

/* Against a model: some of it leaves the cache, the file's length changes, and hits are among it. */

#define LENGTH 65536
#define ROUNDS 20000

static void as_the_model(void **state)
{
    struct fixture *f = *state;
    struct random random = {seed_choose()};
    char *model = memory_new(LENGTH);
    char *data = memory_new(LENGTH);
    int64_t size = 0;
    uint32_t before = load(&hits);

    memset(model, 0, LENGTH);
    for (int i = 0; i < ROUNDS; i++) {
        const int64_t offset = (int64_t)random_below(&random, LENGTH - 1);
        const size_t most = random_below(&random, 8) ? 5000 : LENGTH;
        const size_t room = (size_t)(LENGTH - offset);
        const size_t length = 1 + random_below(&random, room < most ? room : most);
        const int64_t end = offset + (int64_t)length;

        switch (random_below(&random, 200)) {
        case 0:
            CHECK(twostate_truncate(f->file, offset) == 0);
            memset(model + offset, 0, LENGTH - (size_t)offset);
            size = offset;
            break;
        case 1:
            CHECK(twostate_pread(f->file, data, length, offset, TWOSTATE_IO_DIRECT) >= 0);
            break;
        case 2:
            CHECK(twostate_fsync(f->file) == 0);
            break;
        default:
            if (random_below(&random, 2)) {
                const int64_t there = size > offset ? size - offset : 0;
                const int64_t wanted = (int64_t)length < there ? (int64_t)length : there;

                assert_int_equal(twostate_pread(f->file, data, length, offset, 0), wanted);
                assert_memory_equal(data, model + offset, (size_t)wanted);
            } else {
                memset(data, (int)random_below(&random, 256), length);
                CHECK(twostate_pwrite(f->file, data, length, offset, 0) == (ssize_t)length);
                memcpy(model + offset, data, length);
                size = end > size ? end : size;
            }
            break;
        }
    }
    assert_true(load(&hits) != before);
    print_message("%u hits\n", load(&hits) - before);
    assert_int_equal(twostate_fsync(f->file), 0);
    assert_int_equal(pread(f->scratch.fd, data, LENGTH, 0), size);
    assert_memory_equal(data, model, (size_t)size);
    free(data);
    free(model);
}

/*
 * Many at once, in more places than there is memory for. Each write is of one value, and says in
 * every 8 bytes which place it is for: so what is read is of one write, and of that place.
 */

#define PLACE   512
#define PLACES  (2 * BUDGET / PLACE)
#define HOT     64 /* that most are about */
#define THREADS 4
#define VISITS  6000

struct user {
    struct task task;
    struct twostate_file *file;
    struct random random;
    uint64_t writes;
};

static void check_place(const uint64_t *words, uint64_t place)
{
    for (size_t i = 1; i < PLACE / sizeof(words[0]); i++)
        CHECK(words[i] == words[0]);
    CHECK(words[0] == 0 || words[0] % PLACES == place);
}

static void use_places(void *arg)
{
    struct user *u = arg;
    uint64_t words[PLACE / sizeof(uint64_t)];

    for (int i = 0; i < VISITS; i++) {
        const uint64_t place = random_below(&u->random, random_below(&u->random, 8) ? HOT : PLACES);
        const int64_t offset = (int64_t)(place * PLACE);

        if (random_below(&u->random, 2)) {
            CHECK(twostate_pread(u->file, words, PLACE, offset, 0) == PLACE);
            check_place(words, place);
            continue;
        }
        words[0] = (1 + random_below(&u->random, 1000)) * PLACES + place;
        for (size_t w = 1; w < PLACE / sizeof(words[0]); w++)
            words[w] = words[0];
        CHECK(twostate_pwrite(u->file, words, PLACE, offset, 0) == PLACE);
    }
}

static void whole_and_in_place(void **state)
{
    struct fixture *f = *state;
    struct random random = {seed_choose()};
    struct user users[THREADS];
    const uint32_t before = load(&hits);
    struct twostate_engine_info info;

    assert_int_equal(twostate_truncate(f->file, (int64_t)PLACES * PLACE), 0);
    for (int i = 0; i < THREADS; i++) {
        users[i] = (struct user){.file = f->file, .random = {random_next(&random)}};
        task_start(&users[i].task, use_places, &users[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        AWAIT(task_done(&users[i].task));
        task_join(&users[i].task);
    }
    assert_int_equal(twostate_engine_query(f->engine, &info), 0);
    assert_true(info.cache_evicted > 0);
    assert_true(load(&hits) != before);
    print_message("%u hits, %u folios evicted\n", load(&hits) - before,
                  (unsigned)info.cache_evicted);
}

/* A closed gate keeps those out who only try, and those who wait for the folio waiting. */

struct locker {
    struct task task;
    struct folio *folio;
    enum twostate_iomode mode;
    bool timed;
    uint32_t got;
};

static void lock_once(void *arg)
{
    static const struct timespec long_ago = {0};
    struct locker *l = arg;

    if (l->timed)
        CHECK(folio_lock_timed_(l->folio, l->mode, &long_ago) == 0); /* the lock itself is free */
    else
        folio_lock_(l->folio, l->mode);
    add(&l->got, 1);
    folio_unlock_(l->folio, l->mode);
}

static void gate_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct cache *cache = f->file->cache;
    struct folio *folio = NULL;
    char byte = 7;

    fill(f, FOLIO, 1);
    folio = folio_of(f->file, 0);
    for (int i = 0; i < 4; i++) {
        struct locker locker = {.folio = folio, .mode = i & 1, .timed = i & 2};

        assert_true(folio_enter_(folio));
        assert_false(folio_enter_(folio));
        assert_false(folio_try_lock_(folio, locker.mode));
        assert_int_equal(twostate_iolock_query(&folio->lock).holders, 0);
        assert_false(cache->ops->hit(cache, &byte, 1, 0, true));
        assert_false(cache->ops->hit(cache, &byte, 1, 0, false));
        task_start(&locker.task, lock_once, &locker);
        AWAIT(twostate_iolock_query(&folio->lock).holders == 1);
        assert_int_equal(load(&locker.got), 0);
        folio_leave_(folio);
        AWAIT(task_done(&locker.task));
        task_join(&locker.task);
        assert_int_equal(load(&locker.got), 1);
    }
    for (int mode = 0; mode < 2; mode++) {
        assert_true(folio_try_lock_(folio, (enum twostate_iomode)mode));
        assert_false(folio_enter_(folio));
        folio_unlock_(folio, (enum twostate_iomode)mode);
    }
    assert_true(folio_enter_(folio));
    folio_leave_(folio);
}

/*
 * All ways into one folio at once. Its data is plain memory, so ThreadSanitizer looks on. What a writer
 * finds half written another one is writing.
 */

#define WAYS    5
#define PASSES  30000
#define NUMBERS 64
#define CROWD   8

static struct {
    struct folio folio;
    uint64_t numbers[NUMBERS];
    uint64_t writes; /* of the data: under the lock */
    uint32_t passed[WAYS];
} crowded;

static bool go_in(struct folio *folio, size_t way)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    switch (way) {
    case 0:
        return folio_enter_(folio);
    case 1:
        return folio_try_lock_(folio, TWOSTATE_EXCLUSIVE);
    case 2:
        folio_lock_(folio, TWOSTATE_EXCLUSIVE);
        return true;
    case 3:
        return folio_lock_timed_(folio, TWOSTATE_EXCLUSIVE, &now) == 0;
    default:
        folio_lock_(folio, TWOSTATE_SHARED);
        return true;
    }
}

static void be_in(size_t way)
{
    const uint64_t number = crowded.numbers[0];

    for (size_t i = 1; i < NUMBERS; i++)
        CHECK(crowded.numbers[i] == number);
    if (way == 4)
        return;
    for (size_t i = 0; i < NUMBERS; i++)
        crowded.numbers[i] = number + 1;
    crowded.writes++;
}

static void pass(void *arg)
{
    struct user *u = arg;
    uint64_t writes = 0;

    for (int i = 0; i < PASSES; i++) {
        const size_t way = random_below(&u->random, 3) ? 0 : random_below(&u->random, WAYS);

        if (!go_in(&crowded.folio, way))
            continue;
        be_in(way);
        writes += way != 4;
        add(&crowded.passed[way], 1);
        if (way == 0)
            folio_leave_(&crowded.folio);
        else
            folio_unlock_(&crowded.folio, way == 4 ? TWOSTATE_SHARED : TWOSTATE_EXCLUSIVE);
    }
    u->writes = writes;
}

static void all_ways_at_once(void **state)
{
    struct random random = {seed_choose()};
    struct user users[CROWD];
    uint64_t writes = 0;

    (void)state;
    memset(&crowded, 0, sizeof(crowded));
    for (int i = 0; i < CROWD; i++) {
        users[i] = (struct user){.random = {random_next(&random)}};
        task_start(&users[i].task, pass, &users[i]);
    }
    for (int i = 0; i < CROWD; i++) {
        AWAIT(task_done(&users[i].task));
        task_join(&users[i].task);
        writes += users[i].writes;
    }
    assert_true(crowded.writes == writes);
    assert_true(crowded.numbers[0] == writes);
    assert_int_equal(crowded.folio.gate, 0);
    assert_int_equal(twostate_iolock_query(&crowded.folio.lock).holders, 0);
    for (int way = 0; way < WAYS; way++)
        assert_true(crowded.passed[way] > 0);
}

/* All of it, and nothing beside it, whatever the length, and wherever it is in a cache line. */
static void copies_as_memcpy(void **state)
{
    static const size_t lengths[] = {0, 1, 1023, 1024, 1025, 1279, 1280, 1343, 4096, 4097, 16384};
    static const size_t places[] = {0, 1, 63, 64};
    static _Alignas(64) char from[64 + 16384], to[64 + 16384 + 1], wanted[sizeof(to)];

    (void)state;
    for (size_t i = 0; i < sizeof(from); i++)
        from[i] = (char)(i % 251 + 1);
    for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++)
        for (size_t i = 0; i < 16; i++) {
            memset(to, 0, sizeof(to));
            memset(wanted, 0, sizeof(wanted));
            memcpy(wanted + places[i / 4], from + places[i % 4], lengths[l]);
            copy_far_(to + places[i / 4], from + places[i % 4], lengths[l]);
            assert_memory_equal(to, wanted, sizeof(to));
        }
}

#define HIT_TEST(name) cmocka_unit_test_setup_teardown(name, enter, fixture_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HIT_TEST(in_one_folio),
        HIT_TEST(what_is_missing_is_none),
        HIT_TEST(where_nobody_else_is),
        HIT_TEST(not_in_a_stale_folio),
        HIT_TEST(gate_is_waited_for),
        HIT_TEST(is_dirty_and_used),
        HIT_TEST(close_syncs_it),
        HIT_TEST(not_when_all_is_dirty),
        HIT_TEST(reads_ahead),
        HIT_TEST(only_plain_calls),
        HIT_TEST(as_the_model),
        HIT_TEST(whole_and_in_place),
        cmocka_unit_test(all_ways_at_once),
        cmocka_unit_test(copies_as_memcpy),
    };

    twostate_validate_stop(); /* there is no lease where it is on */
    return RUN_WITH_BACKENDS(tests);
}
