/* SPDX-License-Identifier: MIT */
/* The validator's rules: see validate_rules.h. */
#include "validate_rules.h"

#include "class.h"
#include "validate_order.h"
#include "validate_report.h"

#include <stdio.h>

/* What a check looks at: the present call, and what is known of its lock. */
struct present {
    const struct watch_call *call;
    const struct twostate_class *cls;
    struct stack stack;
};

static bool checked(enum twostate_rule rule)
{
    return (report_rules_ & (uint32_t)rule) != 0;
}

static void begin_at_call(enum twostate_rule rule, const struct present *present, const char *why)
{
    report_begin_(rule, present->call->lock, present->call->exclusive, present->call->name, why);
    report_call_(present->call, present->cls, &present->stack);
}

static void report_pair(enum twostate_rule rule, const struct present *present,
                        const struct hold *hold, const char *why)
{
    begin_at_call(rule, present, why);
    report_hold_(hold);
    report_end_();
}

/* A switch waits to be alone, so it needs all holds but one to be somebody else's. */
static uint32_t own_holds(const struct twostate_lock *lock)
{
    uint32_t count = 0;

    for (const struct hold *hold = holds_self_()->newest; hold; hold = hold->next_of_holder)
        if (hold->lock == lock)
            count += hold->count;
    return count;
}

/* The caller has `hold` on the lock. Returns why it would wait for itself; NULL: it may pass. */
static const char *waits_for_itself(const struct watch_call *call, const struct hold *hold)
{
    if (call->switching)
        return own_holds(call->lock) <= 1
                   ? NULL
                   : "this thread waits to be the only holder, and holds the lock twice";
    if (call->group == GROUP_DRAIN)
        return hold->group == GROUP_DRAIN
                   ? NULL
                   : "this thread holds the lock that it waits to be unlocked";
    if (hold->group == GROUP_DRAIN)
        return "this thread froze the lock, and waits for its thaw";
    if (hold->group != call->group)
        return "this thread holds the lock the other way, and waits for itself";
    return call->exclusive && call->group == GROUP_B
               ? "this thread holds the lock exclusive already"
               : NULL;
}

/* A drain passes a frozen lock, and a switch gives its hold for the other: that is no recursion. */
static bool check_same_lock(const struct present *present, const struct hold *hold)
{
    const struct watch_call *call = present->call;
    const char *why = waits_for_itself(call, hold);

    if (why != NULL) {
        if (checked(TWOSTATE_RULE_SELF_DEADLOCK))
            report_pair(TWOSTATE_RULE_SELF_DEADLOCK, present, hold, why);
        return checked(TWOSTATE_RULE_SELF_DEADLOCK);
    }
    if (call->holds > 0 && !call->switching && checked(TWOSTATE_RULE_RECURSION))
        report_pair(TWOSTATE_RULE_RECURSION, present, hold,
                    "this thread holds the lock so already, and waits for itself once the lock is "
                    "being handed to the other side (join does not)");
    return false;
}

static bool check_rank(const struct present *present, const struct hold *hold)
{
    const unsigned held = hold->cls->rank;
    const unsigned wanted = present->cls->rank;
    char why[200];

    if (!checked(TWOSTATE_RULE_RANK) || wanted == 0 || held <= wanted)
        return true;
    snprintf(why, sizeof(why), "class %s (rank %u) is taken before class %s (rank %u)",
             present->cls->name, wanted, hold->cls->name, held);
    report_pair(TWOSTATE_RULE_RANK, present, hold, why);
    return false;
}

static struct order_end end_of(const struct twostate_lock *lock, const struct twostate_class *cls,
                               bool as_lock)
{
    return (struct order_end){
        .key = as_lock ? (const void *)lock : cls, .name = cls->name, .is_lock = as_lock};
}

/* begin_remap_two: whatever their classes, the locks of its two pairs keep an order. */
static bool of_one_remap(const struct present *present, const struct hold *hold)
{
    return hold->exclusive == present->call->exclusive && class_paired_(hold->lock) &&
           class_paired_(present->call->lock);
}

static void check_order(const struct present *present, const struct hold *hold)
{
    const bool alike = hold->cls == present->cls;
    struct order_edge edge = {
        .from = end_of(hold->lock, hold->cls, alike || class_is_default_(hold->cls)),
        .to = end_of(present->call->lock, present->cls, alike || class_is_default_(present->cls)),
        .held_call = hold->name,
        .wanted_call = present->call->name,
        .thread = holds_self_()->thread,
        .held = hold->stack,
        .wanted = present->stack,
    };
    struct order_cycle cycle = {0};

    if (!checked(TWOSTATE_RULE_ORDER) || (alike && present->cls->ordered))
        return;
    order_note_(&edge, &cycle);
    if (cycle.length == 0)
        return;
    begin_at_call(
        TWOSTATE_RULE_ORDER, present,
        "two locks are taken in both orders: one thread that has the first and one that has the "
        "second can wait for each other for ever");
    report_hold_(hold);
    report_cycle_(&cycle);
    report_end_();
}

/*
 * The newest hold that was waited for comes after the older ones already, so the order with them
 * follows from the order with it. What was taken without a wait comes after nothing.
 */
static void check_others(const struct present *present)
{
    bool ordered = false;

    for (const struct hold *hold = holds_self_()->newest; hold; hold = hold->next_of_holder) {
        if (hold->lock == present->call->lock || of_one_remap(present, hold))
            continue;
        if (check_rank(present, hold) && !ordered)
            check_order(present, hold);
        ordered = ordered || hold->ordered;
    }
}

bool rules_wait_(const struct watch_call *call)
{
    struct present present = {.call = call, .cls = class_of_(call->lock, call->exclusive)};
    const struct hold *same = holds_own_(call->lock);
    bool for_itself = false;

    if (holds_self_()->newest == NULL)
        return false;
    report_stack_(&present.stack, call->site);
    if (same != NULL)
        for_itself = check_same_lock(&present, same);
    check_others(&present);
    return for_itself;
}

void rules_give_back_(const struct watch_call *call, const struct hold *hold)
{
    struct present present = {.call = call, .cls = hold->cls};

    if (!checked(TWOSTATE_RULE_HAND_OFF) || hold->holder == NULL || hold->holder == holds_self_() ||
        holds_missed_() != 0)
        return;
    report_stack_(&present.stack, call->site);
    report_pair(TWOSTATE_RULE_HAND_OFF, &present, hold,
                "another thread acquired it, and did not hand it over (twostate_validate_disown)");
}

static void report_alone(enum twostate_rule rule, const struct hold *hold, const char *call,
                         const char *why)
{
    struct stack stack;

    report_begin_(rule, hold->lock, hold->exclusive, call, why);
    report_hold_(hold);
    report_stack_(&stack, NULL);
    report_stack_of_("this was called", &stack);
    report_end_();
}

/* The child has no other threads; what these hold is theirs, and an exec may come at once. */
void rules_fork_(void)
{
    if (!checked(TWOSTATE_RULE_FORK))
        return;
    for (const struct hold *hold = holds_self_()->newest; hold; hold = hold->next_of_holder)
        if (!hold->shared)
            report_alone(TWOSTATE_RULE_FORK, hold, "fork",
                         "the child's copy of the lock is held, and nobody gives that back");
}

void rules_thread_end_(const struct holder *holder)
{
    if (!checked(TWOSTATE_RULE_LEAK))
        return;
    for (const struct hold *hold = holder->newest; hold; hold = hold->next_of_holder)
        report_alone(TWOSTATE_RULE_LEAK, hold, "thread ends",
                     "it holds the lock, and did not hand it over (twostate_validate_disown)");
}

void rules_lock_end_(const struct twostate_lock *lock, const char *call)
{
    struct hold *hold = NULL;

    if (!checked(TWOSTATE_RULE_LEAK))
        return;
    while ((hold = holds_next_in_(hold, lock, sizeof(*lock))) != NULL)
        report_alone(TWOSTATE_RULE_LEAK, hold, call, "the lock is held");
}

void rules_free_(const void *memory, size_t size)
{
    const struct holder *waiter = holds_waiter_in_(memory, size);
    struct hold *hold = NULL;

    if (!checked(TWOSTATE_RULE_FREE))
        return;
    while ((hold = holds_next_in_(hold, memory, size)) != NULL)
        report_alone(TWOSTATE_RULE_FREE, hold, "free", "the memory has a lock in it that is held");
    if (waiter != NULL) {
        report_begin_(TWOSTATE_RULE_FREE, waiter->waits_for, false, "free",
                      "the memory has a lock in it that is waited for");
        report_line_("by thread %d", waiter->thread);
        report_end_();
    }
}

uint32_t rules_leaks_(void)
{
    struct hold *hold = NULL;
    uint32_t leaks = 0;

    while ((hold = holds_next_in_(hold, NULL, SIZE_MAX)) != NULL) {
        leaks++;
        if (checked(TWOSTATE_RULE_LEAK))
            report_alone(TWOSTATE_RULE_LEAK, hold, "leaks", "the lock is held");
    }
    return leaks;
}
