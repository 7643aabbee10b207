/* SPDX-License-Identifier: MIT */
/*
 * The check of a file after a crash:
 *
 *   - What was acknowledged as durable is there, or in a cell something newer.
 *   - What was cut off or punched out, and that is durable, is gone: it reads as zeroes.
 *   - Nothing is there that nobody wrote, or that was not yet begun.
 *   - In one block a cell has one version, and a record is there or not.
 *   - The size is not less than what is durable. If it is more, then the last word was written: a
 *     file is not made larger before its data is there. (Before a write that leaves a gap there are
 *     zeroes: the file may end with them, where the write begins, or at a block.)
 *   - The file ends where a write ends, or a block.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_SAID = 8 };

struct record {
    uint32_t words; /* 0: not begun */
    uint32_t found;
    bool durable;
    int64_t start; /* -1: not known */
};

struct check {
    const struct ledger *ledger;
    uint64_t position;
    bool whole;
    bool quiet;
    uint32_t wrong;
    uint32_t *low;          /* of each cell: the version that is durable, */
    uint32_t *high;         /* the last that was begun, */
    uint32_t *zero;         /* and the last that made it zeroes: what zeroes stand for */
    struct record *records; /* by version */
    int64_t least;          /* the size, and in bytes what may be there */
    int64_t most;
    int64_t most_since_cut; /* the same, if the last truncate is durable */
    uint64_t *words;        /* the file */
    int64_t size;
};

static void say(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct check *check, const char *format, ...)
{
    va_list list;

    if (check->wrong++ >= MOST_SAID || check->quiet)
        return;
    va_start(list, format);
    (void)printf("  WRONG: ");
    (void)vprintf(format, list);
    (void)printf("\n");
    va_end(list);
}

static void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (memory == NULL)
        abort();
    return memory;
}

static void at_least(int64_t *value, int64_t is)
{
    if (*value < is)
        *value = is;
}

/* Where the ledger says what should be there. */

static int64_t end_of(const struct check *check, const struct event *event)
{
    return (int64_t)(event->place + event->count) * check->ledger->shape.cell;
}

static void raise_versions(uint32_t *versions, const struct event *event)
{
    for (uint32_t i = 0; i < event->count; i++)
        if (versions[event->place + i] < event->version)
            versions[event->place + i] = event->version;
}

static void submitted(struct check *check, const struct event *event)
{
    if (event->place == RECORD) {
        check->records[event->version] = (struct record){.words = event->count, .start = -1};
        check->most += (int64_t)event->count * WORD;
        return;
    }
    raise_versions(check->high, event);
    at_least(&check->most, end_of(check, event));
    at_least(&check->most_since_cut, end_of(check, event));
}

/* A truncate comes after all writes that were complete, and before all others. */
static void zero_submitted(struct check *check, const struct event *event)
{
    raise_versions(check->zero, event);
    if (event->offset < 0)
        return;
    if (check->least > event->offset)
        check->least = event->offset;
    at_least(&check->most, event->offset);
    check->most_since_cut = event->offset;
}

static void zero_durable(struct check *check, const struct event *event)
{
    raise_versions(check->low, event);
    if (event->offset < 0)
        return;
    at_least(&check->least, event->offset);
    check->most = check->most_since_cut;
}

static void durable(struct check *check, const struct event *event)
{
    if (event->place == RECORD) {
        check->records[event->version].durable = true;
        if (event->offset >= 0)
            at_least(&check->least, event->offset + (int64_t)event->count * WORD);
        return;
    }
    raise_versions(check->low, event);
    at_least(&check->least, end_of(check, event));
}

/* Where the last truncate begins; else from. What was written before says nothing about the size. */
static uint32_t last_cut(const struct check *check, uint32_t from, uint32_t to)
{
    uint32_t cut = from;

    for (uint32_t i = from; i < to; i++)
        if (check->ledger->events[i].kind == EVENT_ZERO && check->ledger->events[i].offset >= 0)
            cut = i;
    return cut;
}

/* All of [from, to) that was complete. */
static void durable_till(struct check *check, uint32_t from, uint32_t to)
{
    const uint32_t cut = last_cut(check, from, to);

    for (uint32_t i = from; i < to; i++) {
        const struct event *event = &check->ledger->events[i];

        if (event->kind == EVENT_COMPLETE && i < cut)
            raise_versions(check->low, event);
        else if (event->kind == EVENT_COMPLETE)
            durable(check, event);
        else if (event->kind == EVENT_ZEROED)
            zero_durable(check, event);
    }
}

static void read_ledger(struct check *check)
{
    const uint32_t count = ledger_count(check->ledger);
    uint32_t synced = 0;

    if (check->ledger->shape.records)
        check->least = check->most = shape_end(&check->ledger->shape);
    for (uint32_t i = 0; i < count; i++) {
        const struct event *event = &check->ledger->events[i];

        if (event->kind == EVENT_LIFE)
            synced = i;
        if (event->position > check->position)
            continue;
        if (event->kind == EVENT_SUBMIT) {
            submitted(check, event);
        } else if (event->kind == EVENT_ZERO) {
            zero_submitted(check, event);
        } else if (event->kind == EVENT_DURABLE) {
            durable(check, event);
        } else if (event->kind == EVENT_SYNCED && event->offset > synced) {
            durable_till(check, synced, (uint32_t)event->offset);
            synced = (uint32_t)event->offset;
        }
    }
}

/* Where records are is told by who appended them, and at the latest by what is found. */
static void place_records(struct check *check)
{
    const uint32_t count = ledger_count(check->ledger);

    for (uint32_t i = 0; i < count; i++) {
        const struct event *event = &check->ledger->events[i];

        if ((event->kind == EVENT_COMPLETE || event->kind == EVENT_DURABLE) &&
            event->place == RECORD && event->offset >= 0)
            check->records[event->version].start = event->offset;
    }
}

/* What is there. */

static bool read_file(struct check *check, int fd)
{
    struct stat st;
    int64_t done = 0;

    if (fstat(fd, &st) < 0)
        return false;
    check->size = st.st_size;
    check->words = zeroed((size_t)(st.st_size + BLOCK), 1);
    while (done < st.st_size) {
        const ssize_t moved =
            pread(fd, (char *)check->words + done, (size_t)(st.st_size - done), done);

        if (moved <= 0)
            return false;
        done += moved;
    }
    return true;
}

static uint64_t word_at(const struct check *check, int64_t offset)
{
    return check->words[offset / WORD];
}

/* Whether the words at this offset and before it come from one request and are in one block. */
static bool torn(const struct check *check, int64_t offset)
{
    return check->whole && offset % BLOCK != 0 && offset > 0 &&
           word_version(word_at(check, offset)) != word_version(word_at(check, offset - WORD));
}

static void check_cell_word(struct check *check, int64_t offset)
{
    const struct shape *shape = &check->ledger->shape;
    const uint32_t cell = (uint32_t)(offset / shape->cell);
    const uint32_t index = (uint32_t)(offset % shape->cell) / WORD;
    const uint64_t word = word_at(check, offset);
    const uint32_t version = word ? word_version(word) : check->zero[cell];

    if (word != 0 && word != word_make(shape, cell, version, index))
        say(check, "offset %" PRId64 " (cell %u): %016" PRIx64 " was never written there", offset,
            cell, word);
    else if (version < check->low[cell])
        say(check, "offset %" PRId64 " (cell %u): version %u, though %u is durable", offset, cell,
            version, check->low[cell]);
    else if (word != 0 && version > check->high[cell])
        say(check, "offset %" PRId64 " (cell %u): version %u, after the last one, %u", offset, cell,
            version, check->high[cell]);
    else if (index > 0 && torn(check, offset))
        say(check, "offset %" PRId64 " (cell %u): torn between versions %u and %u", offset, cell,
            word_version(word_at(check, offset - WORD)), version);
}

static bool known_record(const struct check *check, uint64_t word)
{
    const uint32_t version = word_version(word);

    return version <= check->ledger->version && check->records[version].words > word_index(word) &&
           word == word_make(&check->ledger->shape, RECORD, version, word_index(word));
}

/* It has to go on in the block, and have begun in it. */
static bool record_torn(const struct check *check, int64_t offset)
{
    const struct record *record = &check->records[word_version(word_at(check, offset))];
    const uint32_t index = word_index(word_at(check, offset));
    const int64_t next = offset + WORD;

    if (!check->whole)
        return false;
    if (index > 0 && torn(check, offset))
        return true;
    return index + 1 < record->words && next % BLOCK != 0 && next < check->size &&
           word_version(word_at(check, next)) != word_version(word_at(check, offset));
}

static void check_record_word(struct check *check, int64_t offset)
{
    const uint64_t word = word_at(check, offset);
    const int64_t start = offset - (int64_t)word_index(word) * WORD;
    struct record *record = NULL;

    if (word == 0)
        return;
    if (!known_record(check, word)) {
        say(check, "offset %" PRId64 ": %016" PRIx64 " was never written there", offset, word);
        return;
    }
    record = &check->records[word_version(word)];
    if (record->start < 0)
        record->start = start;
    if (record->start != start)
        say(check, "offset %" PRId64 ": belongs to record %u, which begins at %" PRId64, offset,
            word_version(word), record->start);
    else if (record_torn(check, offset))
        say(check, "offset %" PRId64 ": record %u is torn", offset, word_version(word));
    record->found++;
}

static void check_words(struct check *check)
{
    const int64_t cells = shape_end(&check->ledger->shape);

    for (int64_t offset = 0; offset < check->size; offset += WORD) {
        if (offset < cells)
            check_cell_word(check, offset);
        else
            check_record_word(check, offset);
    }
    for (uint32_t i = 0; i <= check->ledger->version; i++)
        if (check->records[i].durable && check->records[i].found != check->records[i].words)
            say(check, "record %u at %" PRId64 " is durable, but %u of %u words are there", i,
                check->records[i].start, check->records[i].found, check->records[i].words);
}

/* Whether a write could end here, or a part of one. */
static bool could_end(const struct check *check)
{
    const struct shape *shape = &check->ledger->shape;
    const uint64_t last = word_at(check, check->size - WORD);

    if (check->size % BLOCK == 0)
        return true;
    if (check->size <= shape_end(shape))
        return check->size % shape->cell == 0;
    return known_record(check, last) &&
           word_index(last) + 1 == check->records[word_version(last)].words;
}

/* Whether zeroes may end the file here: before a write that left a gap, or what was punched. */
static bool zeroes_could_end(const struct check *check)
{
    const struct shape *shape = &check->ledger->shape;
    const uint32_t count = ledger_count(check->ledger);

    if (shape->records || check->size > shape_end(shape))
        return false;
    if (check->size % BLOCK == 0 || check->zero[(check->size - WORD) / shape->cell])
        return true;
    for (uint32_t i = 0; i < count; i++) {
        const struct event *event = &check->ledger->events[i];

        if ((event->kind == EVENT_SUBMIT || event->kind == EVENT_ZERO) &&
            (int64_t)event->place * shape->cell == check->size)
            return true;
    }
    return false;
}

static void check_size(struct check *check)
{
    if (check->size < check->least)
        say(check, "size %" PRId64 ", though %" PRId64 " is durable", check->size, check->least);
    if (check->size > check->most)
        say(check, "size %" PRId64 ", but only %" PRId64 " were written", check->size, check->most);
    if (check->size <= check->least || check->size < WORD)
        return;
    if (word_at(check, check->size - WORD) == 0 && !zeroes_could_end(check))
        say(check, "size %" PRId64 ", but its last word was not written", check->size);
    else if (check->size % WORD || !could_end(check))
        say(check, "size %" PRId64 ": nothing ends there", check->size);
}

uint32_t verify(const struct ledger *ledger, uint64_t position, int fd, bool whole, bool quiet)
{
    const uint32_t cells = ledger->shape.cells;
    struct check check = {
        .ledger = ledger,
        .position = position,
        .whole = whole,
        .quiet = quiet,
        .low = zeroed(cells, sizeof(uint32_t)),
        .high = zeroed(cells, sizeof(uint32_t)),
        .zero = zeroed(cells, sizeof(uint32_t)),
        .records = zeroed((size_t)ledger->version + 1, sizeof(struct record)),
    };

    read_ledger(&check);
    place_records(&check);
    if (read_file(&check, fd)) {
        check_size(&check);
        check_words(&check);
    } else {
        say(&check, "the file can't be read");
    }
    free(check.words);
    free(check.records);
    free(check.zero);
    free(check.high);
    free(check.low);
    return check.wrong;
}
