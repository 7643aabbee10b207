/* SPDX-License-Identifier: MIT */
/* The check of a file after a crash is checked: by ledgers and files made by hand, right ones and wrong ones. */
#include "verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* Cells of a block; no records. A log position is the number of the event. */
static const struct shape shape = {.cell = BLOCK, .cells = 8, .run = 1, .threads = 1, .salt = 7};

static struct ledger *ledger;
static int file;

static int enter(void **state)
{
    (void)state;
    ledger = ledger_new(64);
    ledger_clear(ledger, &shape);
    file = memfd_create("file", 0);
    return file < 0;
}

static int leave(void **state)
{
    (void)state;
    ledger_free(ledger);
    return close(file);
}

static void note(uint32_t kind, uint32_t place, uint32_t count, uint32_t version, int64_t offset)
{
    const struct event event = {.kind = kind,
                                .place = place,
                                .count = count,
                                .version = version,
                                .offset = offset,
                                .position = ledger_count(ledger)};

    assert_true(ledger_add(ledger, event));
}

/* All cells are written, and durable. */
static uint32_t written(void)
{
    const uint32_t version = ledger_version(ledger);

    note(EVENT_SUBMIT, 0, shape.cells, version, -1);
    note(EVENT_DURABLE, 0, shape.cells, version, -1);
    return version;
}

/* The file is cut off where `cells` cells end. */
static uint32_t cut_begins(uint32_t cells)
{
    const uint32_t version = ledger_version(ledger);

    note(EVENT_ZERO, cells, shape.cells - cells, version, (int64_t)cells * BLOCK);
    return version;
}

static void cut_ends(uint32_t cells, uint32_t version)
{
    note(EVENT_ZEROED, cells, shape.cells - cells, version, (int64_t)cells * BLOCK);
}

static void synced(void)
{
    note(EVENT_SYNCED, 0, 0, 0, ledger_count(ledger));
}

/* What the crash has left: cells of these versions, 0 for zeroes. */
static void put(uint32_t first, uint32_t count, uint32_t version)
{
    uint64_t words[BLOCK / WORD] = {0};

    for (uint32_t cell = first; cell < first + count; cell++) {
        for (uint32_t i = 0; version && i < BLOCK / WORD; i++)
            words[i] = word_make(&shape, cell, version, i);
        assert_int_equal(pwrite(file, words, sizeof(words), (off_t)cell * BLOCK), sizeof(words));
    }
}

static void cells(uint32_t count, uint32_t version)
{
    assert_int_equal(ftruncate(file, 0), 0);
    put(0, count, version);
}

/* After a crash when so many events had happened. */
static bool accepted_at(uint32_t events)
{
    return verify(ledger, events - 1, file, true, true) == 0;
}

static bool accepted(void)
{
    return accepted_at(ledger_count(ledger));
}

/* A cut that has begun, or ended, but was not synced, has happened or not, whole. */
static void not_durable(void **state)
{
    const uint32_t version = written();
    const uint32_t cut = cut_begins(5);

    (void)state;
    for (int ended = 0; ended < 2; ended++) {
        cells(8, version);
        assert_true(accepted());
        cells(5, version);
        assert_true(accepted());
        cells(4, version); /* it takes no more than it was to */
        assert_false(accepted());
        cells(8, version);
        put(6, 1, 0); /* gone, but the size says that it is not */
        assert_true(accepted());
        put(4, 1, 0);
        assert_false(accepted());
        if (!ended)
            cut_ends(5, cut);
    }
}

/* Not before it has begun. */
static void not_begun(void **state)
{
    const uint32_t version = written();
    const uint32_t before = ledger_count(ledger);

    (void)state;
    cut_ends(5, cut_begins(5));
    synced();
    cells(8, version);
    assert_true(accepted_at(before));
    cells(5, version);
    assert_false(accepted_at(before));
    assert_true(accepted());
}

/* Once synced it has happened: the file is no longer, and nothing of what was cut off is there. */
static void durable_cut(void **state)
{
    const uint32_t version = written();

    (void)state;
    cut_ends(5, cut_begins(5));
    cells(8, version);
    assert_true(accepted());
    synced();
    assert_false(accepted());
    cells(6, version);
    assert_false(accepted());
    cells(5, version);
    assert_true(accepted());
    put(5, 1, 0); /* as zeroes it is not there either, but the size is wrong */
    assert_false(accepted());
    cells(4, version);
    assert_false(accepted());
}

/* A larger size reads as zeroes; what was cut off before does not come back in it. */
static void grown_again(void **state)
{
    const uint32_t version = written();
    uint32_t grown = 0;

    (void)state;
    cut_ends(2, cut_begins(2));
    synced();
    grown = cut_begins(8);
    cells(2, version);
    assert_true(accepted());
    put(2, 6, 0);
    assert_true(accepted());
    cut_ends(8, grown);
    synced();
    cells(2, version);
    assert_false(accepted());
    put(2, 6, 0);
    assert_true(accepted());
    put(7, 1, version);
    assert_false(accepted());
    put(7, 1, 0);
    assert_true(accepted());
}

/* What is written after a cut may make the file longer, as far as it goes; what was before does not count. */
static void written_after(void **state)
{
    const uint32_t version = written();
    uint32_t newer = 0;

    (void)state;
    cut_ends(4, cut_begins(4));
    synced();
    newer = ledger_version(ledger);
    note(EVENT_SUBMIT, 4, 2, newer, -1);
    cells(4, version);
    assert_true(accepted());
    put(4, 2, newer);
    assert_true(accepted());
    put(6, 1, version);
    assert_false(accepted());
    note(EVENT_COMPLETE, 4, 2, newer, -1);
    cells(4, version);
    assert_true(accepted());
    synced();
    assert_false(accepted());
    put(4, 2, version); /* cut off, and not what was written then */
    assert_false(accepted());
    put(4, 2, newer);
    assert_true(accepted());
}

/* Begun before the cut was synced, too. */
static void written_meanwhile(void **state)
{
    const uint32_t version = written();
    uint32_t newer = 0;

    (void)state;
    cut_ends(4, cut_begins(4));
    newer = ledger_version(ledger);
    note(EVENT_SUBMIT, 4, 2, newer, -1);
    synced();
    cells(4, version);
    assert_true(accepted());
    put(4, 2, newer);
    assert_true(accepted());
    put(6, 1, 0);
    assert_false(accepted());
}

/* A sync that began before the cut had ended says nothing of it. */
static void synced_before(void **state)
{
    const uint32_t version = written();
    const uint32_t cut = cut_begins(3);
    const uint32_t before = ledger_count(ledger);

    (void)state;
    cut_ends(3, cut);
    note(EVENT_SYNCED, 0, 0, 0, before);
    cells(8, version);
    assert_true(accepted());
    cells(3, version);
    assert_true(accepted());
    synced();
    assert_true(accepted());
    cells(8, version);
    assert_false(accepted());
}

/* A write that was complete before a cut, and synced after: it keeps no size that the cut took. */
static void complete_before(void **state)
{
    const uint32_t version = ledger_version(ledger);

    (void)state;
    note(EVENT_SUBMIT, 0, 8, version, -1);
    note(EVENT_COMPLETE, 0, 8, version, -1);
    cut_ends(3, cut_begins(3));
    synced();
    cells(3, version);
    assert_true(accepted());
    cells(3, 0);
    assert_false(accepted());
    cells(8, version);
    assert_false(accepted());
}

/* A hole moves no end. */
static void hole(void **state)
{
    const uint32_t version = written();
    const uint32_t zero = ledger_version(ledger);

    (void)state;
    note(EVENT_ZERO, 2, 3, zero, -1);
    cells(8, version);
    assert_true(accepted());
    put(2, 3, 0);
    assert_true(accepted());
    note(EVENT_ZEROED, 2, 3, zero, -1);
    synced();
    assert_true(accepted());
    put(3, 1, version);
    assert_false(accepted());
    put(3, 1, 0);
    put(5, 1, 0);
    assert_false(accepted());
    cells(7, version);
    put(2, 3, 0);
    assert_false(accepted());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)
    const struct CMUnitTest tests[] = {
        TEST(not_durable),   TEST(not_begun),       TEST(durable_cut),
        TEST(grown_again),   TEST(written_after),   TEST(written_meanwhile),
        TEST(synced_before), TEST(complete_before), TEST(hole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
