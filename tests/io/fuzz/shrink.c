/* SPDX-License-Identifier: MIT */
/*
 * Shrinking, after delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing
 * Input, 2002): drop ranges of operations, long ones first; then make what is left simpler, field by
 * field, over and over until nothing gets simpler.
 */
#include "shrink.h"
#include "util.h"

#include <stdlib.h>
#include <string.h>

struct shrinker {
    struct script *best;
    struct script *trial;
    script_test *fails;
    void *arg;
    int64_t end;
};

static bool is_over(const struct shrinker *s)
{
    return now_ns() > s->end;
}

/* The trial is the best one now, if it fails too. */
static bool keep(struct shrinker *s)
{
    if (is_over(s) || !s->fails(s->trial, s->arg))
        return false;
    memcpy(s->best, s->trial, sizeof(*s->best));
    return true;
}

static bool drop(struct shrinker *s, size_t first, size_t count)
{
    const struct script *best = s->best;

    s->trial->setup = best->setup;
    s->trial->count = best->count - count;
    memcpy(s->trial->ops, best->ops, first * sizeof(best->ops[0]));
    memcpy(s->trial->ops + first, best->ops + first + count,
           (best->count - first - count) * sizeof(best->ops[0]));
    return keep(s);
}

static bool drop_ranges(struct shrinker *s)
{
    bool any = false;

    for (size_t length = (s->best->count + 1) / 2; length > 0; length /= 2) {
        size_t first = 0;

        while (first + length <= s->best->count && !is_over(s)) {
            if (drop(s, first, length))
                any = true;
            else
                first += length;
        }
    }
    return any;
}

/* Simpler values for one: nothing, whole blocks, half, the one before. */
static bool simplify(struct shrinker *s, int64_t *value, const int64_t *best)
{
    const int64_t old = *best;
    const int64_t tries[] = {0, old / 4096 * 4096, old / 2 / 4096 * 4096, old / 2, old - 1};

    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        if (tries[i] >= old || tries[i] < 0)
            continue;
        memcpy(s->trial, s->best, sizeof(*s->trial));
        *value = tries[i];
        if (keep(s))
            return true;
    }
    return false;
}

static bool clear_flags(struct shrinker *s, size_t op)
{
    bool any = false;

    for (int64_t bit = 1; bit <= s->best->ops[op].flags; bit *= 2) {
        memcpy(s->trial, s->best, sizeof(*s->trial));
        s->trial->ops[op].flags &= ~bit;
        if (s->trial->ops[op].flags != s->best->ops[op].flags && keep(s))
            any = true;
    }
    return any;
}

/* Fields whose every value is legal if smaller; the flags, cache and folio are not among them. */
static bool simplify_op(struct shrinker *s, size_t op)
{
    const size_t fields[] = {
#define FIELD(name) (offsetof(struct op, name) - offsetof(struct op, file)) / sizeof(int64_t)
        FIELD(pieces), FIELD(shift), FIELD(grain), FIELD(async), FIELD(length),
        FIELD(offset), FIELD(to),    FIELD(data),  FIELD(file),  FIELD(other),
#undef FIELD
    };
    bool any = clear_flags(s, op);

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        while (simplify(s, op_field(&s->trial->ops[op], fields[i]),
                        op_field(&s->best->ops[op], fields[i])))
            any = true;
    return any;
}

/* The defaults, if it fails with them too. */
static bool simplify_setup(struct shrinker *s)
{
    bool any = false;

    for (size_t i = 0; i < SETUP_FIELD_COUNT; i++) {
        const int64_t *value = setup_field(&s->best->setup, i);

        if (*value == 0 || value == &s->best->setup.most || value == &s->best->setup.cache)
            continue;
        memcpy(s->trial, s->best, sizeof(*s->trial));
        *setup_field(&s->trial->setup, i) = 0;
        any |= keep(s);
    }
    return any;
}

void shrink(struct script *script, size_t last, script_test *fails, void *arg, int seconds)
{
    struct shrinker s = {.best = script,
                         .trial = zalloc(1, sizeof(*script)),
                         .fails = fails,
                         .arg = arg,
                         .end = now_ns() + seconds * NS_PER_S};
    bool any = true;

    if (last + 1 < script->count)
        (void)drop(&s, last + 1, script->count - last - 1);
    while (any && !is_over(&s)) {
        any = drop_ranges(&s);
        any |= simplify_setup(&s);
        for (size_t i = 0; i < script->count && !is_over(&s); i++)
            any |= simplify_op(&s, i);
    }
    free(s.trial);
}
