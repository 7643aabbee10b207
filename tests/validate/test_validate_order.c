/* SPDX-License-Identifier: MIT */
/* The validator's rules rank and order: locks in two threads one after the other, no deadlock. */
#include "collect.h"
#include "threads.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <twostate/class.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

#define ORDER TWOSTATE_RULE_ORDER
#define RANK  TWOSTATE_RULE_RANK

static struct twostate_lock x;
static struct twostate_lock y;
static struct twostate_lock z;
static struct twostate_iopair pair;
static struct twostate_iopair other;

static int start(void **state)
{
    twostate_lock_init(&x);
    twostate_lock_init(&y);
    twostate_lock_init(&z);
    return collect_start(state);
}

SHOWN void acquire_outer(struct twostate_lock *outer, enum twostate_state state)
{
    twostate_lock_acquire(outer, state);
    twostate_lock_assert_held(outer, state);
}

SHOWN void acquire_inner(struct twostate_lock *inner, enum twostate_state state)
{
    twostate_lock_acquire(inner, state);
    twostate_lock_assert_held(inner, state);
}

static void nest(struct twostate_lock *outer, struct twostate_lock *inner)
{
    acquire_outer(outer, A);
    acquire_inner(inner, B);
    twostate_lock_release(inner, B);
    twostate_lock_release(outer, A);
}

SHOWN void x_then_y(void *unused)
{
    (void)unused;
    nest(&x, &y);
    expect_none();
}

SHOWN void y_then_x(void *unused)
{
    (void)unused;
    nest(&y, &x);
    twostate_lock_assert_unlocked(&y);
}

SHOWN void y_then_z(void *unused)
{
    (void)unused;
    nest(&y, &z);
    expect_none();
}

SHOWN void z_then_x(void *unused)
{
    (void)unused;
    nest(&z, &x);
    twostate_lock_assert_unlocked(&z);
}

static const char *after(const char *text, const char *word)
{
    const char *at = text == NULL ? NULL : strstr(text, word);

    if (at == NULL)
        fail_msg("no '%s' in: %s", word, text == NULL ? "(it, after the others)" : text);
    return at;
}

/* Four places: the two of now, then the two of before. */
static void test_two_locks(void **unused)
{
    static struct twostate_report report;
    const char *text = report.text;

    (void)unused;
    in_thread(x_then_y, NULL);
    in_thread(y_then_x, NULL);
    assert_true(twostate_validate_next(&report));
    assert_int_equal(report.rule, ORDER);
    assert_ptr_equal(report.lock, &x);
    text = after(after(text, "acquire B"), "acquire_inner+");
    text = after(text, "y_then_x+");
    text = after(after(text, "acquire_outer+"), "y_then_x+");
    text = after(after(text, "acquire_outer+"), "x_then_y+");
    after(after(text, "acquire_inner+"), "x_then_y+");
}

static void test_said_once(void **unused)
{
    (void)unused;
    x_then_y(NULL);
    y_then_x(NULL);
    EXPECT(ORDER, &x, "class lock");
    y_then_x(NULL);
    x_then_y(NULL);
}

static void test_three_locks(void **unused)
{
    (void)unused;
    in_thread(x_then_y, NULL);
    in_thread(y_then_z, NULL);
    in_thread(z_then_x, NULL);
    EXPECT(ORDER, &x, "x_then_y+", "y_then_z+", "z_then_x+");
}

/* What follows from what is known needs no room, and is known all the same. */
static void test_nested_deeply(void **unused)
{
    enum { LOCKS = 300 };
    static struct twostate_lock locks[LOCKS];

    (void)unused;
    for (int i = 0; i < LOCKS; i++)
        twostate_lock_acquire(&locks[i], A);
    for (int i = 0; i < LOCKS; i++)
        twostate_lock_release(&locks[i], A);
    expect_none();
    assert_int_equal(twostate_validate_query().orders_missed, 0);
    nest(&locks[LOCKS - 1], &locks[0]);
    EXPECT(ORDER, &locks[0], "in 299 steps");
}

/* A try in between comes after nothing, so nothing follows from it. */
static void test_nested_with_a_try(void **unused)
{
    (void)unused;
    twostate_lock_acquire(&x, A);
    assert_true(twostate_lock_try_acquire(&y, A));
    twostate_lock_acquire(&z, A);
    twostate_lock_release(&z, A);
    twostate_lock_release(&y, A);
    twostate_lock_release(&x, A);
    z_then_x(NULL);
    EXPECT(ORDER, &x, "z_then_x+");
    nest(&z, &y);
    EXPECT(ORDER, &y, "acquire B");
    y_then_x(NULL); /* the try waited for nothing */
}

static void acquire_x_for_another(void *unused)
{
    (void)unused;
    twostate_lock_acquire(&x, A);
    twostate_validate_disown(&x);
}

/* What was taken over came after what its old thread held, not after what the new one does. */
static void test_nested_with_an_adopted_hold(void **unused)
{
    (void)unused;
    in_thread(acquire_x_for_another, NULL);
    twostate_lock_acquire(&y, A);
    twostate_validate_adopt(&x);
    twostate_lock_acquire(&z, A);
    twostate_lock_release(&z, A);
    twostate_lock_release(&x, A);
    twostate_lock_release(&y, A);
    nest(&z, &y);
    EXPECT(ORDER, &y, "acquire B");
}

static const struct twostate_class low = {.name = "low", .rank = 10};
static const struct twostate_class high = {.name = "high", .rank = 20};
static const struct twostate_class first = {.name = "first"};
static const struct twostate_class second = {.name = "second"};

/* Other locks of the same classes. */
static void test_classes(void **unused)
{
    struct twostate_lock x2 = TWOSTATE_LOCK_INIT;
    struct twostate_lock y2 = TWOSTATE_LOCK_INIT;

    (void)unused;
    assert_int_equal(twostate_lock_set_class(&x, &first), 0);
    assert_int_equal(twostate_lock_set_class(&x2, &first), 0);
    assert_int_equal(twostate_lock_set_class(&y, &second), 0);
    assert_int_equal(twostate_lock_set_class(&y2, &second), 0);
    x_then_y(NULL);
    nest(&y2, &x2);
    EXPECT(ORDER, &x2, "class first", "class second");
}

/* One lock has a class, the other is itself. */
static void test_class_and_none(void **unused)
{
    (void)unused;
    twostate_lock_set_class(&x, &first);
    x_then_y(NULL);
    nest(&x, &z);
    y_then_x(NULL);
    EXPECT(ORDER, &x, "class first", "class lock");
    z_then_x(NULL);
    EXPECT(ORDER, &x, "class first", "class lock");
}

/* Locks that have no class have nothing in common. */
static void test_other_locks_without_a_class(void **unused)
{
    static struct twostate_iolock a;
    static struct twostate_iolock b;

    (void)unused;
    twostate_iolock_acquire(&a, TWOSTATE_SHARED);
    twostate_lock_acquire(&x, A);
    twostate_lock_release(&x, A);
    twostate_iolock_release(&a, TWOSTATE_SHARED);
    twostate_lock_acquire(&y, A);
    twostate_iolock_acquire(&b, TWOSTATE_SHARED);
    twostate_iolock_release(&b, TWOSTATE_SHARED);
    twostate_lock_release(&y, A);
}

static void test_locks_of_one_class(void **unused)
{
    (void)unused;
    twostate_lock_set_class(&x, &first);
    twostate_lock_set_class(&y, &first);
    x_then_y(NULL);
    y_then_x(NULL);
    EXPECT(ORDER, &x, "class first");
}

static void test_user_ranks(void **unused)
{
    (void)unused;
    twostate_lock_set_class(&x, &low);
    twostate_lock_set_class(&y, &high);
    x_then_y(NULL);
    y_then_x(NULL);
    EXPECT(RANK, &x, "rank 10", "rank 20", "acquire_inner+", "acquire_outer+");
}

/* Other pairs, so that nothing waits: the first inversion is enough. */
static void test_iotype_before_iolock(void **unused)
{
    struct twostate_hold hold;
    struct twostate_hold inner;

    (void)unused;
    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_READ, &hold);
    expect_none();
    twostate_iopair_begin(&other, TWOSTATE_DIRECT, &inner);
    EXPECT(RANK, &other, "class IOLOCK", "class IOTYPE", "begin");
    twostate_iopair_end(&inner);
    twostate_iopair_end(&hold);
}

static void submit_and_begin(struct twostate_iopair *from, struct twostate_iopair *to)
{
    struct twostate_hold hold;
    struct twostate_hold completion;
    struct twostate_hold inner;

    twostate_iopair_begin(from, TWOSTATE_DIRECT, &hold);
    twostate_iopair_submitting(&hold, &completion);
    twostate_iopair_begin(to, TWOSTATE_EXCLUSIVE_IO, &inner);
    twostate_iopair_end(&inner);
    twostate_iopair_submitted(&hold);
    twostate_iopair_complete(&completion);
}

/* The IOLOCK of one file while that of another is held, both ways: only begin_remap_two may. */
static void test_iolocks_of_two_files(void **unused)
{
    (void)unused;
    submit_and_begin(&pair, &other);
    expect_none();
    submit_and_begin(&other, &pair);
    EXPECT(ORDER, &pair.iolock_, "class IOLOCK", "is held shared", "the other order");
}

static void test_ranks_of_pairs_and_users(void **unused)
{
    struct twostate_hold hold;

    (void)unused;
    twostate_lock_set_class(&x, &low);
    twostate_lock_acquire(&x, A);
    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_READ, &hold); /* 10, 1000, 2000 */
    expect_none();
    twostate_iopair_end(&hold);
    twostate_lock_release(&x, A);
    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_READ, &hold);
    twostate_lock_acquire(&x, A);
    EXPECT(RANK, &x, "class low", "class IOTYPE");
    EXPECT(RANK, &x, "class low", "class IOLOCK");
    twostate_lock_release(&x, A);
    twostate_iopair_end(&hold);
}

SHOWN void drain_y_under_x(void *unused)
{
    (void)unused;
    acquire_outer(&x, A);
    twostate_lock_drain(&y);
    twostate_lock_release(&x, A);
}

SHOWN void freeze_y_under_x(void *unused)
{
    (void)unused;
    acquire_outer(&x, A);
    twostate_lock_freeze(&y);
    twostate_lock_thaw(&y);
    twostate_lock_release(&x, A);
}

/* pitfall L18: a count that is waited to zero is an acquisition like others */
static void test_drain_counts(void **unused)
{
    (void)unused;
    in_thread(drain_y_under_x, NULL);
    in_thread(y_then_x, NULL);
    EXPECT(ORDER, &x, "drain", "drain_y_under_x+", "y_then_x+");
}

static void test_freeze_counts(void **unused)
{
    (void)unused;
    in_thread(freeze_y_under_x, NULL);
    in_thread(y_then_x, NULL);
    EXPECT(ORDER, &x, "freeze", "freeze_y_under_x+", "y_then_x+");
}

/* pitfall L18: the other way round, the drain is what is reported */
static void test_drain_is_reported(void **unused)
{
    (void)unused;
    in_thread(y_then_x, NULL);
    in_thread(drain_y_under_x, NULL);
    EXPECT(ORDER, &y, "misuse: drain: order", "drain_y_under_x+", "y_then_x+");
}

static void test_switch_counts(void **unused)
{
    (void)unused;
    y_then_x(NULL);
    twostate_lock_acquire(&y, A);
    assert_true(twostate_lock_try_acquire(&x, A)); /* held, though nothing waited for it */
    assert_int_equal(twostate_lock_switch(&y, B), 0);
    EXPECT(ORDER, &y, "switch to B");
    twostate_lock_release(&x, A);
    twostate_lock_release(&y, B);
}

static void test_timed_counts(void **unused)
{
    const struct timespec end = after_ms(600000);
    const struct timespec past = {0};

    (void)unused;
    x_then_y(NULL);
    twostate_lock_acquire(&y, A);
    assert_int_equal(twostate_lock_acquire_timed(&x, A, &past), 0);
    twostate_lock_release(&x, A);
    expect_none();
    assert_int_equal(twostate_lock_acquire_timed(&x, A, &end), 0);
    EXPECT(ORDER, &x, "acquire A");
    twostate_lock_release(&x, A);
    twostate_lock_release(&y, A);
}

/* A try waits for nothing, but what it took is held. */
static void test_try(void **unused)
{
    (void)unused;
    twostate_lock_acquire(&x, A);
    assert_true(twostate_lock_try_acquire(&y, A));
    twostate_lock_release(&y, A);
    twostate_lock_release(&x, A);
    nest(&y, &x);
    expect_none();
    assert_true(twostate_lock_try_acquire(&x, A));
    twostate_lock_acquire(&y, A);
    EXPECT(ORDER, &y, "acquire A");
    twostate_lock_release(&y, A);
    twostate_lock_release(&x, A);
}

/* What lay there before is no matter of the locks that lie there now. */
static void test_new_locks_in_old_places(void **unused)
{
    (void)unused;
    for (int how = 0; how < 4; how++) {
        x_then_y(NULL);
        if (how == 0) {
            memset(&x, 0, sizeof(x));
        } else if (how == 1) {
            twostate_lock_init(&x);
        } else if (how == 2) {
            twostate_lock_destroy(&x);
        } else {
            twostate_validate_free(&x, sizeof(x));
        }
        y_then_x(NULL);
        expect_none();
        twostate_lock_init(&x);
        twostate_lock_init(&y);
    }
}

static void test_new_class_in_old_place(void **unused)
{
    (void)unused;
    twostate_lock_set_class(&x, &high);
    twostate_lock_set_class(&y, &low);
    memset(&x, 0, sizeof(x));
    x_then_y(NULL); /* from none to low; from high it would be misuse */
}

/* Of a class whose own order the program sees to. */
static void test_ordered_class(void **unused)
{
    static const struct twostate_class folio = {.name = "folio", .rank = 15, .ordered = true};

    (void)unused;
    twostate_lock_set_class(&x, &folio);
    twostate_lock_set_class(&y, &folio);
    x_then_y(NULL);
    y_then_x(NULL);
    expect_none();
}

/* More locks than there is room for: what is not checked is not reported, and is counted. */
static void test_many_locks(void **unused)
{
    enum { LOCKS = 3000 };
    static struct twostate_lock locks[LOCKS];

    (void)unused;
    for (int i = 0; i + 1 < LOCKS; i++)
        nest(&locks[i], &locks[i + 1]);
    expect_none();
    assert_true(twostate_validate_query().orders_missed > 0);
    x_then_y(NULL);
    y_then_x(NULL);
    EXPECT(ORDER, &x, "not recorded for lack of room");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, collect_stop)
    const struct CMUnitTest tests[] = {
        TEST(test_two_locks),
        TEST(test_said_once),
        TEST(test_three_locks),
        TEST(test_nested_deeply),
        TEST(test_nested_with_a_try),
        TEST(test_nested_with_an_adopted_hold),
        TEST(test_classes),
        TEST(test_class_and_none),
        TEST(test_other_locks_without_a_class),
        TEST(test_locks_of_one_class),
        TEST(test_user_ranks),
        TEST(test_iotype_before_iolock),
        TEST(test_iolocks_of_two_files),
        TEST(test_ranks_of_pairs_and_users),
        TEST(test_drain_counts),
        TEST(test_freeze_counts),
        TEST(test_drain_is_reported),
        TEST(test_switch_counts),
        TEST(test_timed_counts),
        TEST(test_try),
        TEST(test_new_locks_in_old_places),
        TEST(test_new_class_in_old_place),
        TEST(test_ordered_class),
        TEST(test_many_locks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
