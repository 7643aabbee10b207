/* SPDX-License-Identifier: MIT */
/* What a holder does, and checks, while it holds: see torture.h. */
#include "torture.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

struct entry *entry_new(void)
{
    for (;;) {
        for (int i = 0; i < ENTRY_GRANT; i++)
            if (load(&self->entries[i].status) == ENTRY_FREE)
                return &self->entries[i];
        if (!entries_adopt(self))
            sched_yield(); /* somebody is just giving one back */
    }
}

static void check_alone(const struct place *place, enum mode mode)
{
    for (unsigned other = 0; other < MODES; other++) {
        const uint32_t inside = __atomic_load_n(&place->inside[other], __ATOMIC_RELAXED);

        if (other != mode && inside != 0)
            found("G1: it is held in two ways at the same time");
        if (other == mode && inside > 1 && (torture.subject->alone & 1U << mode) != 0)
            found("G1: two hold what one may hold");
    }
}

static void count_in(struct place *place, enum mode mode)
{
    __atomic_fetch_add(&place->inside[mode], 1, __ATOMIC_RELAXED);
    check_alone(place, mode);
}

static void count_out(struct place *place, enum mode mode)
{
    __atomic_fetch_sub(&place->inside[mode], 1, __ATOMIC_RELAXED);
}

/* Drains pass while it is frozen, so they need not see the end of a freeze. */
static void mark(struct entry *entry)
{
    const uint64_t number = (uint64_t)(entry->place - torture.places);
    const bool drained = entry->hold->mode == MODE_FROZEN;

    self->serials++;
    __atomic_store_n(&entry->serial, 1 + number + PLACES * (self->serials * 2 + drained),
                     __ATOMIC_RELAXED);
}

static bool must_end(uint64_t serial, const struct place *place)
{
    return serial != 0 && (serial - 1) % PLACES == (uint64_t)(place - torture.places) &&
           (serial - 1) / PLACES % 2 == 0;
}

void entry_enter(struct entry *entry, struct place *place, struct hold *hold)
{
    entry->place = place;
    entry->hold = hold;
    count_in(place, hold->mode);
    mark(entry);
    store(&entry->status, ENTRY_HELD);
}

/* Plain memory, so that ThreadSanitizer checks G11. */
static void use_cells(struct place *place, enum mode mode)
{
    const uint32_t count = torture.threads + SIDE_THREADS;
    unsigned long sum = 0;

    if (torture.subject->alone & 1U << mode)
        place->alone++;
    else
        sum = place->alone;
    if (mode == MODE_A) {
        place->cells[self->number]++;
        if (sum != place->alone && torture.subject->alone != 0)
            found("G11: data changed while it was held shared");
    } else if (below(4) == 0) {
        sum = 0;
        for (uint32_t i = 0; i < count; i++)
            sum += place->cells[i];
        for (uint32_t i = 0; i < count; i++)
            sum -= place->cells[i];
        if (sum != 0)
            found("G11: data of state A changed while it was held otherwise");
    }
}

static void check_view(const struct entry *entry)
{
    const struct view view = torture.subject->look(entry->place->object);

    if (view.mode != entry->hold->mode || view.holds < entry->hold->n)
        found("a query does not see the hold");
    if ((torture.subject->alone & 1U << view.mode) != 0 && view.holds != 1)
        found("a query sees two hold what one may hold");
}

void entry_stay(struct entry *entry)
{
    const uint32_t how = below(torture.pace);

    use_cells(entry->place, entry->hold->mode);
    if (how == 0)
        usleep(100);
    else if (how % 64 < 16)
        sched_yield();
    if (how % 8 == 5)
        check_view(entry);
    check_alone(entry->place, entry->hold->mode);
}

void entry_leave(struct entry *entry)
{
    check_alone(entry->place, entry->hold->mode);
    __atomic_store_n(&entry->serial, 0, __ATOMIC_RELAXED);
    count_out(entry->place, entry->hold->mode);
}

/* Many holds go back in one step, one by one, or in pieces. */
static void give_back(union object *object, struct hold *hold)
{
    while (hold->n > 0) {
        const uint32_t n = hold->n > 1 && below(2) == 0 ? 1 + below(hold->n) : hold->n;

        hold->n -= n;
        torture.subject->give(object, hold, n);
    }
}

void entry_end(struct entry *entry)
{
    union object *object = entry->place->object;

    entry_leave(entry);
    doing("gives back", entry->place);
    give_back(object, entry->hold);
    store(&entry->status, ENTRY_FREE);
}

/* Ends what another thread, or this one, left to whoever finds it. */
bool entries_adopt(struct worker *other)
{
    const bool before = self->for_others;
    bool some = false;

    self->for_others = true;
    for (int i = 0; i < ENTRY_GRANT; i++) {
        uint32_t status = ENTRY_LEFT;

        if (load(&other->entries[i].status) == ENTRY_LEFT &&
            __atomic_compare_exchange_n(&other->entries[i].status, &status, ENTRY_TAKEN, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            entry_end(&other->entries[i]);
            some = true;
        }
    }
    self->for_others = before;
    return some;
}

/* Others may come in with the change, so the hold is out of the count before, not after. */
void entry_change(struct entry *entry, enum mode to, enum how how)
{
    const bool frozen = entry->hold->mode == MODE_FROZEN;
    const struct timespec deadline = any_deadline();
    int result = 0;

    count_out(entry->place, entry->hold->mode);
    doing("changes its hold", entry->place);
    result = torture.subject->change(entry->place->object, entry->hold, to, how, &deadline);
    if (result == 0) {
        entry->hold->mode = to;
        if (frozen)
            mark(entry);
    } else if ((how == HOW_WAIT || result != (how == HOW_TRY ? -EAGAIN : -ETIMEDOUT)) &&
               result != -EDEADLK && result != -ENOTSUP) {
        found("a change of the hold failed for no reason");
    }
    count_in(entry->place, entry->hold->mode);
}

void drain_begins(const struct place *place, struct drain_check *check)
{
    const uint32_t count = torture.threads + SIDE_THREADS;

    for (uint32_t i = 0; i < count * ENTRIES; i++) {
        const uint64_t *serial = &torture.workers[i / ENTRIES].entries[i % ENTRIES].serial;
        const uint64_t value = __atomic_load_n(serial, __ATOMIC_RELAXED);

        check->serials[i] = must_end(value, place) ? value : 0;
    }
}

void drain_returned(const struct drain_check *check)
{
    const uint32_t count = torture.threads + SIDE_THREADS;

    for (uint32_t i = 0; i < count * ENTRIES; i++) {
        const uint64_t *serial = &torture.workers[i / ENTRIES].entries[i % ENTRIES].serial;

        if (check->serials[i] != 0 &&
            __atomic_load_n(serial, __ATOMIC_RELAXED) == check->serials[i])
            found("G8: a drain returned before a hold had ended");
    }
}
