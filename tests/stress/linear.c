/* SPDX-License-Identifier: MIT */
/* The search for a linear order: see linear.h. */
#include "linear.h"

#include <stdio.h>

#define MOST_SETS ((size_t)1 << 18)

/* Pending calls that had their effect, and the lock as that leaves it. */
struct set {
    uint64_t calls;
    struct sequential lock;
};

struct sets {
    struct set *set;
    size_t count;
};

struct search {
    unsigned alone;
    uint64_t pending;
    uint64_t free;       /* pending calls that change nothing and keep nothing from others */
    uint64_t waiting[3]; /* pending calls that may wait, by group */
    struct call calls[LINEAR_SLOTS];
    struct sets now, next, todo;
    uint32_t round;
    size_t in_round;
    struct linear_result result;
};

/* Not allocated for each search: few use more than the beginning of it. */
static struct set memory[3][MOST_SETS];
static uint64_t seen[2 * MOST_SETS];    /* a hash table of sets, by their calls */
static uint32_t seen_in[2 * MOST_SETS]; /* the round of each entry */
static uint32_t last_round;

static uint64_t bit(unsigned slot)
{
    return UINT64_C(1) << slot;
}

static bool may_be_kept(const struct search *search, const struct set *set, unsigned group)
{
    uint64_t others = 0;

    for (unsigned g = 0; g < 3; g++)
        if (g != group)
            others |= search->waiting[g];
    return (others & ~set->calls) != 0;
}

static bool step(const struct search *search, struct set *set, unsigned slot)
{
    const struct call *call = &search->calls[slot];
    const bool kept = may_be_kept(search, set, call_group(call));

    if (!sequential_step(&set->lock, call, search->alone, kept))
        return false;
    set->calls |= bit(slot);
    return true;
}

/* To have had its point can only help a call that changes nothing and keeps nothing from others. */
static void settle(const struct search *search, struct set *set)
{
    for (uint64_t left = search->free & ~set->calls; left != 0; left &= left - 1)
        step(search, set, (unsigned)__builtin_ctzll(left));
}

static void next_round(struct search *search)
{
    search->round = ++last_round;
    search->in_round = 0;
}

/* Whether a set with these calls has not been seen in this round. */
static bool is_new(struct search *search, uint64_t calls)
{
    size_t at = (calls * UINT64_C(0x9e3779b97f4a7c15)) >> 45;

    for (;; at++) {
        at %= 2 * MOST_SETS;
        if (seen_in[at] != search->round) {
            seen[at] = calls;
            seen_in[at] = search->round;
            search->in_round++;
            return true;
        }
        if (seen[at] == calls)
            return false;
    }
}

static void put(struct search *search, struct sets *sets, const struct set *set)
{
    if (!is_new(search, set->calls))
        return;
    if (search->in_round == MOST_SETS)
        search->result.too_large = true;
    else
        sets->set[sets->count++] = *set;
}

static void begin_call(struct search *search, const struct event *event)
{
    const struct call *call = &event->call;
    size_t kept = 0;

    search->calls[event->slot] = *call;
    search->pending |= bit(event->slot);
    if (call->waits)
        search->waiting[call_group(call)] |= bit(event->slot);
    else if (call->outcome != OUTCOME_DONE || call->kind == CALL_DRAIN || call->kind == CALL_LOOK)
        search->free |= bit(event->slot);

    next_round(search);
    for (size_t i = 0; i < search->now.count; i++) {
        struct set set = search->now.set[i];

        settle(search, &set);
        if (is_new(search, set.calls))
            search->now.set[kept++] = set;
    }
    search->now.count = kept;
}

/* Gives pending calls their points in every order, until the one that returns has had its own. */
static void expand(struct search *search, const struct set *from, uint64_t returning)
{
    search->todo.count = 0;
    put(search, &search->todo, from);
    while (search->todo.count > 0) {
        const struct set set = search->todo.set[--search->todo.count];

        if (set.calls & returning) {
            search->next.set[search->next.count++] = set;
            continue;
        }
        for (uint64_t left = search->pending & ~set.calls; left != 0; left &= left - 1) {
            struct set after = set;

            if (step(search, &after, (unsigned)__builtin_ctzll(left))) {
                settle(search, &after);
                put(search, &search->todo, &after);
            }
        }
    }
}

static void end_call(struct search *search, const struct event *event)
{
    const uint64_t returning = bit(event->slot);
    struct sets swap;

    next_round(search);
    search->next.count = 0;
    for (size_t i = 0; i < search->now.count && !search->result.too_large; i++)
        expand(search, &search->now.set[i], returning);
    for (size_t i = 0; i < search->next.count; i++)
        search->next.set[i].calls &= ~returning;
    search->pending &= ~returning;
    search->free &= ~returning;
    for (unsigned g = 0; g < 3; g++)
        search->waiting[g] &= ~returning;
    if (search->next.count > search->result.most)
        search->result.most = search->next.count;
    swap = search->now;
    search->now = search->next;
    search->next = swap;
}

/* Tells each call what it will come to. */
static bool link_returns(struct event *events, size_t count)
{
    struct call *open[LINEAR_SLOTS] = {NULL};

    for (size_t i = 0; i < count; i++) {
        struct event *event = &events[i];

        if (event->slot >= LINEAR_SLOTS || event->returns != (open[event->slot] != NULL))
            return false;
        if (event->returns) {
            open[event->slot]->outcome = event->call.outcome;
            if (open[event->slot]->kind == CALL_LOOK) {
                open[event->slot]->seen = event->call.seen;
                open[event->slot]->n = event->call.n;
            }
        }
        open[event->slot] = event->returns ? NULL : &event->call;
    }
    for (size_t slot = 0; slot < LINEAR_SLOTS; slot++)
        if (open[slot] != NULL)
            return false;
    return true;
}

static void go_through(struct search *search, const struct event *events, size_t count)
{
    search->now.set[0] = (struct set){.lock = {.mode = MODE_NONE}};
    search->now.count = 1;
    for (size_t i = 0; i < count; i++) {
        search->result.event = i;
        if (events[i].returns)
            end_call(search, &events[i]);
        else
            begin_call(search, &events[i]);
        if (search->now.count == 0 || search->result.too_large)
            return;
    }
    search->result.ok = true;
}

struct linear_result linear_check(struct event *events, size_t count, unsigned alone)
{
    struct search search = {.alone = alone,
                            .now = {.set = memory[0]},
                            .next = {.set = memory[1]},
                            .todo = {.set = memory[2]}};

    search.result.complete = link_returns(events, count);
    if (search.result.complete)
        go_through(&search, events, count);
    return search.result;
}

static void print_event(const struct event *events, size_t at)
{
    static const char *const kinds[] = {"take", "give", "join", "change", "drain", "look"};
    static const char *const modes[] = {"A", "B", "frozen", "unlocked"};
    static const char *const outcomes[] = {"done", "refused", "withdrawn"};
    const struct call *call = &events[at].call;

    printf("%8zu slot %2u ", at, events[at].slot);
    if (events[at].returns)
        printf("returns: %s\n", outcomes[call->outcome]);
    else if (call->kind == CALL_LOOK)
        printf("looks, will see %s, %u holds\n", modes[call->seen], call->n);
    else
        printf("%s %s n=%u%s%s%s, will be %s\n", kinds[call->kind], modes[call->mode], call->n,
               call->kind == CALL_CHANGE ? " to " : "",
               call->kind == CALL_CHANGE ? modes[call->to] : "", call->waits ? " waits" : "",
               outcomes[call->outcome]);
}

void linear_print(const struct event *events, size_t last)
{
    const size_t first = last < 60 ? 0 : last - 60;
    size_t begun[LINEAR_SLOTS] = {0};

    for (size_t i = 0; i < first; i++)
        begun[events[i].slot] = events[i].returns ? 0 : i + 1;
    for (size_t slot = 0; slot < LINEAR_SLOTS; slot++)
        if (begun[slot] != 0)
            print_event(events, begun[slot] - 1);
    for (size_t i = first; i <= last; i++)
        print_event(events, i);
}
