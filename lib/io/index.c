/* SPDX-License-Identifier: MIT */
/*
 * A radix tree of 64 slots a node, as high as the largest number needs. A node of few children is
 * small: five slots, each with the digit that it is for. So a folio alone in its part of a large
 * file costs little more than its way down.
 *
 * Changes are made under the mutex, each by one store of a pointer that look-ups follow. A slot of a
 * small node keeps its digit for ever, even when it is empty; when a new digit finds no slot, a new
 * node takes the node's place. So a look-up, however old the node that it is at, never takes one
 * number for another, and never misses what was there all the time.
 */
#include "index.h"
#include "rcu.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define DIGIT   6
#define FULL    64
#define SMALL   5 /* 56 bytes: what malloc gives with 64 */
#define SHRINK  2 /* children; well below SMALL, so that nothing goes back and forth */
#define DEPTH   11
#define NO_KEY  0xff
#define BATCH   64
#define TOO_BIG 1024 /* nodes that wait: 0.5 MiB at most, then a removal waits for them */

struct index_node {
    struct index_node *next; /* of those that wait to be freed */
    uint8_t shift;           /* of the digit that picks the slot */
    bool full;
    uint8_t count; /* of slots in use; under the mutex */
    uint8_t keys[SMALL];
    void *slots[]; /* SMALL or FULL: folios if shift is 0, else nodes */
};

/* The way down to a number. */
struct path {
    struct index_node *nodes[DEPTH];
    unsigned length;
};

#ifdef RCU_TSAN
char rcu_sections_;
#endif

/* Nodes that look-ups may still be at. One list for all, so that it is short however many there are. */
static struct {
    pthread_mutex_t mutex;
    struct index_node *first;
    unsigned count;
} retired = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *load(void *const *slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static void store(void **slot, void *child)
{
    __atomic_store_n(slot, child, __ATOMIC_RELEASE);
}

static struct index_node *load_root(const struct index *index)
{
    return __atomic_load_n(&index->root, __ATOMIC_ACQUIRE);
}

static unsigned digit_of(uint64_t number, unsigned shift)
{
    return (unsigned)(number >> shift) % FULL;
}

static bool has_room_for(const struct index_node *root, uint64_t number)
{
    return number >> root->shift < FULL;
}

/* The slot for a digit; NULL: a small node has none. */
static void **slot_of(struct index_node *node, unsigned digit)
{
    if (node->full)
        return &node->slots[digit];
    for (unsigned i = 0; i < SMALL; i++)
        if (__atomic_load_n(&node->keys[i], __ATOMIC_ACQUIRE) == digit)
            return &node->slots[i];
    return NULL;
}

static void *child_of(struct index_node *node, uint64_t number)
{
    void **slot = slot_of(node, digit_of(number, node->shift));

    return slot ? load(slot) : NULL;
}

static struct folio *find(const struct index *index, uint64_t number)
{
    struct index_node *node = load_root(index);

    if (node == NULL || !has_room_for(node, number))
        return NULL;
    while (node && node->shift > 0)
        node = child_of(node, number);
    return node ? child_of(node, number) : NULL;
}

struct folio *index_find_(struct index *index, uint64_t number)
{
    struct folio *folio = NULL;

    rcu_enter_();
    folio = find(index, number);
    rcu_leave_();
    return folio;
}

/* The first child at *digit or after, and its digit. */
static void *next_child(struct index_node *node, unsigned *digit)
{
    unsigned best = FULL;
    void *found = NULL;

    for (unsigned i = 0; node->full ? i < FULL && !found : i < SMALL; i++) {
        const unsigned d = node->full ? i : __atomic_load_n(&node->keys[i], __ATOMIC_ACQUIRE);
        void *child = d >= *digit && d < best ? load(&node->slots[i]) : NULL;

        if (child) {
            best = d;
            found = child;
        }
    }
    *digit = best;
    return found;
}

/*
 * Goes from *number down to the first folio at it or after, as far as one way down leads. NULL: there
 * is none before *number, which has moved on; *end: nor after it.
 */
static struct folio *next_on_way(const struct index *index, uint64_t *number, bool *end)
{
    struct index_node *node = load_root(index);

    *end = node == NULL || !has_room_for(node, *number);
    if (*end)
        return NULL;
    for (bool is_root = true;; is_root = false) {
        const unsigned shift = node->shift;
        const uint64_t above = *number >> shift >> DIGIT; /* 0 in the root */
        unsigned digit = digit_of(*number, shift);
        const unsigned wanted = digit;
        void *child = next_child(node, &digit);

        if (child == NULL) {
            *end = is_root;
            *number = is_root ? *number : (above + 1) << DIGIT << shift;
            return NULL;
        }
        if (digit != wanted)
            *number = (above << DIGIT | digit) << shift;
        if (shift == 0)
            return child;
        node = child;
    }
}

struct folio *index_next_(struct index *index, uint64_t from, uint64_t last, uint64_t *number)
{
    struct folio *folio = NULL;
    uint64_t at = from;

    rcu_enter_();
    for (bool end = false; folio == NULL && !end && at <= last;)
        folio = next_on_way(index, &at, &end);
    rcu_leave_();
    if (folio == NULL || at > last)
        return NULL;
    *number = at;
    return folio;
}

/* Changes: under the mutex. */

static size_t size_of(const struct index_node *node)
{
    return sizeof(*node) + (node->full ? FULL : SMALL) * sizeof(node->slots[0]);
}

static void count_bytes(struct index *index, int64_t by)
{
    __atomic_store_n(&index->bytes, index->bytes + (uint64_t)by, __ATOMIC_RELAXED);
}

static struct index_node *new_node(struct index *index, unsigned shift, bool full)
{
    const size_t slots = (full ? FULL : SMALL) * sizeof(void *);
    struct index_node *node = calloc(1, sizeof(*node) + slots);

    if (node == NULL)
        return NULL;
    node->shift = (uint8_t)shift;
    node->full = full;
    memset(node->keys, NO_KEY, sizeof(node->keys));
    count_bytes(index, (int64_t)size_of(node));
    return node;
}

/* Nobody has seen the node. */
static void drop_node(struct index *index, struct index_node *node)
{
    count_bytes(index, -(int64_t)size_of(node));
    free(node);
}

static void reclaim(unsigned least)
{
    struct index_node *node = NULL;

    pthread_mutex_lock(&retired.mutex);
    if (retired.count >= least) {
        node = retired.first;
        retired.first = NULL;
        retired.count = 0;
    }
    pthread_mutex_unlock(&retired.mutex);
    if (node)
        rcu_wait_();
    while (node) {
        struct index_node *next = node->next;

        free(node);
        node = next;
    }
}

void index_reclaim_(void)
{
    reclaim(BATCH);
}

static void retire(struct index *index, struct index_node *node)
{
    count_bytes(index, -(int64_t)size_of(node));
    pthread_mutex_lock(&retired.mutex);
    node->next = retired.first;
    retired.first = node;
    retired.count++;
    pthread_mutex_unlock(&retired.mutex);
}

/* A child where none is. False: a small node has no slot left for it. */
static bool put(struct index_node *node, unsigned digit, void *child)
{
    void **slot = slot_of(node, digit);
    unsigned i = 0;

    if (slot == NULL) {
        while (i < SMALL && node->keys[i] != NO_KEY)
            i++;
        if (i == SMALL)
            return false;
        store(&node->slots[i], child);
        __atomic_store_n(&node->keys[i], (uint8_t)digit, __ATOMIC_RELEASE);
    } else {
        store(slot, child);
    }
    node->count++;
    return true;
}

/* Follows the way of a number as far as it goes, and returns what is at its end: the folio, or NULL. */
static void *walk(const struct index *index, uint64_t number, struct path *path)
{
    struct index_node *node = index->root;
    void *child = NULL;

    path->length = 0;
    if (node == NULL || !has_room_for(node, number))
        return NULL;
    do {
        path->nodes[path->length++] = node;
        child = child_of(node, number);
        if (node->shift == 0)
            return child;
        node = child;
    } while (node);
    return NULL;
}

/* What points to the node at a level of the path points to something else now. */
static void point(struct index *index, const struct path *path, unsigned level, uint64_t number,
                  void *child)
{
    struct index_node *parent = level > 0 ? path->nodes[level - 1] : NULL;

    if (parent == NULL)
        __atomic_store_n(&index->root, child, __ATOMIC_RELEASE);
    else
        store(slot_of(parent, digit_of(number, parent->shift)), child);
}

/* Another node takes the place of the path's last: of the size for so many children more. */
static struct index_node *replace_last(struct index *index, struct path *path, uint64_t number,
                                       unsigned more)
{
    struct index_node *old = path->nodes[path->length - 1];
    struct index_node *node = new_node(index, old->shift, old->count + more > SMALL);
    unsigned digit = 0;
    void *child = NULL;

    if (node == NULL)
        return NULL;
    while ((child = next_child(old, &digit)) != NULL)
        put(node, digit++, child);
    point(index, path, path->length - 1, number, node);
    path->nodes[path->length - 1] = node;
    retire(index, old);
    return node;
}

static void drop_chain(struct index *index, struct index_node *node)
{
    while (node) {
        struct index_node *child = node->shift > 0 ? node->slots[0] : NULL;

        drop_node(index, node);
        node = child;
    }
}

/*
 * The folio alone below nodes of its own, the topmost of that shift; the folio itself if shift is
 * negative. NULL: no memory.
 */
static void *new_chain(struct index *index, uint64_t number, int shift, struct folio *folio)
{
    void *top = folio;

    for (int s = 0; s <= shift; s += DIGIT) {
        struct index_node *node = new_node(index, (unsigned)s, false);

        if (node == NULL) {
            drop_chain(index, s > 0 ? top : NULL);
            return NULL;
        }
        put(node, digit_of(number, (unsigned)s), top);
        top = node;
    }
    return top;
}

/* Takes away roots with nothing but a child for the lowest numbers. */
static void lower(struct index *index)
{
    struct index_node *root = index->root;

    while (root && root->shift > 0 && root->count == 1 && child_of(root, 0)) {
        point(index, NULL, 0, 0, child_of(root, 0));
        retire(index, root);
        root = index->root;
    }
}

/* Puts new roots on the tree until it has room for the number. */
static bool raise(struct index *index, uint64_t number)
{
    while (!has_room_for(index->root, number)) {
        struct index_node *root = new_node(index, index->root->shift + DIGIT, false);

        if (root == NULL)
            return false;
        put(root, 0, index->root);
        point(index, NULL, 0, 0, root);
    }
    return true;
}

/* In an index that is not empty, with room for the number. */
static bool add(struct index *index, uint64_t number, struct folio *folio)
{
    struct index_node *node = NULL;
    unsigned digit = 0;
    void *chain = NULL;
    struct path path;

    walk(index, number, &path);
    node = path.nodes[path.length - 1];
    digit = digit_of(number, node->shift);
    chain = new_chain(index, number, node->shift - DIGIT, folio);
    if (chain == NULL)
        return false;
    if (put(node, digit, chain))
        return true;
    node = replace_last(index, &path, number, 1);
    if (node)
        return put(node, digit, chain);
    drop_chain(index, chain == folio ? NULL : chain);
    return false;
}

static bool add_first(struct index *index, uint64_t number, struct folio *folio)
{
    int shift = 0;
    struct index_node *root = NULL;

    while (number >> shift >= FULL)
        shift += DIGIT;
    root = new_chain(index, number, shift, folio);
    if (root)
        point(index, NULL, 0, 0, root);
    return root != NULL;
}

int index_insert_(struct index *index, uint64_t number, struct folio *folio, struct folio **there)
{
    struct folio *old = NULL;
    bool done = false;

    pthread_mutex_lock(&index->mutex);
    old = find(index, number);
    if (old == NULL) {
        if (index->root == NULL)
            done = add_first(index, number, folio);
        else
            done = raise(index, number) && add(index, number, folio);
        if (!done)
            lower(index);
    }
    pthread_mutex_unlock(&index->mutex);
    if (old) {
        *there = old;
        return -EEXIST;
    }
    return done ? 0 : -ENOMEM;
}

void index_remove_(struct index *index, uint64_t number, struct folio *folio)
{
    struct index_node *node = NULL;
    unsigned left = 0; /* of the path's nodes, those that keep a child */
    struct path path;

    pthread_mutex_lock(&index->mutex);
    if (walk(index, number, &path) != folio)
        abort(); /* the cache's own mistake */
    left = path.length;
    while (left > 0 && path.nodes[left - 1]->count == 1)
        left--;
    point(index, &path, left, number, NULL);
    for (unsigned i = left; i < path.length; i++)
        retire(index, path.nodes[i]);
    path.length = left;
    if (left > 0) {
        node = path.nodes[left - 1];
        node->count--;
        if (node->full && node->count <= SHRINK)
            (void)replace_last(index, &path, number, 0); /* or later, if there is no memory */
    }
    lower(index);
    pthread_mutex_unlock(&index->mutex);
    reclaim(TOO_BIG);
}

void index_init_(struct index *index)
{
    *index = (struct index){.mutex = PTHREAD_MUTEX_INITIALIZER};
}

/* Who has just taken out the last folio, to evict it, may still be in its removal. */
void index_destroy_(struct index *index)
{
    pthread_mutex_lock(&index->mutex);
    if (index->root)
        abort(); /* a folio would be lost */
    pthread_mutex_unlock(&index->mutex);
    pthread_mutex_destroy(&index->mutex);
    reclaim(1);
}

uint64_t index_bytes_(struct index *index)
{
    return __atomic_load_n(&index->bytes, __ATOMIC_RELAXED);
}
