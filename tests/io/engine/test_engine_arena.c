/* SPDX-License-Identifier: MIT */
/* The memory of user caches: who gets it, who gives way, and that it is never more than allowed. */
#include "arena_rig.h"
#include "inject.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <twostate/validate.h>

static void refused(void **state)
{
    /* More than there are numbers, or addresses of 32 bits. */
    const uint64_t too_much[] = {UINT64_MAX, UINT64_C(1) << (sizeof(void *) == 4 ? 32 : 45) | MIB};
    struct arena *arena = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(too_much) / sizeof(too_much[0]); i++)
        assert_int_equal(
            arena_create_(too_much[i], arena_note_evicted, arena_note_pressed, NULL, &arena),
            -ENOMEM);
    inject_error(CALL_ALLOCATE, 1, 1, ENOMEM);
    assert_int_equal(arena_create_(MIB, arena_note_evicted, arena_note_pressed, NULL, &arena),
                     -ENOMEM);
    inject_nothing();
    arena_begin(UINT64_C(10) * S16 + 5);
    assert_int_equal(arena_want(S16, 11), -ENOMEM);
    assert_int_equal(arena_want(S64, UINT32_MAX), -ENOMEM);
    assert_int_equal(arena_want(5000, 1), -EINVAL);
    assert_int_equal(arena_want(S16, 10), 0);
    assert_int_equal(arena_used(), 10 * S16);
    arena_unreserve_(rig.arena, S16, 10);
    assert_int_equal(arena_want(S64, 0), 0);
    arena_end();
}

/* Address space is refused: for the descriptors, then for the memory. */
static void no_address_space(void **state)
{
    (void)state;
    arena_begin(MIB);
    for (uint32_t nth = 1; nth <= 2; nth++) {
        inject_error(CALL_ALLOCATE, nth, 1, ENOMEM);
        assert_int_equal(arena_want(S16, 1), -ENOMEM);
        inject_nothing();
        assert_int_equal(arena_used(), 0);
    }
    assert_int_equal(arena_want(S16, 1), 0);
    arena_unreserve_(rig.arena, S16, 1);
    arena_end();
}

/* What is taken is free, locked, aligned, and nobody else's. */
static void taken(void **state)
{
    struct folio *folios[64];

    (void)state;
    arena_begin(MIB);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(arena_want(S16, 64), 0);
        for (unsigned i = 0; i < 64; i++) {
            struct folio *folio = arena_take_(rig.arena, S16);

            folios[i] = folio;
            twostate_iolock_assert_held(&folio->lock, TWOSTATE_EXCLUSIVE);
            assert_null(folio->owner);
            assert_int_equal(folio->valid, 0);
            assert_int_equal(folio->dirty, 0);
            assert_int_equal((uintptr_t)folio->data % 4096, 0);
            memset(folio->data, (int)i, S16);
            folio->valid = 15;
            folio->owner = OWNER(0);
            assert_int_equal(arena_used(), MIB);
        }
        for (unsigned i = 0; i < 64; i++) {
            for (unsigned at = 0; at < S16; at += 1000)
                assert_int_equal(folios[i]->data[at], i);
            arena_free_(rig.arena, folios[i], S16);
            assert_null(folios[i]->owner);
            assert_int_equal(twostate_iolock_query(&folios[i]->lock).holders, 0);
        }
        assert_int_equal(arena_used(), 0);
    }
    assert_int_equal(rig.evictions, 0);
    arena_end();
}

/* NOWAIT neither evicts nor passes who waits. */
static void nowait(void **state)
{
    struct folio *folio = NULL;

    (void)state;
    arena_begin(UINT64_C(2) * S16);
    assert_int_equal(arena_reserve_(rig.arena, S16, 1, true, NULL, NULL), 0);
    folio = arena_own(S16, 0);
    assert_int_equal(arena_reserve_(rig.arena, S16, 2, true, NULL, NULL), -EAGAIN);
    assert_int_equal(arena_used(), S16);
    assert_int_equal(rig.evictions, 0);
    assert_int_equal(arena_reserve_(rig.arena, S16, 3, true, NULL, NULL), -ENOMEM);
    arena_disown(folio, S16);
    arena_end();
}

static void evicts(unsigned count, struct folio *const *folios, const unsigned *order)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(arena_want(S16, 1), 0);
        assert_int_equal(rig.evictions, i + 1);
        assert_ptr_equal(rig.evicted[i], folios[order[i]]);
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
    arena_begin(UINT64_C(8) * S16);
    assert_int_equal(arena_want(S16, 8), 0);
    for (unsigned i = 0; i < 8; i++) {
        folios[i] = arena_own(S16, 0);
        folios[i]->used = i != 3 && i != 5;
    }
    evicts(2, folios, order);
    /* The hand has passed 0, 1, 2 and 4; comes by 6 and 7 next. */
    assert_int_equal(folios[2]->used + folios[4]->used, 0);
    assert_int_equal(folios[6]->used + folios[7]->used, 2);
    folios[2]->used = 1;
    folios[6]->used = 1;
    memset(rig.evicted, 0, sizeof(rig.evicted));
    rig.evictions = 0;
    evicts(2, folios, order + 2);
    assert_int_equal(folios[7]->used, 0);
    folios[6]->used = 1;
    rig.evictions = 0;
    evicts(4, folios, order + 4);
    assert_int_equal(arena_used(), 8 * S16);
    arena_unreserve_(rig.arena, S16, 8);
    arena_end();
}

/* Used again since it got its second chance: it gives way, rather than that somebody waits. */
static void use_again(struct folio *folio)
{
    arena_note_evicted(folio);
    rig.used_again->used = 1;
}

static void no_mercy(void **state)
{
    struct folio *unused = NULL;

    (void)state;
    memset(&rig, 0, sizeof(rig));
    assert_int_equal(
        arena_create_(UINT64_C(2) * S16, use_again, arena_note_pressed, &rig, &rig.arena), 0);
    assert_int_equal(arena_want(S16, 2), 0);
    rig.used_again = arena_own(S16, 0);
    rig.used_again->used = 1;
    unused = arena_own(S16, 0);
    assert_int_equal(arena_want(S16, 2), 0);
    assert_ptr_equal(rig.evicted[0], unused);
    assert_ptr_equal(rig.evicted[1], rig.used_again);
    assert_int_equal(rig.presses, 0);
    arena_unreserve_(rig.arena, S16, 2);
    arena_end();
}

/* Unlocked, but not anybody's yet. */
static void not_owned(void **state)
{
    struct folio *folio = NULL;

    (void)state;
    arena_begin(S16);
    assert_int_equal(arena_want(S16, 1), 0);
    folio = arena_take_(rig.arena, S16);
    twostate_iolock_release(&folio->lock, TWOSTATE_EXCLUSIVE);
    store(&rig.broken, 1);
    assert_int_equal(arena_want(S16, 1), -EIO);
    assert_int_equal(rig.evictions, 0);
    arena_disown(folio, S16);
    arena_end();
}

/* Pages with memory among the first `bytes` of a size, where its first folio is. */
static uint64_t resident(const char *first, size_t bytes)
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
        arena_begin(LIMIT);
        memset(first, 0, sizeof(first));
        for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            const unsigned kind = (unsigned)__builtin_ctz(sizes[s]) - 12;
            const unsigned count = LIMIT / sizes[s];

            for (unsigned i = 0; i < count; i++) {
                assert_int_equal(arena_want(sizes[s], 1), 0);
                folios[i] = arena_own(sizes[s], s % 4);
                if (first[kind] == NULL)
                    first[kind] = folios[i]->data;
                memset(folios[i]->data, 1, sizes[s]);
                sum = 0;
                for (unsigned k = 0; k < 5 && i % 8 == 0; k++)
                    sum += first[k] ? resident(first[k], LIMIT) : 0;
                assert_true(sum <= LIMIT);
            }
            for (unsigned i = 0; freed && i < count; i++)
                arena_disown(folios[i], sizes[s]);
            assert_int_equal(arena_used(), freed ? 0 : LIMIT);
        }
        if (!freed)
            assert_int_equal(arena_want(S64, LIMIT / S64), 0);
        assert_int_equal(rig.presses, 0);
        if (!freed)
            arena_unreserve_(rig.arena, S64, LIMIT / S64);
        arena_end();
    }
}

/* Where a folio's data is can be told from its place alone, for the first, the last, and all between. */
static void layout_tells_the_data(void **state)
{
    static const uint32_t sizes[] = {S4, 8192, S16, 32768, S64};
    static struct folio *folios[MIB / S4];

    (void)state;
    arena_begin(MIB + 4095); /* not a multiple of any */
    for (unsigned s = 0; s < 5; s++) {
        const unsigned count = (unsigned)(MIB / sizes[s]);
        struct arena_layout layout;

        assert_int_equal(arena_layout_(rig.arena, sizes[s], &layout), 0);
        assert_int_equal(arena_want(sizes[s], count), 0);
        for (unsigned i = 0; i < count; i++) {
            folios[i] = arena_own(sizes[s], 0);
            assert_ptr_equal(folios[i]->data,
                             layout.memory + (size_t)(folios[i] - layout.folios) * sizes[s]);
        }
        for (unsigned i = 0; i < count; i++)
            arena_disown(folios[i], sizes[s]);
    }
    arena_end();
}

/* A large memory evicts some ahead; but only what was not used. */
static void ahead(void **state)
{
    const unsigned count = 16 * MIB / S64;

    (void)state;
    arena_begin(16 * MIB);
    assert_int_equal(arena_want(S64, count), 0);
    for (unsigned i = 0; i < count; i++)
        arena_own(S64, 0)->used = i >= 10;
    assert_int_equal(arena_want(S64, 1), 0);
    assert_int_equal(rig.evictions, 3);
    assert_int_equal(arena_want(S64, 2), 0);
    assert_int_equal(rig.evictions, 3);
    assert_int_equal(arena_want(S64, 7), 0);
    assert_int_equal(rig.evictions, 10);
    arena_unreserve_(rig.arena, S64, 10);
    assert_int_equal(arena_want(S64, count), 0);
    arena_unreserve_(rig.arena, S64, count);
    arena_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),
        cmocka_unit_test(no_address_space),
        cmocka_unit_test(taken),
        cmocka_unit_test(nowait),
        cmocka_unit_test(second_chance),
        cmocka_unit_test(no_mercy),
        cmocka_unit_test(not_owned),
        cmocka_unit_test(sizes_share),
        cmocka_unit_test(layout_tells_the_data),
        cmocka_unit_test(ahead),
    };

    if (twostate_validate_start(TWOSTATE_VALIDATE_STOP, TWOSTATE_RULES_ALL))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
