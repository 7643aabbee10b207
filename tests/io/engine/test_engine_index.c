/* SPDX-License-Identifier: MIT */
/* The index of a user cache: numbers to folios, against a model and beside changes. */
#include "common.h"
#include "inject.h"

#include "io/folio.h"
#include "io/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HIGHEST ((uint64_t)INT64_MAX)

static int enter(void **state)
{
    static struct index index;

    index_init_(&index);
    *state = &index;
    return 0;
}

static int leave(void **state)
{
    inject_nothing();
    assert_int_equal(index_bytes_(*state), 0);
    index_destroy_(*state);
    return 0;
}

static void insert(struct index *index, uint64_t number, struct folio *folio)
{
    struct folio *there = NULL;

    assert_int_equal(index_insert_(index, number, folio, &there), 0);
    assert_null(there);
}

static void empty(void **state)
{
    uint64_t number = 77;

    assert_null(index_find_(*state, 0));
    assert_null(index_find_(*state, HIGHEST));
    assert_null(index_next_(*state, 0, HIGHEST, &number));
    assert_int_equal(number, 77);
}

static void numbers_at_edges(void **state)
{
    static const uint64_t numbers[] = {0,
                                       1,
                                       63,
                                       64,
                                       65,
                                       4095,
                                       4096,
                                       262143,
                                       262144,
                                       UINT64_C(1) << 32,
                                       (UINT64_C(1) << 60) - 1,
                                       UINT64_C(1) << 60,
                                       UINT64_C(1) << 62,
                                       HIGHEST - 64,
                                       HIGHEST - 1,
                                       HIGHEST};
    enum { COUNT = sizeof(numbers) / sizeof(numbers[0]) };
    struct folio folios[COUNT];
    uint64_t at = 0;

    for (unsigned from = 0; from < COUNT; from++) {
        for (unsigned i = 0; i < COUNT; i++) {
            const unsigned n = (from + i * 5) % COUNT; /* 5 and 16 have no common factor */

            assert_null(index_find_(*state, numbers[n]));
            insert(*state, numbers[n], &folios[n]);
            assert_ptr_equal(index_find_(*state, numbers[n]), &folios[n]);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            assert_ptr_equal(index_find_(*state, numbers[i]), &folios[i]);
            if (i + 1 < COUNT && numbers[i] + 1 < numbers[i + 1])
                assert_null(index_find_(*state, numbers[i] + 1));
            assert_ptr_equal(index_next_(*state, numbers[i], HIGHEST, &at), &folios[i]);
            assert_int_equal(at, numbers[i]);
            assert_ptr_equal(index_next_(*state, i ? numbers[i - 1] + 1 : 0, numbers[i], &at),
                             &folios[i]);
            assert_int_equal(at, numbers[i]);
            if (i > 0 && numbers[i - 1] + 1 < numbers[i])
                assert_null(index_next_(*state, numbers[i - 1] + 1, numbers[i] - 1, &at));
        }
        for (unsigned i = 0; i < COUNT; i++) {
            const unsigned n = (from + i * 3) % COUNT;

            index_remove_(*state, numbers[n], &folios[n]);
            assert_null(index_find_(*state, numbers[n]));
        }
        assert_int_equal(index_bytes_(*state), 0);
    }
}

/* A number beyond what the tree is high for is not one within it. */
static void higher_than_the_tree(void **state)
{
    struct folio folio;
    uint64_t at = 0;

    insert(*state, 5, &folio);
    assert_null(index_find_(*state, 64 + 5));
    assert_null(index_find_(*state, (UINT64_C(1) << 62) + 5));
    assert_null(index_next_(*state, 64, HIGHEST, &at));
    index_remove_(*state, 5, &folio);
}

static void inserted_twice(void **state)
{
    struct folio first;
    struct folio second;
    struct folio *there = NULL;
    uint64_t bytes = 0;

    insert(*state, 9, &first);
    bytes = index_bytes_(*state);
    assert_int_equal(index_insert_(*state, 9, &second, &there), -EEXIST);
    assert_ptr_equal(there, &first);
    assert_ptr_equal(index_find_(*state, 9), &first);
    assert_int_equal(index_bytes_(*state), bytes);
    index_remove_(*state, 9, &first);
    insert(*state, 9, &second);
    assert_ptr_equal(index_find_(*state, 9), &second);
    index_remove_(*state, 9, &second);
}

/* The n-th allocation fails, for every n: nothing has changed, and later it works. */
static void out_of_memory(void **state)
{
    struct folio folios[7];
    struct folio more;
    struct folio *there = NULL;
    static const uint64_t numbers[] = {70, HIGHEST, UINT64_C(1) << 40, 64 * 64 + 3, 128};
    uint64_t bytes = 0;
    uint64_t at = 0;

    for (unsigned n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
        unsigned failed = 0;

        /* A small node that is full, in most ways to the new one. */
        for (unsigned i = 0; n != 1 && i < 5; i++)
            insert(*state, i, &folios[i]);
        bytes = index_bytes_(*state);
        for (uint32_t nth = 1;; nth++) {
            int result = 0;

            inject_error(CALL_ALLOCATE, nth, 1, ENOMEM);
            result = index_insert_(*state, numbers[n], &more, &there);
            inject_nothing();
            if (result == 0)
                break;
            failed++;
            assert_int_equal(result, -ENOMEM);
            assert_null(index_find_(*state, numbers[n]));
            assert_null(index_next_(*state, 5, HIGHEST, &at));
            assert_int_equal(index_bytes_(*state), bytes);
            for (unsigned i = 0; n != 1 && i < 5; i++)
                assert_ptr_equal(index_find_(*state, i), &folios[i]);
        }
        assert_true(failed > 0);
        assert_ptr_equal(index_find_(*state, numbers[n]), &more);
        index_remove_(*state, numbers[n], &more);
        for (unsigned i = 0; n != 1 && i < 5; i++)
            index_remove_(*state, i, &folios[i]);
        assert_int_equal(index_bytes_(*state), 0);
    }
    /* The sixth in a node that has five slots. */
    for (unsigned i = 0; i < 5; i++)
        insert(*state, UINT64_C(7) * i, &folios[i]);
    bytes = index_bytes_(*state);
    inject_error(CALL_ALLOCATE, 1, 1, ENOMEM);
    assert_int_equal(index_insert_(*state, 50, &folios[5], &there), -ENOMEM);
    assert_int_equal(index_bytes_(*state), bytes);
    assert_int_equal(index_insert_(*state, 50, &folios[5], &there), 0);
    index_remove_(*state, 50, &folios[5]);
    for (unsigned i = 0; i < 5; i++)
        index_remove_(*state, UINT64_C(7) * i, &folios[i]);
    /* The same a level above: what was made for the sixth is freed again. */
    for (unsigned i = 0; i < 5; i++)
        insert(*state, UINT64_C(64) * i, &folios[i]);
    bytes = index_bytes_(*state);
    inject_error(CALL_ALLOCATE, 2, 1, ENOMEM);
    assert_int_equal(index_insert_(*state, 640, &folios[5], &there), -ENOMEM);
    inject_nothing();
    assert_int_equal(index_bytes_(*state), bytes);
    for (unsigned i = 0; i < 5; i++)
        index_remove_(*state, UINT64_C(64) * i, &folios[i]);
    for (unsigned i = 0; i < 5; i++)
        insert(*state, UINT64_C(7) * i, &folios[i]);
    insert(*state, 50, &folios[5]);
    /* A removal doesn't need memory, though it uses some. */
    inject_error(CALL_ALLOCATE, 1, UINT32_MAX / 2, ENOMEM);
    index_remove_(*state, 50, &folios[5]);
    for (unsigned i = 0; i < 5; i++) {
        index_remove_(*state, UINT64_C(7) * i, &folios[i]);
        assert_null(index_find_(*state, UINT64_C(7) * i));
        for (unsigned j = i + 1; j < 5; j++)
            assert_ptr_equal(index_find_(*state, UINT64_C(7) * j), &folios[j]);
    }
}

/* One folio of 4 KiB in every 6 MiB, as random requests leave them: the index has a few percent. */
static void memory_of_sparse(void **state)
{
    enum { COUNT = 16384 };
    static struct folio folios[COUNT];

    for (uint64_t i = 0; i < COUNT; i++)
        insert(*state, i * 1543, &folios[i]);
    assert_true(index_bytes_(*state) <= COUNT * UINT64_C(100));
    for (uint64_t i = 0; i < COUNT; i++)
        index_remove_(*state, i * 1543, &folios[i]);
}

/* The tree is no higher than its highest number needs. */
static void low_again(void **state)
{
    struct folio low;
    struct folio high;
    uint64_t bytes = 0;

    insert(*state, 3, &low);
    bytes = index_bytes_(*state);
    insert(*state, HIGHEST, &high);
    assert_true(index_bytes_(*state) > bytes);
    index_remove_(*state, HIGHEST, &high);
    assert_int_equal(index_bytes_(*state), bytes);
    assert_ptr_equal(index_find_(*state, 3), &low);
    index_remove_(*state, 3, &low);
}

/* What was dense and became sparse takes as little. */
static void memory_of_what_is_left(void **state)
{
    enum { COUNT = 16384 };
    static struct folio folios[COUNT];
    uint64_t dense = 0;

    for (uint64_t i = 0; i < COUNT; i++)
        insert(*state, i, &folios[i]);
    dense = index_bytes_(*state);
    assert_true(dense <= COUNT * UINT64_C(9));
    for (uint64_t i = 0; i < COUNT; i++)
        if (i % 64 != 17)
            index_remove_(*state, i, &folios[i]);
    assert_true(index_bytes_(*state) <= dense / 6);
    for (uint64_t i = 17; i < COUNT; i += 64)
        index_remove_(*state, i, &folios[i]);
}

/* Numbers of all kinds: dense at the beginning, in clusters, and alone. Ascending. */
#define NUMBERS 640

static uint64_t number_of(unsigned i)
{
    if (i < 256)
        return i;
    if (i < 384)
        return 4096 + (uint64_t)(i - 256) * 13;
    if (i < 512)
        return (UINT64_C(1) << 30) + (uint64_t)(i - 384) * 4099;
    return HIGHEST - (uint64_t)(NUMBERS - 1 - i) * UINT64_C(0x7ffffffffffff);
}

static void check_next(struct index *index, const bool *in, struct folio *folios, unsigned from,
                       unsigned last)
{
    unsigned want = from;
    uint64_t at = 0;
    struct folio *found = index_next_(index, number_of(from), number_of(last), &at);

    while (want <= last && !in[want])
        want++;
    assert_ptr_equal(found, want <= last ? &folios[want] : NULL);
    if (found)
        assert_int_equal(at, number_of(want));
}

static void model(void **state)
{
    static struct folio folios[NUMBERS];
    static bool in[NUMBERS];
    struct random random = {seed_choose()};
    struct folio *there = NULL;

    memset(in, 0, sizeof(in));
    for (unsigned i = 0; i < 200000; i++) {
        /* Fills up and empties again. */
        const bool filling = i / 10000 % 2 == 0;
        const unsigned n = (unsigned)random_below(&random, NUMBERS);
        const unsigned m = (unsigned)random_below(&random, NUMBERS);

        if (in[n] && random_below(&random, 4) >= (filling ? 3 : 1)) {
            index_remove_(*state, number_of(n), &folios[n]);
            in[n] = false;
        } else if (random_below(&random, 4) >= (filling ? 1 : 3)) {
            assert_int_equal(index_insert_(*state, number_of(n), &folios[n], &there),
                             in[n] ? -EEXIST : 0);
            in[n] = true;
        }
        assert_ptr_equal(index_find_(*state, number_of(m)), in[m] ? &folios[m] : NULL);
        check_next(*state, in, folios, n < m ? n : m, n < m ? m : n);
        if (i % 256 == 0)
            index_reclaim_();
    }
    for (unsigned n = 0; n < NUMBERS; n++)
        if (in[n])
            index_remove_(*state, number_of(n), &folios[n]);
}

/*
 * Two threads change, two look, one reclaims. Every third number stays: it is found all the time.
 * Any other is found with its folio or not at all.
 */
#define ROUNDS 30000

static struct stress {
    struct index *index;
    struct folio folios[NUMBERS];
    uint64_t seed;
    uint32_t changing;
    uint32_t threads;
} stress;

static void change(void *argument)
{
    struct random random = {stress.seed + add(&stress.threads, 1)};
    const unsigned part = (unsigned)(uintptr_t)argument; /* n % 3: the thread's own numbers */
    bool in[NUMBERS] = {false};
    struct folio *there = NULL;

    for (unsigned i = 0; i < ROUNDS; i++) {
        const unsigned n = (unsigned)random_below(&random, NUMBERS / 3) * 3 + part;

        if (in[n])
            index_remove_(stress.index, number_of(n), &stress.folios[n]);
        else
            CHECK(index_insert_(stress.index, number_of(n), &stress.folios[n], &there) == 0);
        in[n] = !in[n];
        CHECK(index_find_(stress.index, number_of(n)) == (in[n] ? &stress.folios[n] : NULL));
    }
    for (unsigned n = part; n < NUMBERS; n += 3)
        if (in[n])
            index_remove_(stress.index, number_of(n), &stress.folios[n]);
    add(&stress.changing, UINT32_MAX);
}

static void look(void *argument)
{
    struct random random = {stress.seed + add(&stress.threads, 1)};

    (void)argument;
    while (load(&stress.changing) > 0) {
        const unsigned n = (unsigned)random_below(&random, NUMBERS);
        const struct folio *found = index_find_(stress.index, number_of(n));
        const unsigned last = n + (unsigned)random_below(&random, NUMBERS - n);
        uint64_t at = 0;

        CHECK(found == &stress.folios[n] || (found == NULL && n % 3 != 0));
        found = index_next_(stress.index, number_of(n), number_of(last), &at);
        if (found) {
            const unsigned m = (unsigned)(found - stress.folios);

            CHECK(at == number_of(m) && m >= n && m <= last);
            CHECK(m <= (n + 2) / 3 * 3); /* it passed none that stays */
        } else {
            CHECK((n + 2) / 3 * 3 > last);
        }
    }
}

static void reclaim(void *argument)
{
    (void)argument;
    while (load(&stress.changing) > 0)
        index_reclaim_();
}

static void beside_changes(void **state)
{
    struct task tasks[5];

    stress.index = *state;
    stress.seed = seed_choose();
    stress.changing = 2;
    for (unsigned n = 0; n < NUMBERS; n += 3)
        insert(*state, number_of(n), &stress.folios[n]);
    task_start(&tasks[0], look, NULL);
    task_start(&tasks[1], look, NULL);
    task_start(&tasks[2], change, (void *)(uintptr_t)1);
    task_start(&tasks[3], change, (void *)(uintptr_t)2);
    task_start(&tasks[4], reclaim, NULL);
    for (unsigned i = 0; i < 5; i++)
        task_join(&tasks[i]);
    for (unsigned n = 0; n < NUMBERS; n += 3)
        index_remove_(*state, number_of(n), &stress.folios[n]);
}

/* A tree that comes and goes, root and all, under those who look. */
static void change_alone(void *argument)
{
    struct folio *there = NULL;

    (void)argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        const unsigned n = i * 7 % NUMBERS;

        CHECK(index_insert_(stress.index, number_of(n), &stress.folios[n], &there) == 0);
        index_remove_(stress.index, number_of(n), &stress.folios[n]);
    }
    add(&stress.changing, UINT32_MAX);
}

static void look_for_any(void *argument)
{
    unsigned n = 0;

    (void)argument;
    while (load(&stress.changing) > 0) {
        const struct folio *found = index_find_(stress.index, number_of(n));
        uint64_t at = 0;

        CHECK(found == NULL || found == &stress.folios[n]);
        found = index_next_(stress.index, 0, HIGHEST, &at);
        CHECK(found == NULL || at == number_of((unsigned)(found - stress.folios)));
        n = (n + 1) % NUMBERS;
    }
}

static void comes_and_goes(void **state)
{
    struct task tasks[3];

    stress.index = *state;
    stress.changing = 1;
    task_start(&tasks[0], look_for_any, NULL);
    task_start(&tasks[1], look_for_any, NULL);
    task_start(&tasks[2], change_alone, NULL);
    for (unsigned i = 0; i < 3; i++)
        task_join(&tasks[i]);
}

/* A removal that has taken the last folio out, and is not through yet. */
static struct {
    struct index *index;
    struct folio folio;
    uint32_t taken_out;
    uint32_t may_go_on;
} removal;

static _Thread_local unsigned locks_until_stop;

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (locks_until_stop > 0 && --locks_until_stop == 0) {
        store(&removal.taken_out, 1);
        AWAIT(load(&removal.may_go_on));
    } else if (removal.index && mutex == &removal.index->mutex && load(&removal.taken_out)) {
        store(&removal.may_go_on, 1);
    }
    return __real_pthread_mutex_lock(mutex);
}

static void remove_slowly(void *argument)
{
    (void)argument;
    locks_until_stop = 2; /* the index's, and that of what waits to be freed */
    index_remove_(removal.index, 7, &removal.folio);
}

/* Who finds the index empty, and destroys it, waits until the one that emptied it has left. */
static void destroyed_when_empty(void **state)
{
    struct task task;
    uint64_t number = 0;
    bool waited = false;

    removal.index = *state;
    insert(*state, 7, &removal.folio);
    task_start(&task, remove_slowly, NULL);
    AWAIT(load(&removal.taken_out));
    assert_null(index_next_(*state, 0, HIGHEST, &number));
    index_destroy_(*state);
    waited = load(&removal.may_go_on);
    store(&removal.may_go_on, 1);
    task_join(&task);
    assert_true(waited);
    removal.index = NULL;
    index_init_(*state);
}

#define INDEX_TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INDEX_TEST(empty),
        INDEX_TEST(numbers_at_edges),
        INDEX_TEST(higher_than_the_tree),
        INDEX_TEST(inserted_twice),
        INDEX_TEST(out_of_memory),
        INDEX_TEST(memory_of_sparse),
        INDEX_TEST(low_again),
        INDEX_TEST(memory_of_what_is_left),
        INDEX_TEST(model),
        INDEX_TEST(beside_changes),
        INDEX_TEST(comes_and_goes),
        INDEX_TEST(destroyed_when_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
