/* SPDX-License-Identifier: MIT */
/* Packing, and the search for what covers a state. */
#include "store.h"

#include <stddef.h>
#include <string.h>

/* From the earlier round on, a thread can do all that it can do from the later one on. */
static bool covers(const struct script *script, unsigned earlier, unsigned later)
{
    if (script->forever && earlier != later)
        return false;
    for (unsigned i = 0; later + i < script->rounds; i++)
        if (script->menu[later + i] & ~script->menu[earlier + i])
            return false;
    return true;
}

void store_init(struct store *store, const struct program *program)
{
    *store = (struct store){.program = program};
    intern_init(&store->states);
    intern_init(&store->threads);
    for (unsigned i = 0; i < program->threads; i++)
        for (unsigned later = 0; later <= program->script[i].rounds; later++)
            for (unsigned earlier = 0; earlier <= later; earlier++)
                store->later_covered[i][earlier][later] =
                    covers(&program->script[i], earlier, later);
}

void store_free(struct store *store)
{
    intern_free(&store->states);
    intern_free(&store->threads);
}

/* Each thread by number. False: there is none for it, and so no such state. */
static bool pack(struct store *store, const struct world *world, bool add, unsigned char *out,
                 size_t *size)
{
    const size_t words = world_words(store->program) * sizeof(world->word[0]);
    const size_t rest = offsetof(struct world, thread) - offsetof(struct world, shared);
    unsigned char *to = out;

    memcpy(to, world->word, words);
    to += words;
    memcpy(to, &world->shared, rest);
    to += rest;
    for (unsigned i = 0; i < store->program->threads; i++) {
        const struct thread *thread = &world->thread[i];
        bool fresh = false;
        const uint32_t number = add ? intern_put(&store->threads, thread, sizeof(*thread), &fresh)
                                    : intern_find(&store->threads, thread, sizeof(*thread));

        if (number == INTERN_NONE)
            return false;
        memcpy(to, &number, sizeof(number));
        to += sizeof(number);
    }
    *size = (size_t)(to - out);
    return true;
}

void store_get(const struct store *store, uint32_t number, struct world *world)
{
    const size_t words = world_words(store->program) * sizeof(world->word[0]);
    const size_t rest = offsetof(struct world, thread) - offsetof(struct world, shared);
    size_t size = 0;
    const unsigned char *from = intern_get(&store->states, number, &size);

    memset(world, 0, sizeof(*world));
    memcpy(world->word, from, words);
    from += words;
    memcpy(&world->shared, from, rest);
    from += rest;
    for (unsigned i = 0; i < store->program->threads; i++) {
        uint32_t thread = 0;

        memcpy(&thread, from, sizeof(thread));
        from += sizeof(thread);
        memcpy(&world->thread[i], intern_get(&store->threads, thread, &size),
               sizeof(world->thread[i]));
    }
}

uint32_t store_put(struct store *store, struct world *world, bool *fresh)
{
    unsigned char bytes[sizeof(struct world)];
    size_t size = 0;

    world_sort(world, store->program);
    pack(store, world, true, bytes, &size);
    return intern_put(&store->states, bytes, size, fresh);
}

uint32_t store_find(struct store *store, const struct world *world)
{
    struct world sorted = *world;
    unsigned char bytes[sizeof(struct world)];
    size_t size = 0;

    world_sort(&sorted, store->program);
    if (!pack(store, &sorted, false, bytes, &size))
        return STORE_NONE;
    return intern_find(&store->states, bytes, size);
}

/*
 * Threads from i on, each at its own round or at an earlier one that covers it; the earliest first,
 * so that what is found first is not covered itself. Of threads that are equal, it does not matter
 * which: a later one is never at an earlier round.
 */
static uint32_t cover_threads(struct store *store, struct world *world, unsigned i, bool changed)
{
    struct thread *thread = &world->thread[i];
    const struct thread before = *thread;
    const bool like = i > 0 && store->program->like[i] == store->program->like[i - 1];
    unsigned from = 0;
    uint32_t found = STORE_NONE;

    if (i == store->program->threads)
        return changed ? store_find(store, world) : STORE_NONE;
    if (like) {
        struct thread previous = world->thread[i - 1];

        previous.round = before.round;
        if (memcmp(&previous, &before, sizeof(previous)) == 0)
            from = world->thread[i - 1].round < before.round ? world->thread[i - 1].round : 0;
    }
    for (unsigned round = from; round <= before.round && found == STORE_NONE; round++) {
        if (!store->later_covered[i][round][before.round])
            continue;
        thread->round = (uint8_t)round;
        /* If no state has such a thread, none of them is found. */
        if (round < before.round &&
            intern_find(&store->threads, thread, sizeof(*thread)) == INTERN_NONE)
            continue;
        found = cover_threads(store, world, i + 1, changed || round < before.round);
    }
    *thread = before;
    return found;
}

uint32_t store_cover(struct store *store, const struct world *world)
{
    const struct program *program = store->program;
    const unsigned most_splits = program->splits;
    struct world other = *world;
    uint32_t found = STORE_NONE;

    for (unsigned spurious = program->spurious + 1; spurious-- > world->spurious;) {
        for (unsigned splits = most_splits + 1; splits-- > world->splits;) {
            other.spurious = (uint8_t)spurious;
            other.splits = (uint8_t)splits;
            found = cover_threads(store, &other, 0,
                                  spurious > world->spurious || splits > world->splits);
            if (found != STORE_NONE)
                return found;
        }
    }
    return STORE_NONE;
}

unsigned store_rank(const struct store *store, const struct world *world)
{
    unsigned rank = store->program->spurious - world->spurious;

    rank += store->program->splits - world->splits;
    for (unsigned i = 0; i < store->program->threads; i++)
        rank += world->thread[i].round;
    return rank;
}

unsigned store_ranks(const struct program *program)
{
    unsigned ranks = program->spurious + 1;

    if (program->splits != SPLITS_ALL)
        ranks += program->splits;
    for (unsigned i = 0; i < program->threads; i++)
        ranks += program->script[i].rounds;
    return ranks;
}
