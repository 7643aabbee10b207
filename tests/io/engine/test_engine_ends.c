/* SPDX-License-Identifier: MIT */
/* Requests at the ends of folios, of the file, and of the cache's memory: all of which is fetched ahead. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET (4 * MIB)

/* A file as large as the memory, so that the last folio in memory is somewhere in it; and a model. */
struct ends {
    struct twostate_engine *engine;
    struct twostate_file *file;
    struct scratch scratch;
    char *model;
    char *data;
    char next; /* byte to be written */
};

static void begin(struct ends *e, unsigned folio)
{
    const struct twostate_engine_options options = {
        .cache_bytes = BUDGET, .dirty_percent = 90, .writeback_ms = 3600000};
    const struct twostate_file_options user = {.cache = TWOSTATE_CACHE_USER, .folio = folio};

    *e = (struct ends){.model = calloc(1, BUDGET), .data = memory_new(MIB + 1)};
    CHECK(e->model);
    scratch_open(&e->scratch);
    CHECK(twostate_engine_create(&options, &e->engine) == 0);
    CHECK(twostate_file_open_with(e->engine, e->scratch.path, O_RDWR, 0, &user, &e->file) == 0);
    CHECK(twostate_truncate(e->file, (int64_t)BUDGET) == 0);
    /* Neighbours in memory are none in the file. */
    for (int64_t at = (int64_t)BUDGET - folio; at >= 0; at -= folio)
        assert_int_equal(twostate_pread(e->file, e->data, 1, at, 0), 1);
}

static void end(struct ends *e)
{
    for (int64_t at = 0; at < (int64_t)BUDGET; at += (int64_t)MIB) {
        assert_int_equal(twostate_pread(e->file, e->data, MIB, at, 0), MIB);
        assert_memory_equal(e->data, e->model + at, MIB);
    }
    assert_int_equal(twostate_file_close(e->file), 0);
    assert_int_equal(twostate_engine_destroy(e->engine), 0);
    scratch_close(&e->scratch);
    free(e->model);
    free(e->data);
}

/* Writes [from, to), and reads it with a byte on each side; of what the file has of it. */
static void touch(struct ends *e, int64_t from, int64_t to)
{
    const int64_t low = from > 0 ? from - 1 : 0;
    const int64_t high = to < (int64_t)BUDGET ? to + 1 : (int64_t)BUDGET;

    if (from < 0 || to > (int64_t)BUDGET || from >= to)
        return;
    e->next = (char)(e->next % 100 + 1);
    memset(e->model + from, e->next, (size_t)(to - from));
    assert_int_equal(twostate_pwrite(e->file, e->model + from, (size_t)(to - from), from, 0),
                     to - from);
    assert_int_equal(twostate_pread(e->file, e->data, MIB + 1, low, 0),
                     low + (int64_t)MIB + 1 < (int64_t)BUDGET ? (int64_t)MIB + 1
                                                              : (int64_t)BUDGET - low);
    assert_memory_equal(e->data, e->model + low, (size_t)(high - low));
}

static void at_ends(void **state)
{
    static const int64_t lengths[] = {1, 8, 63, 64, 65, 256, 257, 4095, 4096, 4097};

    (void)state;
    for (unsigned folio = 4096; folio <= 65536; folio *= 4) {
        const int64_t size = folio;
        const int64_t edges[] = {
            0, size, 2 * size, (int64_t)BUDGET / 2, (int64_t)BUDGET - size, (int64_t)BUDGET};
        struct ends e;

        begin(&e, folio);
        for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
            for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
                touch(&e, edges[i], edges[i] + lengths[k]);
                touch(&e, edges[i] - lengths[k], edges[i]);
                touch(&e, edges[i] - lengths[k], edges[i] + lengths[k]);
            }
        }
        end(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
