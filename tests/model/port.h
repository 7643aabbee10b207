/* SPDX-License-Identifier: MIT */
/*
 * The port between the code under test, which runs in fibers, and the explorer, which runs them.
 *
 * A fiber runs until it would touch something that other threads can see, and asks. The explorer
 * decides when the request is carried out, and with what answer. Also asked, so that the checks
 * know what a word is for: that a call begins, what it returned, that a hold is over.
 */
#ifndef MODEL_PORT_H
#define MODEL_PORT_H

#include <stdbool.h>
#include <stdint.h>

enum request_kind {
    /* Of the library. */
    REQ_LOAD,  /* word -> its value */
    REQ_CAS,   /* word, a: seen, b: next -> 1 done; else port_seen_ has the value */
    REQ_STORE, /* word, a: value -> the old value (a store or an exchange) */
    REQ_WAIT,  /* word, a: upper half, b: until (ns; 0: no end), x: futex bits, y: shared */
    REQ_WAKE,  /* word, x: futex bits, y: 1 one of them, 0 all */
    REQ_NOW,   /* -> nanoseconds */
    REQ_TOUCH, /* an atomic of memory other than lock words: the fiber carries it out itself */
    REQ_LOCK,  /* a: address of a mutex, to be taken by the fiber once it is free */
    REQ_UNLOCK,
    REQ_SLEEP, /* a: address of a 32-bit flag, z: its value while the fiber sleeps, b: until */
    REQ_RAISE, /* a: address of a flag: wakes who sleeps there */
    /* Of the operations. */
    REQ_CALL,   /* x: enum call, y: group, a: holds, b: enum deadline, z: it leaves a waiter */
    REQ_RETURN, /* a: result, as int */
    REQ_LEAVE,  /* a: holds that are given back now, y: group: others run before it */
    REQ_POOL,   /* x: enum pool, y: group, a: how many holds */
    REQ_AWAIT,  /* until what x (enum await) says -> which of its answers */
    REQ_ENTER,  /* x: enum area: the thread is inside; y: 0 it leaves */
    REQ_FREE,   /* the locks' memory is gone */
    REQ_END,    /* the operation is over */
    REQ_FAIL,   /* port_message_ says what went wrong */
};

enum call {
    CALL_NONE,
    CALL_ACQUIRE,
    CALL_TRY,
    CALL_DRAIN,
    CALL_SWITCH, /* and thaw_to, demote */
    CALL_JOIN,
    CALL_RELEASE,
    CALL_OTHER, /* of a pair: several words, checked by what is inside with what */
};

enum deadline {
    DEADLINE_NONE,
    DEADLINE_SHORT, /* before the end of every patience */
    DEADLINE_LONG,  /* after it */
};

enum pool {
    POOL_PUT,   /* leaves holds to whoever releases them */
    POOL_TAKE,  /* takes them, to release them */
    POOL_ADOPT, /* knows of holds that it was granted as a waiter without a thread */
};

enum await {
    AWAIT_CLOSING, /* nobody else is in a call, but to release or to drain, and nobody begins one */
    AWAIT_DRAINED, /* no other thread drains */
    AWAIT_GRANT,   /* a, b: addresses of flags, one of which is set -> 0, or 1: no, cancel now */
    AWAIT_FLAG,    /* the same -> 0, with no choice */
    AWAIT_MOMENT,  /* nothing: others may run before it goes on */
    AWAIT_STORE,   /* the same; a: address of a count: if it is not 0, 1 is an answer too */
    AWAIT_ZERO,    /* a: address of a number that is 0 */
    AWAIT_MORE,    /* nothing; 0, or 1: one thing more, unless all is closing */
    AWAIT_ENTERED, /* no other thread is in a CALL_TRY */
    AWAIT_USE,     /* the same; a: holds, y: their state -> enum then, one of the menu's */
};

/* What a thread is inside of, in a pair: the rows of iopair.h's table. */
enum area {
    AREA_NONE,
    AREA_READ,
    AREA_WRITE,
    AREA_DIRECT,
    AREA_EXTEND,
    AREA_UNALIGNED,
    AREA_REMAP,
    AREA_ALONE,
    AREA_DURABLE, /* a buffered write that was submitted */
    AREA_TURNING, /* an extension that turns into direct IO */
};

struct request {
    uint8_t kind;
    uint8_t word;
    uint8_t x;
    uint8_t y;
    uint32_t z;
    uint64_t a;
    uint64_t b;
};

/* Where the locks are, for the code under test. Nothing is mapped there. */
#define ARENA       UINT64_C(0x600000000000)
#define ARENA_WORDS 4

/* After a pair's two locks: its flag, and the lock that the users of a file with a lease hold. */
#define WORD_REMAPPING 2
#define WORD_USERS     3

/* Asks, from a fiber. */
uint64_t port_ask_(const struct request *request);

/*
 * Memory of the calling fiber's thread, zero at first. What it begins with says what is left to do.
 */
#define PORT_LOCAL 128
#define PORT_LEFT  56
void *port_local_(void);

/* True for an address in the calling fiber's own stack. */
bool port_own_(const void *address);

/* Fails the exploration: a message as printf makes it. */
_Noreturn void port_fail_(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Of the code under test: where the lease's state is. */
extern const uint32_t *const lease_state_;

/* What a failed REQ_CAS saw. */
extern uint64_t port_seen_;

/* Of the code under test: one operation, by its number in ops.h. Ends with REQ_END. */
_Noreturn void ops_run(unsigned number);

#endif
