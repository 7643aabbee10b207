/* SPDX-License-Identifier: MIT */
/* The order graph: nodes and edges in pools, a search for each new edge. */
#include "validate_order.h"

#include <string.h>

#define NODES   1024
#define EDGES   4096
#define BUCKETS 1024

struct edge;

struct node {
    struct order_end end; /* key NULL: not in use */
    struct edge *edges;   /* that go out */
    struct node *next;    /* in the bucket */
    struct edge *by;      /* the search came here by it; or the start itself: NULL */
    uint32_t search;      /* the last one that came here */
};

struct edge {
    struct order_edge public;
    struct node *from;
    struct node *to;
    struct edge *next; /* of the same node; or unused */
    bool refused;      /* it would close a cycle, which was told: not to be followed */
};

static struct node nodes[NODES];
static struct edge edges[EDGES];
static struct node *buckets[BUCKETS];
static struct edge *unused;
static uint32_t fresh_edges; /* edges[fresh_edges...] were never used */
static uint32_t fresh_nodes;
static uint32_t locks; /* nodes that are locks */
static uint32_t hand;  /* where the search for a node to give up goes on */
static uint32_t searches;
static uint64_t missed;

static struct node **place(const void *key)
{
    struct node **link = &buckets[(((uintptr_t)key >> 3) * UINT64_C(0x9e3779b97f4a7c15)) >> 54];

    while (*link != NULL && (*link)->end.key != key)
        link = &(*link)->next;
    return link;
}

static void remove_edge(struct edge *edge)
{
    struct edge **link = &edge->from->edges;

    while (*link != edge)
        link = &(*link)->next;
    *link = edge->next;
    edge->from = NULL;
    edge->next = unused;
    unused = edge;
}

static void remove_node(struct node *node)
{
    struct node **link = place(node->end.key);

    for (struct edge *edge = edges; edge < edges + fresh_edges; edge++)
        if (edge->from != NULL && (edge->from == node || edge->to == node))
            remove_edge(edge);
    *link = node->next;
    locks -= node->end.is_lock;
    node->end = (struct order_end){0};
}

/* A lock gives up its node; which one does not matter much, so they take turns. */
static struct node *give_up(const void *keep)
{
    for (unsigned n = 0; n < NODES; n++) {
        struct node *node = &nodes[hand];

        hand = (hand + 1) % NODES;
        if (node->end.key == NULL)
            return node;
        if (node->end.is_lock && node->end.key != keep) {
            remove_node(node);
            missed++;
            return node;
        }
    }
    return NULL;
}

/* The node of that end, a new one if need be. keep: a node that must not be given up for it. */
static struct node *node_of(const struct order_end *end, const void *keep)
{
    struct node **link = place(end->key);
    struct node *node = *link;

    if (node != NULL)
        return node;
    node = fresh_nodes < NODES ? &nodes[fresh_nodes++] : give_up(keep);
    if (node == NULL)
        return NULL;
    link = place(end->key); /* giving up may have changed the bucket */
    *node = (struct node){.end = *end};
    *link = node;
    locks += end->is_lock;
    return node;
}

static const struct edge *find(const struct node *from, const struct node *to)
{
    const struct edge *edge = from->edges;

    while (edge != NULL && edge->to != to)
        edge = edge->next;
    return edge;
}

/* Breadth first, so that the shortest cycle is told. */
static bool reaches(struct node *start, const struct node *goal)
{
    static struct node *queue[NODES];
    unsigned first = 0;
    unsigned last = 0;

    searches++;
    start->search = searches;
    start->by = NULL;
    queue[last++] = start;
    while (first < last) {
        const struct node *node = queue[first++];

        if (node == goal)
            return true;
        for (struct edge *edge = node->edges; edge != NULL; edge = edge->next)
            if (!edge->refused && edge->to->search != searches) {
                edge->to->search = searches;
                edge->to->by = edge;
                queue[last++] = edge->to;
            }
    }
    return false;
}

/* Walks back from the goal, so the last edges are told if there is no room for all. */
static void tell(const struct node *goal, struct order_cycle *cycle)
{
    unsigned n = 0;

    for (const struct edge *by = goal->by; by != NULL; by = by->from->by)
        cycle->length++;
    for (const struct edge *by = goal->by; by != NULL; by = by->from->by, n++)
        if (cycle->length - 1 - n < ORDER_PATH)
            cycle->edges[cycle->length - 1 - n] = &by->public;
}

static void add(const struct order_edge *public, struct node *from, struct node *to, bool refused)
{
    struct edge *edge = unused;

    if (edge != NULL) {
        unused = edge->next;
    } else if (fresh_edges < EDGES) {
        edge = &edges[fresh_edges++];
    } else {
        missed++;
        return;
    }
    *edge = (struct edge){
        .public = *public, .from = from, .to = to, .next = from->edges, .refused = refused};
    from->edges = edge;
}

void order_note_(const struct order_edge *edge, struct order_cycle *cycle)
{
    struct node *from = node_of(&edge->from, edge->to.key);
    struct node *to = node_of(&edge->to, edge->from.key);

    cycle->length = 0;
    if (from == NULL || to == NULL) {
        missed++;
        return;
    }
    if (find(from, to) != NULL)
        return;
    if (reaches(to, from))
        tell(from, cycle);
    add(edge, from, to, cycle->length != 0);
}

void order_forget_(const void *memory, size_t size)
{
    if (locks == 0)
        return;
    if (size == sizeof(struct twostate_lock)) {
        struct node *node = *place(memory);

        if (node != NULL && node->end.is_lock)
            remove_node(node);
        return;
    }
    for (struct node *node = nodes; node < nodes + fresh_nodes; node++)
        if (node->end.is_lock && (uintptr_t)node->end.key - (uintptr_t)memory < size)
            remove_node(node);
}

void order_clear_(void)
{
    memset(nodes, 0, sizeof(nodes));
    memset(buckets, 0, sizeof(buckets));
    unused = NULL;
    fresh_edges = 0;
    fresh_nodes = 0;
    locks = 0;
    missed = 0;
}

uint64_t order_missed_(void)
{
    return missed;
}
