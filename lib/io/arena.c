/* SPDX-License-Identifier: MIT */
/*
 * The arena's books, and the hand that looks for folios to evict.
 *
 * A free folio is warm, with memory behind it, or cold. What is warm counts too: folios in use, those
 * reserved, and the warm ones never have more memory than the limit; a folio that is taken cold lets
 * warm ones of other sizes go cold. So all that a reservation needs is a sum.
 *
 * Who has to wait waits in line, so that a small request doesn't take what a large one waits for.
 * Only the first in line evicts: the hand needs no lock.
 */
#include "arena.h"
#include "folio_lock.h"

#include <twostate/class.h>
#include <twostate/validate.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define SMALLEST   4096U
#define SIZES      5U
#define NUMBERED   (UINT64_C(1) << 44) /* bytes: so that folios have numbers of 32 bits */
#define MOST       (SIZE_MAX < NUMBERED ? SIZE_MAX : NUMBERED)
#define TAKEN      UINT32_MAX           /* next_free of a folio that is not free */
#define AHEAD_PART 128                  /* of the limit is evicted beyond what is needed, */
#define AHEAD_STEP ((uint64_t)64 << 10) /* in whole steps */
#define ASK_MS     100                  /* how often `stuck` is asked */
#define BUSY_MS    1                    /* the first wait for folios to be unlocked: nobody tells */
#define MOMENT_NS  10000
#define HUGE_FROM  ((uint64_t)64 << 20) /* bytes of descriptors */

/* The folios of one size. */
struct pool {
    size_t size;
    uint32_t most;
    uint32_t begun; /* the descriptors before it have been used; atomic */
    char *memory;   /* NULL: no folio of this size was wanted yet */
    struct folio *folios;
    uint32_t warm; /* the first of those that are free, and 1; then next_free */
    uint32_t cold;
};

struct waiter {
    struct cds_list_head node;
    pthread_cond_t turn;
};

struct arena {
    uint64_t limit;
    void (*evict)(struct folio *folio);
    void (*pressed)(void *context);
    void *context;
    uint32_t waiting; /* waiters, atomic */
    uint32_t changes; /* folios became clean; atomic */

    /* The first waiter's. */
    unsigned hand_pool;
    uint32_t hand;

    pthread_mutex_t mutex; /* for what follows */
    struct cds_list_head waiters;
    struct pool pools[SIZES];
    uint64_t used;     /* bytes */
    uint64_t reserved; /* of those: not taken yet */
    uint64_t warm;     /* bytes */
    uint64_t evicted;  /* folios */
};

static const struct twostate_class folio_class = {.name = "folio", .rank = 3000, .ordered = true};

int arena_create_(uint64_t limit, void (*evict)(struct folio *folio),
                  void (*pressed)(void *context), void *context, struct arena **created)
{
    struct arena *arena = limit <= MOST ? calloc(1, sizeof(*arena)) : NULL;

    if (arena == NULL)
        return -ENOMEM;
    arena->limit = limit;
    arena->evict = evict;
    arena->pressed = pressed;
    arena->context = context;
    pthread_mutex_init(&arena->mutex, NULL);
    CDS_INIT_LIST_HEAD(&arena->waiters);
    for (unsigned i = 0; i < SIZES; i++)
        arena->pools[i].size = (size_t)SMALLEST << i;
    *created = arena;
    return 0;
}

static size_t descriptor_bytes(const struct pool *pool)
{
    return pool->most * sizeof(pool->folios[0]);
}

static size_t memory_bytes(const struct pool *pool)
{
    return pool->most * pool->size;
}

void arena_destroy_(struct arena *arena)
{
    for (struct pool *pool = arena->pools; pool < arena->pools + SIZES; pool++) {
        if (pool->memory == NULL)
            continue;
        twostate_validate_free(pool->folios, pool->begun * sizeof(pool->folios[0]));
        munmap(pool->folios, descriptor_bytes(pool));
        munmap(pool->memory, memory_bytes(pool));
    }
    pthread_mutex_destroy(&arena->mutex);
    free(arena);
}

/* Address space; memory comes when it is touched. */
static void *get_range(size_t bytes)
{
    void *range = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return range == MAP_FAILED ? NULL : range;
}

static bool begin_pool(struct arena *arena, struct pool *pool)
{
    pool->most = (uint32_t)(arena->limit / pool->size);
    pool->folios = get_range(descriptor_bytes(pool));
    pool->memory = pool->folios ? get_range(memory_bytes(pool)) : NULL;
    if (pool->memory == NULL) {
        if (pool->folios)
            munmap(pool->folios, descriptor_bytes(pool));
        return false;
    }
    /* Huge pages save every copy at random a walk of the page tables, up to half of its time; and folios
       of one size never take more than the budget. They would take memory that nobody counts for a few
       descriptors; or for folios that are cold beside ones that aren't, as happens once there are
       several sizes. */
    madvise(pool->memory, memory_bytes(pool), MADV_HUGEPAGE);
    if (descriptor_bytes(pool) < HUGE_FROM)
        madvise(pool->folios, descriptor_bytes(pool), MADV_NOHUGEPAGE);
    for (struct pool *other = arena->pools; other < arena->pools + SIZES; other++) {
        if (other == pool || other->memory == NULL)
            continue;
        madvise(other->memory, memory_bytes(other), MADV_NOHUGEPAGE);
        madvise(pool->memory, memory_bytes(pool), MADV_NOHUGEPAGE);
    }
    return true;
}

/* NULL: not a size of folios. */
static struct pool *pool_of(struct arena *arena, uint32_t size)
{
    for (struct pool *pool = arena->pools; pool < arena->pools + SIZES; pool++)
        if (pool->size == size)
            return pool;
    return NULL;
}

int arena_layout_(struct arena *arena, uint32_t size, struct arena_layout *layout)
{
    struct pool *pool = pool_of(arena, size);
    bool begun = false;

    pthread_mutex_lock(&arena->mutex);
    begun = pool->memory != NULL || begin_pool(arena, pool);
    pthread_mutex_unlock(&arena->mutex);
    *layout = (struct arena_layout){.folios = pool->folios, .memory = pool->memory};
    return begun ? 0 : -ENOMEM;
}

/* Free folios: under the mutex. The hand reads next_free without it. */

static void push(struct pool *pool, uint32_t *list, struct folio *folio)
{
    __atomic_store_n(&folio->next_free, *list, __ATOMIC_RELAXED);
    *list = (uint32_t)(folio - pool->folios) + 1;
}

/* The folio is as good as taken, until its next_free says so. */
static struct folio *pop(struct pool *pool, uint32_t *list)
{
    struct folio *folio = &pool->folios[*list - 1];

    *list = folio->next_free;
    return folio;
}

static struct folio *begin_folio(struct pool *pool)
{
    const uint32_t number = pool->begun;
    struct folio *folio = &pool->folios[number];

    folio->data = pool->memory + number * pool->size;
    (void)twostate_iolock_set_class(&folio->lock,
                                    &folio_class); /* without, if there are too many */
    __atomic_store_n(&folio->next_free, TAKEN, __ATOMIC_RELAXED);
    __atomic_store_n(&pool->begun, number + 1, __ATOMIC_RELEASE);
    return folio;
}

/* Room for so many bytes more besides those that are taken: warm folios go cold. */
static void make_room(struct arena *arena, uint64_t bytes)
{
    const uint64_t taken = arena->used - arena->reserved;

    for (struct pool *pool = arena->pools; pool < arena->pools + SIZES; pool++) {
        while (pool->warm && taken + bytes + arena->warm > arena->limit) {
            struct folio *folio = pop(pool, &pool->warm);

            madvise(folio->data, pool->size, MADV_DONTNEED);
            arena->warm -= pool->size;
            push(pool, &pool->cold, folio);
        }
    }
}

static struct folio *take(struct arena *arena, struct pool *pool)
{
    struct folio *folio = NULL;

    if (pool->warm) {
        folio = pop(pool, &pool->warm);
        arena->warm -= pool->size;
    } else {
        make_room(arena, pool->size);
        folio = pool->cold ? pop(pool, &pool->cold) : begin_folio(pool);
    }
    arena->reserved -= pool->size;
    __atomic_store_n(&folio->next_free, TAKEN, __ATOMIC_RELAXED);
    return folio;
}

/*
 * Somebody who found it in an index, long ago, may have it locked, to see that it no longer is what he
 * meant. That is over soon; and it is no wait that would order this lock after those that the caller
 * holds, which come after it the next time.
 */
static void lock_free_folio(struct folio *folio)
{
    const struct timespec moment = {.tv_nsec = MOMENT_NS};

    while (!folio_try_lock_(folio, TWOSTATE_EXCLUSIVE))
        nanosleep(&moment, NULL);
}

struct folio *arena_take_(struct arena *arena, uint32_t size)
{
    struct folio *folio = NULL;

    pthread_mutex_lock(&arena->mutex);
    folio = take(arena, pool_of(arena, size));
    pthread_mutex_unlock(&arena->mutex);
    lock_free_folio(folio);
    folio->valid = 0;
    __atomic_store_n(&folio->used, 0, __ATOMIC_RELAXED);
    return folio;
}

/* The first in line looks again. Under the mutex. */
static void call_first(struct arena *arena)
{
    if (!cds_list_empty(&arena->waiters))
        pthread_cond_signal(&cds_list_first_entry(&arena->waiters, struct waiter, node)->turn);
}

static void free_folio(struct arena *arena, struct pool *pool, struct folio *folio, bool evicted)
{
    folio->owner = NULL;
    folio_unlock_(folio, TWOSTATE_EXCLUSIVE);
    pthread_mutex_lock(&arena->mutex);
    push(pool, &pool->warm, folio);
    arena->warm += pool->size;
    arena->used -= pool->size;
    if (evicted)
        arena->evicted++;
    else
        call_first(arena);
    pthread_mutex_unlock(&arena->mutex);
}

void arena_free_(struct arena *arena, struct folio *folio, uint32_t size)
{
    free_folio(arena, pool_of(arena, size), folio, false);
}

void arena_unreserve_(struct arena *arena, uint32_t size, unsigned count)
{
    const uint64_t bytes = (uint64_t)size * count;

    pthread_mutex_lock(&arena->mutex);
    arena->used -= bytes;
    arena->reserved -= bytes;
    call_first(arena);
    pthread_mutex_unlock(&arena->mutex);
}

/*
 * Who waits says so before he looks whether folios are clean, and this looks whether somebody waits
 * after it has said that some are; both in one order (seq_cst). So one sees the other.
 */
void arena_cleaned_(struct arena *arena)
{
    __atomic_fetch_add(&arena->changes, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&arena->waiting, __ATOMIC_SEQ_CST) == 0)
        return;
    pthread_mutex_lock(&arena->mutex);
    call_first(arena);
    pthread_mutex_unlock(&arena->mutex);
}

struct arena_info arena_query_(struct arena *arena)
{
    struct arena_info info = {.limit = arena->limit};

    pthread_mutex_lock(&arena->mutex);
    info.used = arena->used;
    info.evicted = arena->evicted;
    pthread_mutex_unlock(&arena->mutex);
    return info;
}

/* Eviction: by the first in line, without the mutex. */

static bool is_clean(const struct folio *folio)
{
    return __atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE) == 0;
}

enum look {
    KEPT,
    BUSY, /* may be let go soon, and nobody will tell */
    EVICTED,
};

static enum look look_at(struct arena *arena, struct pool *pool, struct folio *folio, bool mercy)
{
    if (__atomic_load_n(&folio->next_free, __ATOMIC_RELAXED) != TAKEN || !is_clean(folio))
        return KEPT;
    if (mercy && __atomic_load_n(&folio->used, __ATOMIC_RELAXED) != 0) {
        __atomic_store_n(&folio->used, 0, __ATOMIC_RELAXED);
        return KEPT;
    }
    if (!folio_try_lock_(folio, TWOSTATE_EXCLUSIVE))
        return BUSY;
    if (folio->owner == NULL || !is_clean(folio)) {
        folio_unlock_(folio, TWOSTATE_EXCLUSIVE);
        return KEPT;
    }
    arena->evict(folio);
    free_folio(arena, pool, folio, true);
    return EVICTED;
}

static uint64_t missing(struct arena *arena, uint64_t bytes)
{
    uint64_t left = 0;

    pthread_mutex_lock(&arena->mutex);
    left = arena->limit - arena->used;
    pthread_mutex_unlock(&arena->mutex);
    return bytes > left ? bytes - left : 0;
}

static uint64_t descriptors(struct arena *arena)
{
    uint64_t sum = 0;

    for (struct pool *pool = arena->pools; pool < arena->pools + SIZES; pool++)
        sum += __atomic_load_n(&pool->begun, __ATOMIC_ACQUIRE);
    return sum;
}

/* Where the hand is, after which it moves on; NULL: at the end of a size. */
static struct folio *turn_hand(struct arena *arena, struct pool **pool)
{
    *pool = &arena->pools[arena->hand_pool];
    if (arena->hand < __atomic_load_n(&(*pool)->begun, __ATOMIC_ACQUIRE))
        return &(*pool)->folios[arena->hand++];
    arena->hand = 0;
    arena->hand_pool = (arena->hand_pool + 1) % SIZES;
    return NULL;
}

/*
 * Evicts until so many bytes are free. In the first round folios that were used get their second
 * chance, and some are evicted for those who come next; in the second neither. True: folios were
 * locked that may be let go.
 */
static bool make_free(struct arena *arena, uint64_t bytes)
{
    const uint64_t round = descriptors(arena) + SIZES;
    const uint64_t need = missing(arena, bytes);
    const uint64_t ahead = need > 0 ? arena->limit / AHEAD_PART / AHEAD_STEP * AHEAD_STEP : 0;
    uint64_t freed = 0;
    bool busy = false;

    for (uint64_t i = 0; i < 2 * round; i++) {
        const bool mercy = i < round;
        struct pool *pool = NULL;
        struct folio *folio = NULL;
        enum look look = KEPT;

        if (freed >= need + (mercy ? ahead : 0))
            break;
        folio = turn_hand(arena, &pool);
        if (folio)
            look = look_at(arena, pool, folio, mercy);
        if (look == EVICTED)
            freed += pool->size;
        busy = busy || look == BUSY;
    }
    return busy;
}

/* Reservations: under the mutex, which is let go where others are called. */

static bool is_first(const struct arena *arena, const struct waiter *waiter)
{
    return arena->waiters.next == &waiter->node;
}

static bool grant(struct arena *arena, uint64_t bytes)
{
    if (bytes > arena->limit - arena->used)
        return false;
    arena->used += bytes;
    arena->reserved += bytes;
    return true;
}

static void wait_ms(struct arena *arena, struct waiter *waiter, unsigned ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)ms * 1000000;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&waiter->turn, &arena->mutex, &until);
}

/* Until its turn comes, and then until there is room. */
static int stand_in_line(struct arena *arena, struct waiter *waiter, uint64_t bytes,
                         int (*stuck)(void *context), void *context)
{
    unsigned soon = BUSY_MS;

    for (;;) {
        const uint32_t seen = __atomic_load_n(&arena->changes, __ATOMIC_SEQ_CST);
        const bool first = is_first(arena, waiter);
        bool busy = false;
        int error = 0;

        pthread_mutex_unlock(&arena->mutex);
        busy = first && make_free(arena, bytes); /* the hand is the first one's */
        pthread_mutex_lock(&arena->mutex);
        if (first && grant(arena, bytes))
            return 0;
        pthread_mutex_unlock(&arena->mutex);
        if (first)
            arena->pressed(arena->context);
        error = stuck ? stuck(context) : 0;
        pthread_mutex_lock(&arena->mutex);
        if (first) {
            if (grant(arena, bytes))
                return 0;
            /* What is reserved will be folios soon, which may be evicted then: nobody tells of that. */
            busy = busy || arena->reserved > 0;
            if (error && !busy)
                return error;
            if (__atomic_load_n(&arena->changes, __ATOMIC_SEQ_CST) != seen)
                continue;
        } else if (is_first(arena, waiter)) {
            continue;
        }
        wait_ms(arena, waiter, busy ? soon : ASK_MS);
        soon = busy && soon < ASK_MS / 2 ? soon * 2 : soon;
    }
}

static int wait_for(struct arena *arena, uint64_t bytes, int (*stuck)(void *context), void *context)
{
    struct waiter waiter;
    pthread_condattr_t monotonic;
    int error = 0;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&waiter.turn, &monotonic);
    pthread_condattr_destroy(&monotonic);
    cds_list_add_tail(&waiter.node, &arena->waiters);
    __atomic_fetch_add(&arena->waiting, 1, __ATOMIC_SEQ_CST);
    error = stand_in_line(arena, &waiter, bytes, stuck, context);
    __atomic_fetch_sub(&arena->waiting, 1, __ATOMIC_RELAXED);
    cds_list_del(&waiter.node);
    call_first(arena);
    pthread_cond_destroy(&waiter.turn);
    return error;
}

int arena_reserve_(struct arena *arena, uint32_t size, unsigned count, bool nowait,
                   int (*stuck)(void *context), void *context)
{
    struct pool *pool = pool_of(arena, size);
    const uint64_t bytes = (uint64_t)size * count;
    int error = 0;

    if (pool == NULL)
        return -EINVAL;
    if (bytes > arena->limit)
        return -ENOMEM;
    pthread_mutex_lock(&arena->mutex);
    if (count > 0 && pool->memory == NULL && !begin_pool(arena, pool))
        error = -ENOMEM;
    else if (cds_list_empty(&arena->waiters) && grant(arena, bytes))
        error = 0;
    else
        error = nowait ? -EAGAIN : wait_for(arena, bytes, stuck, context);
    pthread_mutex_unlock(&arena->mutex);
    return error;
}
