/* SPDX-License-Identifier: MIT */
/*
 * Making scripts: random operations whose offsets and lengths are near the ends of blocks, folios,
 * pieces and the file.
 *
 * Each script has a mood: kinds it leaves out, lengths and files it prefers. Scripts in which
 * everything is as likely as everywhere else are all alike, and what takes three rare things in a
 * row never happens. Nothing depends on what the engine answers, so a seed is a script for ever.
 */
#include "script.h"
#include "util.h"

#include <fcntl.h>
#include <linux/falloc.h>

#include <twostate/io.h>

struct mood {
    uint64_t random;
    uint32_t weights[OP_KIND_COUNT];
    uint32_t total;
    int64_t lengths[4]; /* ends to choose one below */
    uint32_t direct;    /* of 8 */
    uint32_t async;
    uint32_t nowait;
    uint32_t second;  /* of 8 operations, that are on the second file */
    int64_t sizes[2]; /* what they would be if all were done */
    int64_t ends[2];  /* of the last transfer */
    uint32_t on;      /* of 8 reads and writes, that go on there */
    int64_t most;
    int64_t folio;
    unsigned caches;
};

static uint32_t below(struct mood *m, uint32_t end)
{
    return random_below(&m->random, end);
}

static int64_t below_long(struct mood *m, int64_t end)
{
    return (int64_t)(random_next(&m->random) >> 1) % end;
}

/* A number below `end`, most often near a boundary of something. */
static int64_t near(struct mood *m, int64_t file, int64_t end)
{
    const int64_t grains[] = {1, 512, 4096, 4096, m->folio, 65536, MIB};
    const int64_t grain = grains[below(m, 7)];
    int64_t value = below_long(m, end);

    switch (below(m, 5)) {
    case 0:
        value = m->sizes[file] + below(m, 5) - 2;
        break;
    case 1:
        value = value / grain * grain + below(m, 3) - 1;
        break;
    case 2:
        break;
    default:
        value = value / grain * grain;
    }
    return value < 0 ? 0 : value < end ? value : end - 1;
}

/* Where a transfer begins: where the last one ended, or anywhere. */
static int64_t choose_start(struct mood *m, int64_t file, int64_t end)
{
    if (m->ends[file] < end && below(m, 8) < m->on)
        return m->ends[file];
    return near(m, file, end);
}

static int64_t choose_length(struct mood *m, int64_t file)
{
    int64_t length = near(m, file, m->lengths[below(m, 4)]);

    if (length == 0 && below(m, 10))
        length = 1 + below_long(m, 8192);
    return length < LENGTH_MOST ? length : LENGTH_MOST;
}

static void choose_memory(struct mood *m, struct op *op)
{
    const int64_t grains[] = {0, 512, 4096};
    const int64_t pieces[] = {1, 6, 7, 8, 60, 1023};

    op->grain = grains[below(m, 3)];
    op->pieces = below(m, 3) ? 0 : pieces[below(m, 6)];
    op->shift = below(m, 4) ? 0 : below(m, 2) ? below(m, 8) * 512 : below(m, 4096);
    op->data = below(m, 65536);
}

static void choose_flags(struct mood *m, struct op *op, bool write)
{
    op->flags |= below(m, 8) < m->direct ? TWOSTATE_IO_DIRECT : 0;
    op->flags |= below(m, 8) < m->nowait ? TWOSTATE_IO_NOWAIT : 0;
    op->flags |= below(m, 6) ? 0 : TWOSTATE_IO_DONTCACHE;
    if (write) {
        op->flags |= below(m, 60) ? 0 : TWOSTATE_IO_DSYNC;
        op->flags |= below(m, 12) ? 0 : TWOSTATE_IO_APPEND;
    }
    op->async = below(m, 8) < m->async;
}

static int64_t fit(const struct mood *m, int64_t offset, int64_t length)
{
    return offset + length > m->most ? m->most - offset : length;
}

static void grow(struct mood *m, int64_t file, int64_t size)
{
    if (m->sizes[file] < size)
        m->sizes[file] = size;
}

static void make_write(struct mood *m, struct op *op)
{
    choose_flags(m, op, true);
    choose_memory(m, op);
    if (op->kind == OP_append || (op->flags & TWOSTATE_IO_APPEND)) {
        op->length = fit(m, m->sizes[op->file], choose_length(m, op->file));
        m->sizes[op->file] += op->length;
        return;
    }
    op->offset = choose_start(m, op->file, m->most);
    op->length = fit(m, op->offset, choose_length(m, op->file));
    m->ends[op->file] = op->offset + op->length;
    if (op->length)
        grow(m, op->file, op->offset + op->length);
}

static void make_fallocate(struct mood *m, struct op *op)
{
    const int modes[] = {0,
                         FALLOC_FL_KEEP_SIZE,
                         FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         FALLOC_FL_ZERO_RANGE,
                         FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                         FALLOC_FL_COLLAPSE_RANGE,
                         FALLOC_FL_INSERT_RANGE,
                         FALLOC_FL_UNSHARE_RANGE};

    op->mode = modes[below(m, 9)];
    op->offset = near(m, op->file, m->most);
    op->length = fit(m, op->offset, choose_length(m, op->file) + 1);
    if (op->mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) {
        const int64_t size = m->sizes[op->file];

        op->offset = size / 4096 ? below_long(m, size / 4096) * 4096 : 0;
        op->length = (op->length + 4095) / 4096 * 4096;
        if (op->mode == FALLOC_FL_COLLAPSE_RANGE && op->offset + op->length < size)
            m->sizes[op->file] -= op->length;
        else if (op->mode == FALLOC_FL_INSERT_RANGE && size + op->length <= m->most)
            m->sizes[op->file] += op->length;
    } else if (!(op->mode & FALLOC_FL_KEEP_SIZE)) {
        grow(m, op->file, op->offset + op->length);
    }
}

static void make_remap(struct mood *m, struct op *op)
{
    op->other = below(m, 2);
    op->offset = near(m, op->file, m->most);
    op->to = near(m, op->other, m->most);
    op->length = fit(m, op->to, choose_length(m, op->file));
    if (below(m, 2)) { /* so that blocks can be shared */
        op->offset = op->offset / 4096 * 4096;
        op->to = op->to / 4096 * 4096;
        op->length = op->length / 4096 * 4096;
    }
    if (op->offset < m->sizes[op->file])
        grow(m, op->other, op->to + fit(m, op->to, op->length));
}

static int64_t choose_folio(struct mood *m)
{
    return INT64_C(4096) << below(m, 5);
}

static int64_t choose_bit(struct mood *m, unsigned bits)
{
    unsigned bit = 0;

    do {
        bit = below(m, 8);
    } while (!(bits & 1U << bit));
    return bit;
}

static void make_op(struct mood *m, struct op *op)
{
    uint32_t ticket = below(m, m->total);
    unsigned kind = 0;

    while (ticket >= m->weights[kind])
        ticket -= m->weights[kind++];
    *op = (struct op){.kind = (enum op_kind)kind, .file = below(m, 8) < m->second};
    switch (op->kind) {
    case OP_read:
        choose_flags(m, op, false);
        choose_memory(m, op);
        op->offset = choose_start(m, op->file, m->most + 10000);
        op->length = choose_length(m, op->file);
        m->ends[op->file] = op->offset + op->length;
        break;
    case OP_write:
    case OP_append:
        make_write(m, op);
        break;
    case OP_truncate:
        op->length = m->sizes[op->file] = near(m, op->file, m->most);
        break;
    case OP_fallocate:
        make_fallocate(m, op);
        break;
    case OP_remap:
        make_remap(m, op);
        break;
    case OP_seek:
        op->offset = near(m, op->file, m->most);
        op->mode = below(m, 2);
        break;
    case OP_fsync:
        op->async = below(m, 2);
        break;
    case OP_check:
        op->flags = below(m, 2) ? TWOSTATE_IO_DIRECT : 0;
        break;
    case OP_reopen:
        op->cache = choose_bit(m, m->caches);
        op->folio = choose_folio(m);
        break;
    case OP_cancel:
        op->data = below(m, 4);
        break;
    case OP_fdatasync:
    case OP_wait:
    case OP_KIND_COUNT:
        break;
    }
}

static const int64_t kind_weights[OP_KIND_COUNT] = {
#define X(name, weight) weight,
    OP_KINDS(X)
#undef X
};

static void choose_mood(struct mood *m)
{
    const int64_t mosts[] = {20000, 130000, 130000, 500000, 2 * MIB, 8 * MIB, 8 * MIB};
    const int64_t ends[] = {2, 700, 9000, 9000, 9000, 20000, 70000};

    m->most = mosts[below(m, 7)];
    for (unsigned i = 0; i < OP_KIND_COUNT; i++) {
        m->weights[i] = (uint32_t)kind_weights[i] * 4;
        if (i != OP_read && i != OP_write)
            m->weights[i] = m->weights[i] * below(m, 4) / 2;
        m->total += m->weights[i];
    }
    for (unsigned i = 0; i < 4; i++)
        m->lengths[i] = ends[below(m, 7)];
    if (below(m, 12) == 0)
        m->lengths[0] = below(m, 2) ? MIB + 2 : LENGTH_MOST;
    m->direct = below(m, 6);
    m->async = below(m, 2) ? below(m, 8) : 0;
    m->nowait = below(m, 2) ? below(m, 3) : 0;
    m->second = below(m, 4);
    m->on = below(m, 3) ? below(m, 3) : 7;
}

void script_make(struct script *script, uint64_t seed, const struct choice *choice, size_t most)
{
    const int64_t bases[] = {
        0, 0, 0, 0, 0, 2 * KIB * MIB - 65536, 4 * KIB * MIB - 8192, (int64_t)MIB * MIB};
    const int64_t waits[] = {1, 20, 100, 5000};
    const int64_t percents[] = {1, 10, 40, 90};
    struct mood m = {.random = seed, .caches = choice->caches};
    struct setup *setup = &script->setup;
    const size_t count = 100 + below(&m, 900) + (below(&m, 4) ? 0 : below(&m, 3000));

    choose_mood(&m);
    *setup = (struct setup){
        .backend = choose_bit(&m, choice->backends),
        .queue_depth = below(&m, 2) ? 0 : 1 + below(&m, 8),
        .workers = below(&m, 2) ? 0 : 1 + below(&m, 8),
        .requests = below(&m, 8) ? 0 : 1 + below(&m, 8),
        .polled = below(&m, 4) == 0,
        .cache_bytes = (4 + (below(&m, 2) ? 0 : below(&m, 5))) * MIB,
        .dirty_percent = percents[below(&m, 4)],
        .writeback_ms = waits[below(&m, 4)],
        .cache = choose_bit(&m, choice->caches),
        .folio = choose_folio(&m),
        .base = bases[below(&m, 8)],
        .most = m.most,
        .reorder = below(&m, 4) ? 0 : 1 + below(&m, 1000),
    };
    if (m.most > setup->cache_bytes && below(&m, 2)) /* a file that the cache can't hold */
        setup->folio = 65536;
    m.folio = setup->folio;
    script->count = count < most ? count : most;
    for (size_t i = 0; i < script->count; i++)
        make_op(&m, &script->ops[i]);
}
