/* SPDX-License-Identifier: MIT */
/*
 * The operations: each is one thread's use of the locks, from its first call to its last, through
 * the public headers. Compiled with the seam, like the library, so that the inline paths are seen.
 */
#include "ops.h"

#include "uses.h"

/* How many holds an operation decides about late (world.h). */
enum {
    HOLDS_run_acquire = 1,
    HOLDS_run_acquire_two = 2,
    HOLDS_run_drain = 0,
    HOLDS_run_drain_free = 0,
    HOLDS_run_acquire_free = 0,
    HOLDS_run_query_free = 0,
};

#define LOCK_OP(name, what, run, state, form, then)                                                \
    {                                                                                              \
        name, what, run, SUBJECT_LOCK, state, form, then, HOLDS_##run, false, (then) == THEN_POOL  \
    }
#define IOLOCK_OP(name, what, run, mode, form, then)                                               \
    {                                                                                              \
        name, what, run, SUBJECT_IOLOCK, mode, form, then, 1, false, (then) == THEN_POOL           \
    }
#define PAIR_OP(name, what, path, form, then)                                                      \
    {                                                                                              \
        name, what, run_pair, SUBJECT_PAIR, path, form, then, 0, false, false                      \
    }
#define IO_OP(name, what, run, subject, state, form, then)                                         \
    {                                                                                              \
        name, what, run, subject, state, form, then, 0, false, false                               \
    }
#define ASYNC_OP(name, what, run, subject, state, form, then)                                      \
    {                                                                                              \
        name, what, run, subject, state, form, then, 0, true, false                                \
    }
#define BOTH(name, what, run, form, then)                                                          \
    LOCK_OP(name "A", what, run, TWOSTATE_A, form, then),                                          \
        LOCK_OP(name "B", what, run, TWOSTATE_B, form, then)

const struct op ops[] = {
    {"+A", "releases an A from the pool", run_pooled, SUBJECT_ANY, TWOSTATE_A, 0, 0, 0, false,
     false},
    {"+B", "releases a B from the pool", run_pooled, SUBJECT_ANY, TWOSTATE_B, 0, 0, 0, false,
     false},
    {"+f", "thaws a freeze from the pool", run_pooled, SUBJECT_ANY, FREEZE, 0, 0, 0, false, false},
    BOTH("a", "acquire, release", run_acquire, FORM_WAIT, THEN_RELEASE),
    BOTH("t", "try", run_acquire, FORM_TRY, THEN_RELEASE),
    BOTH("T", "timed, by a deadline before the patience ends", run_acquire, FORM_SHORT,
         THEN_RELEASE),
    BOTH("L", "timed, by a deadline after it", run_acquire, FORM_LONG, THEN_RELEASE),
    BOTH("h", "acquire; another thread releases", run_acquire, FORM_WAIT, THEN_POOL),
    BOTH("j", "acquire, join, release twice", run_acquire, FORM_WAIT, THEN_JOIN),
    BOTH("s", "acquire, switch to the other", run_acquire, FORM_WAIT, THEN_SWITCH),
    BOTH("y", "acquire, try to switch", run_acquire, FORM_WAIT, THEN_TRY_SWITCH),
    BOTH("S", "acquire, switch by a deadline", run_acquire, FORM_WAIT, THEN_SWITCH_SHORT),
    BOTH("2", "acquire two, release them in turn", run_acquire_two, FORM_WAIT, THEN_RELEASE_TWO),
    BOTH("n", "acquire two, release both at once", run_acquire_two, FORM_WAIT, THEN_RELEASE_BOTH),
    BOTH("N", "acquire two, timed", run_acquire_two, FORM_SHORT, THEN_RELEASE_BOTH),
    LOCK_OP("d", "drain", run_drain, 0, FORM_WAIT, 0),
    LOCK_OP("Td", "drain, timed", run_drain, 0, FORM_SHORT, 0),
    LOCK_OP("f", "freeze, thaw", run_acquire, FREEZE, FORM_WAIT, THEN_RELEASE),
    LOCK_OP("tf", "try to freeze", run_acquire, FREEZE, FORM_TRY, THEN_RELEASE),
    LOCK_OP("Tf", "freeze, timed", run_acquire, FREEZE, FORM_SHORT, THEN_RELEASE),
    LOCK_OP("hf", "freeze; another thread thaws", run_acquire, FREEZE, FORM_WAIT, THEN_POOL),
    LOCK_OP("sf", "freeze, thaw to A", run_acquire, FREEZE, FORM_WAIT, THEN_SWITCH),
    LOCK_OP("Fd", "drain and free; other drains first", run_drain_free, 0, FORM_WAIT, THEN_FREE),
    LOCK_OP("Fw", "drain and free, wrongly: under other drains", run_drain_free, 0, FORM_WAIT, 0),
    BOTH("F", "acquire, release, drain, free", run_acquire_free, FORM_WAIT, THEN_FREE),
    LOCK_OP("Fq", "free if a query says unlocked", run_query_free, 0, FORM_WAIT, THEN_FREE),
    ASYNC_OP("kA", "acquire, async", run_async, SUBJECT_LOCK, TWOSTATE_A, 0, 0),
    ASYNC_OP("kB", "acquire, async", run_async, SUBJECT_LOCK, TWOSTATE_B, 0, 0),
    ASYNC_OP("cA", "acquire, async, may be cancelled", run_async, SUBJECT_LOCK, TWOSTATE_A, 0,
             THEN_CANCEL),
    ASYNC_OP("cB", "acquire, async, may be cancelled", run_async, SUBJECT_LOCK, TWOSTATE_B, 0,
             THEN_CANCEL),
    ASYNC_OP("cf", "freeze, async, may be cancelled", run_async, SUBJECT_LOCK, FREEZE, 0,
             THEN_CANCEL),
    ASYNC_OP("cd", "drain, async, may be cancelled", run_async, SUBJECT_LOCK, NOTHING, 0,
             THEN_CANCEL),
    ASYNC_OP("wA", "acquire, async, waited for", run_waiter_wait, SUBJECT_LOCK, TWOSTATE_A,
             FORM_WAIT, 0),
    ASYNC_OP("WB", "acquire, async, waited for until a deadline", run_waiter_wait, SUBJECT_LOCK,
             TWOSTATE_B, FORM_SHORT, 0),
    ASYNC_OP("vA", "acquire A, switch async, may be cancelled", run_async_switch, SUBJECT_LOCK,
             TWOSTATE_A, 0, 0),
    ASYNC_OP("vB", "acquire B, switch async, may be cancelled", run_async_switch, SUBJECT_LOCK,
             TWOSTATE_B, 0, 0),
    ASYNC_OP("vf", "freeze, thaw to A async, may be cancelled", run_async_switch, SUBJECT_LOCK,
             FREEZE, 0, 0),
    ASYNC_OP("gA", "acquire, async, through a queue", run_grants, SUBJECT_LOCK, TWOSTATE_A, 0, 0),
    ASYNC_OP("gB", "acquire, async, through a queue", run_grants, SUBJECT_LOCK, TWOSTATE_B, 0, 0),
    IOLOCK_OP("as", "shared", run_iolock, TWOSTATE_SHARED, FORM_WAIT, 0),
    IOLOCK_OP("ax", "exclusive", run_iolock, TWOSTATE_EXCLUSIVE, FORM_WAIT, 0),
    IOLOCK_OP("ts", "try shared", run_iolock, TWOSTATE_SHARED, FORM_TRY, 0),
    IOLOCK_OP("tx", "try exclusive", run_iolock, TWOSTATE_EXCLUSIVE, FORM_TRY, 0),
    IOLOCK_OP("Ts", "shared, timed", run_iolock, TWOSTATE_SHARED, FORM_SHORT, 0),
    IOLOCK_OP("Tx", "exclusive, timed", run_iolock, TWOSTATE_EXCLUSIVE, FORM_SHORT, 0),
    IOLOCK_OP("Lx", "exclusive, timed late", run_iolock, TWOSTATE_EXCLUSIVE, FORM_LONG, 0),
    IOLOCK_OP("hs", "shared; another thread releases", run_iolock, TWOSTATE_SHARED, FORM_WAIT,
              THEN_POOL),
    IOLOCK_OP("hx", "exclusive; another thread releases", run_iolock, TWOSTATE_EXCLUSIVE, FORM_WAIT,
              THEN_POOL),
    IOLOCK_OP("dx", "exclusive, demote", run_iolock, TWOSTATE_EXCLUSIVE, FORM_WAIT, THEN_DEMOTE),
    ASYNC_OP("cs", "shared, async, may be cancelled", run_iolock_async, SUBJECT_IOLOCK,
             TWOSTATE_SHARED, 0, 0),
    ASYNC_OP("cx", "exclusive, async, may be cancelled", run_iolock_async, SUBJECT_IOLOCK,
             TWOSTATE_EXCLUSIVE, 0, 0),
    ASYNC_OP("cr", "buffered read, async, may be cancelled", run_pair_async, SUBJECT_PAIR,
             TWOSTATE_BUFFERED_READ, 0, 0),
    ASYNC_OP("cw", "buffered write, async, may be cancelled", run_pair_async, SUBJECT_PAIR,
             TWOSTATE_BUFFERED_WRITE, 0, 0),
    ASYNC_OP("cD", "direct IO, async, may be cancelled", run_pair_async, SUBJECT_PAIR,
             TWOSTATE_DIRECT, 0, 0),
    ASYNC_OP("cm", "remap, async, may be cancelled", run_pair_async, SUBJECT_PAIR, TWOSTATE_REMAP,
             0, 0),
    ASYNC_OP("cx", "exclusive, async, may be cancelled", run_pair_async, SUBJECT_PAIR,
             TWOSTATE_EXCLUSIVE_IO, 0, 0),
    PAIR_OP("r", "buffered read", TWOSTATE_BUFFERED_READ, FORM_WAIT, 0),
    PAIR_OP("w", "buffered write", TWOSTATE_BUFFERED_WRITE, FORM_WAIT, 0),
    PAIR_OP("tw", "try a buffered write", TWOSTATE_BUFFERED_WRITE, FORM_TRY, 0),
    PAIR_OP("Tw", "buffered write, timed", TWOSTATE_BUFFERED_WRITE, FORM_SHORT, 0),
    PAIR_OP("ws", "buffered write, held until durable", TWOSTATE_BUFFERED_WRITE, FORM_WAIT,
            THEN_SUBMIT),
    PAIR_OP("D", "direct IO, submitted", TWOSTATE_DIRECT, FORM_WAIT, THEN_SUBMIT),
    PAIR_OP("tD", "try direct IO", TWOSTATE_DIRECT, FORM_TRY, THEN_SUBMIT),
    PAIR_OP("TD", "direct IO, timed", TWOSTATE_DIRECT, FORM_SHORT, THEN_SUBMIT),
    PAIR_OP("Du", "direct IO that turns out unaligned", TWOSTATE_DIRECT, FORM_WAIT, THEN_RETRY),
    PAIR_OP("e", "direct IO that extends", TWOSTATE_DIRECT_EXTEND, FORM_WAIT, THEN_EXTEND),
    PAIR_OP("te", "the same, tries to turn direct", TWOSTATE_DIRECT_EXTEND, FORM_WAIT,
            THEN_TRY_EXTEND),
    PAIR_OP("u", "unaligned direct IO", TWOSTATE_UNALIGNED, FORM_WAIT, 0),
    PAIR_OP("m", "remap", TWOSTATE_REMAP, FORM_WAIT, 0),
    PAIR_OP("Tm", "remap, timed", TWOSTATE_REMAP, FORM_SHORT, 0),
    PAIR_OP("x", "exclusive: truncate and its like", TWOSTATE_EXCLUSIVE_IO, FORM_WAIT, 0),
    PAIR_OP("tx", "try exclusive", TWOSTATE_EXCLUSIVE_IO, FORM_TRY, 0),
    PAIR_OP("Tx", "exclusive, timed", TWOSTATE_EXCLUSIVE_IO, FORM_SHORT, 0),
    IO_OP("h", "a hit: writes, if it can", run_folio_hit, SUBJECT_FOLIO, 0, FORM_TRY, 0),
    IO_OP("w", "a hit, or else exclusive", run_folio_hit, SUBJECT_FOLIO, 0, FORM_WAIT, THEN_RETRY),
    IO_OP("x", "exclusive: writes", run_folio, SUBJECT_FOLIO, TWOSTATE_EXCLUSIVE, FORM_WAIT, 0),
    IO_OP("s", "shared: reads", run_folio, SUBJECT_FOLIO, TWOSTATE_SHARED, FORM_WAIT, 0),
    IO_OP("tx", "try exclusive", run_folio, SUBJECT_FOLIO, TWOSTATE_EXCLUSIVE, FORM_TRY, 0),
    IO_OP("ts", "try shared", run_folio, SUBJECT_FOLIO, TWOSTATE_SHARED, FORM_TRY, 0),
    IO_OP("Tx", "exclusive, timed", run_folio, SUBJECT_FOLIO, TWOSTATE_EXCLUSIVE, FORM_SHORT, 0),
    IO_OP("Ts", "shared, timed", run_folio, SUBJECT_FOLIO, TWOSTATE_SHARED, FORM_SHORT, 0),
    IO_OP("r", "a buffered read", run_lease_request, SUBJECT_LEASE, TWOSTATE_BUFFERED_READ,
          FORM_WAIT, 0),
    IO_OP("w", "a buffered write", run_lease_request, SUBJECT_LEASE, TWOSTATE_BUFFERED_WRITE,
          FORM_WAIT, 0),
    IO_OP("W", "a thread with any number of them", run_lease_requests, SUBJECT_LEASE,
          TWOSTATE_BUFFERED_WRITE, FORM_WAIT, 0),
    IO_OP("D", "direct IO", run_lease_other, SUBJECT_LEASE, TWOSTATE_DIRECT, FORM_WAIT, 0),
    IO_OP("Du", "direct IO that turns out unaligned", run_lease_other, SUBJECT_LEASE,
          TWOSTATE_DIRECT, FORM_WAIT, THEN_RETRY),
    IO_OP("m", "remap", run_lease_other, SUBJECT_LEASE, TWOSTATE_REMAP, FORM_WAIT, 0),
    IO_OP("x", "exclusive: truncate and its like", run_lease_other, SUBJECT_LEASE,
          TWOSTATE_EXCLUSIVE_IO, FORM_WAIT, 0),
    IO_OP("g", "calls the lease in, and gives up", run_lease_give_up, SUBJECT_LEASE, 0, FORM_TRY,
          0),
    IO_OP("F", "closes the file, and frees it", run_lease_close, SUBJECT_LEASE, 0, FORM_WAIT,
          THEN_FREE),
};

const unsigned ops_count = sizeof(ops) / sizeof(ops[0]);

void ops_run(unsigned number)
{
    stage(number);
    ops[number].run(&ops[number]);
    for (;;)
        say(REQ_END, 0, 0, 0);
}
