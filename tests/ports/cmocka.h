/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests use of cmocka, where a port's own can't be had: its lock must be testable without
 * Debian packages of its architecture. The first assertion that fails ends the program.
 */
#ifndef TWOSTATE_TESTS_PORTS_CMOCKA_H
#define TWOSTATE_TESTS_PORTS_CMOCKA_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
    int (*setup)(void **state);
    int (*teardown)(void **state);
};

/* clang-format off */
#define cmocka_unit_test(f) {#f, (f), NULL, NULL}
#define cmocka_unit_test_setup_teardown(f, setup, teardown) {#f, (f), (setup), (teardown)}
/* clang-format on */

#define print_message(...) ((void)printf(__VA_ARGS__))
#define fail_msg(...)                                                                              \
    do {                                                                                           \
        (void)fflush(stdout);                                                                      \
        (void)fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                      \
        (void)fprintf(stderr, __VA_ARGS__);                                                        \
        (void)fputc('\n', stderr);                                                                 \
        abort();                                                                                   \
    } while (0)

/* As in cmocka, whatever is compared is an integer, and as wide as they come. */
#define ports_compare_(a, sign, b)                                                                 \
    do {                                                                                           \
        const uintmax_t a_ = (uintmax_t)(a);                                                       \
        const uintmax_t b_ = (uintmax_t)(b);                                                       \
        if (!(a_ sign b_))                                                                         \
            fail_msg("%s (%" PRIxMAX ") " #sign " %s (%" PRIxMAX ") is not so", #a, a_, #b, b_);   \
    } while (0)

#define assert_true(x)                                                                             \
    do {                                                                                           \
        if (!(x))                                                                                  \
            fail_msg("%s is false", #x);                                                           \
    } while (0)
#define assert_false(x)              assert_true(!(x))
#define assert_null(p)               assert_true((p) == NULL)
#define assert_non_null(p)           assert_true((p) != NULL)
#define assert_ptr_equal(a, b)       assert_true((const void *)(a) == (const void *)(b))
#define assert_ptr_not_equal(a, b)   assert_true((const void *)(a) != (const void *)(b))
#define assert_int_equal(a, b)       ports_compare_(a, ==, b)
#define assert_int_not_equal(a, b)   ports_compare_(a, !=, b)
#define assert_string_equal(a, b)    assert_true(strcmp((a), (b)) == 0)
#define assert_memory_equal(a, b, n) assert_true(memcmp((a), (b), (n)) == 0)
#define assert_in_range(x, least, most)                                                            \
    do {                                                                                           \
        ports_compare_(x, >=, least);                                                              \
        ports_compare_(x, <=, most);                                                               \
    } while (0)

/* The rest of the test is not for this machine; others go on. */
#define skip()                                                                                     \
    do {                                                                                           \
        print_message("%s: SKIPPED\n", __func__);                                                  \
        return;                                                                                    \
    } while (0)

static inline int ports_run_(const struct CMUnitTest *tests, size_t count, int (*setup)(void **),
                             int (*teardown)(void **))
{
    void *group = NULL;

    if (setup && setup(&group))
        return 1;
    for (size_t i = 0; i < count; i++) {
        void *state = NULL;

        (void)printf("%s\n", tests[i].name);
        (void)fflush(stdout);
        if (tests[i].setup && tests[i].setup(&state))
            return 1;
        tests[i].test(&state);
        if (tests[i].teardown && tests[i].teardown(&state))
            return 1;
    }
    return teardown && teardown(&group);
}

#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    ports_run_((tests), sizeof(tests) / sizeof((tests)[0]), (setup), (teardown))

#endif
