/* SPDX-License-Identifier: MIT */
/* Range locks: stripes of the file, hashed to slots by their number, always taken in slot order. */
#include "range.h"

#include <twostate/class.h>

/* Those of one file are taken in slot order, those of two files never together. */
static const struct twostate_class range_class = {.name = "range", .ordered = true};

/* A range's stripes in slot order: [0, low_end) where it wraps round, then [first, first + high).
 */
struct slots {
    unsigned low_end;
    unsigned first;
    unsigned high_end;
};

static struct slots slots_of(int64_t offset, int64_t length)
{
    const int64_t first = offset / RANGE_STRIPE;
    const int64_t last = (offset + (length - 1)) / RANGE_STRIPE;
    const unsigned start = (unsigned)(first % RANGE_SLOTS);
    const unsigned end = start + (unsigned)(last - first) + 1;

    if (end <= RANGE_SLOTS)
        return (struct slots){.first = start, .high_end = end};
    return (struct slots){.low_end = end - RANGE_SLOTS, .first = start, .high_end = RANGE_SLOTS};
}

void range_init_(struct range_locks *locks)
{
    for (unsigned i = 0; i < RANGE_SLOTS; i++)
        (void)twostate_iolock_set_class(&locks->slots[i],
                                        &range_class); /* without, if there are too many */
}

static unsigned step(const struct slots *slots, unsigned slot)
{
    return slot + 1 == slots->low_end ? slots->first : slot + 1;
}

static void unlock_until(struct range_locks *locks, const struct slots *slots, unsigned end,
                         enum twostate_iomode mode)
{
    for (unsigned i = slots->low_end ? 0 : slots->first; i != end; i = step(slots, i))
        twostate_iolock_release(&locks->slots[i], mode);
}

bool range_lock_(struct range_locks *locks, int64_t offset, int64_t length,
                 enum twostate_iomode mode, bool nowait)
{
    const struct slots slots = slots_of(offset, length);

    for (unsigned i = slots.low_end ? 0 : slots.first; i != slots.high_end; i = step(&slots, i)) {
        if (!nowait) {
            twostate_iolock_acquire(&locks->slots[i], mode);
        } else if (!twostate_iolock_try_acquire(&locks->slots[i], mode)) {
            unlock_until(locks, &slots, i, mode);
            return false;
        }
    }
    return true;
}

void range_unlock_(struct range_locks *locks, int64_t offset, int64_t length,
                   enum twostate_iomode mode)
{
    const struct slots slots = slots_of(offset, length);

    unlock_until(locks, &slots, slots.high_end, mode);
}
