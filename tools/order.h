/* SPDX-License-Identifier: MIT */
/*
 * Order: whether what the reads of one slot returned can be true.
 *
 * Each write gives the slot a value that no other write gives. Value V must come before value X if
 * some operation on V (its write, or a read that returned it) ended before some operation on X
 * began. If that holds both ways round, a read was stale. No history without such a pair is wrong,
 * and every history with one is (Gibbons, Korach: Testing Shared Memories, 1997); so this neither
 * misses a stale read nor invents one. Zeroes are not unique: a read of zeroes passes if it can
 * belong to any of the punches.
 *
 * A write that failed may or may not have happened, and until a later one has completed the slot
 * may hold a mixture.
 *
 * Threads: any thread may call anything. The mutex guards the books only; nobody does IO under it.
 */
#ifndef TOOL_ORDER_H
#define TOOL_ORDER_H

#include "block.h"
#include "kinds.h"

#include <pthread.h>

struct order_op {
    struct order_op *prev, *next;
    uint64_t start, end;
};

struct order_value {
    uint64_t id;
    uint64_t first_end;  /* of the operations on it; UINT64_MAX while none has ended */
    uint64_t last_start; /* of the operations on it */
    enum kind kind;      /* of its write */
    bool zero, writing;
};

struct order_slot {
    pthread_mutex_t mutex;
    uint64_t clock;
    struct order_op *oldest, *newest; /* operations in flight, by start */
    struct order_value *values;
    unsigned count, room, prune_at;
    bool ever_zero;
    uint64_t failed_at;  /* when the last write failed */
    uint64_t torn_until; /* reads that started before may find a mixture */
    unsigned direct_readers;
    bool direct_writer;
};

enum verdict {
    VERDICT_OK,
    VERDICT_TORN,
    VERDICT_STALE,
};

/* A slot that holds the value 0, as if written by kind. */
void order_init(struct order_slot *slot, enum kind kind);
void order_destroy(struct order_slot *slot);

/* A write begins; returns the id of its value, never 0. zero: it writes zeroes. */
uint64_t order_write_begin(struct order_slot *slot, struct order_op *op, enum kind kind, bool zero);

/* It ended. ok: it was acknowledged as complete. */
void order_write_end(struct order_slot *slot, struct order_op *op, uint64_t id, bool ok);

void order_read_begin(struct order_slot *slot, struct order_op *op);

/* The read is over, but what it found is told to order_read_end later. */
void order_read_stop(struct order_slot *slot, struct order_op *op);

/* The read ended and found this; id is that of a CONTENT_BLOCK. */
enum verdict order_read_end(struct order_slot *slot, struct order_op *op, enum content content,
                            uint64_t id);

/* The read failed. */
void order_read_cancel(struct order_slot *slot, struct order_op *op);

/* The kind of the newest write that was acknowledged: to whom a loss is charged. */
enum kind order_last_kind(struct order_slot *slot);

/*
 * Direct requests that overlap each other are not atomic in any file system, so the load does not
 * make them: a direct write claims its slot alone, direct reads share it. False: take another slot.
 */
bool order_claim(struct order_slot *slot, bool write);
void order_unclaim(struct order_slot *slot, bool write);

#endif
