/* SPDX-License-Identifier: MIT */
/*
 * The whole state of a program of threads, the choices that it leaves, and one step of it.
 *
 * A step takes one thread from one stop to the next: over one access to memory that others see, and
 * over everything that only it can see. In the full mode each load and each compare-and-swap of a
 * lock word is a step. In the fused mode a step is a load with the compare-and-swap that follows
 * from it, which then can't fail; `splits` says how often in an execution another thread may come
 * in between all the same. (A failed compare-and-swap is a load: what follows from it is the same.)
 *
 * What a thread does with its holds is decided when it has them: so operations that begin alike are
 * one until then. A menu with two ways to take the same holds and two ways to use them has all four.
 *
 * Time is a choice: a sleep with an end may end so; who was woken may find that time has passed.
 */
#ifndef MODEL_WORLD_H
#define MODEL_WORLD_H

#include "ops.h"
#include "port.h"

#define THREADS_MAX 8U
#define ROUNDS_MAX  4U
#define SPLITS_ALL  255U /* the full mode */

/* What a thread's clock says, since its operation began; the order of the times. */
enum moment {
    MOMENT_START,
    MOMENT_SHORT,    /* the short deadline has passed */
    MOMENT_PATIENCE, /* the patience is over */
    MOMENT_LONG,     /* the long deadline has passed */
};

enum status {
    STATUS_READY,
    STATUS_ASLEEP,
};

/* What a call has seen, while it went on, that justifies its answer. */
enum seen {
    SEEN_UNLOCKED = 1, /* or frozen */
    SEEN_REFUSED = 2,  /* a try may fail */
    SEEN_SWITCHING = 4,
    SEEN_SLEEP = 8,  /* not that: it slept, so time may have passed */
    SEEN_FRESH = 16, /* nor that: no time has passed since it began */
};

struct thread {
    uint32_t node;
    uint8_t status;
    uint8_t clock; /* enum moment */
    uint8_t deadline;
    uint8_t call; /* enum call; and what it wants: */
    uint8_t group;
    uint8_t wanted;
    uint8_t seen;
    uint8_t held;      /* holds */
    uint8_t moving;    /* holds that the call in progress has taken, or has not given back yet */
    uint8_t state;     /* of them */
    uint8_t round;     /* operations begun */
    uint8_t area;      /* what it is inside of, in a pair */
    uint8_t mutexes;   /* that it has locked */
    uint8_t menu;      /* that its operation is of, while it is in one */
    uint8_t switching; /* 1 + the state to which a waiter that it left switches its hold */
    uint8_t unused;
};

struct world {
    uint64_t word[ARENA_WORDS];
    uint32_t shared;  /* memory, by number (automaton.h) */
    uint8_t spurious; /* wake-ups for no reason that are left */
    uint8_t splits;   /* see above */
    uint8_t closing;  /* nobody begins anything more: a thread is about to free the locks */
    uint8_t freed;
    uint8_t pool[3];      /* holds that their threads left to others to release */
    uint8_t handed[3];    /* holds taken for async waiters, which their threads don't know yet */
    uint8_t passed[2][3]; /* by word: turns that went elsewhere while the group had one reserved */
    struct thread thread[THREADS_MAX];
};

/* What the threads do: each begins one operation of menu[round] (a bit each), and so on. */
struct script {
    uint64_t menu[ROUNDS_MAX];
    uint64_t begin[ROUNDS_MAX]; /* of operations that begin alike, one */
    uint8_t rounds;
    uint8_t forever; /* the last menu again and again */
    uint8_t unused[6];
};

struct program {
    enum subject subject;
    unsigned threads;
    struct script script[THREADS_MAX];
    uint8_t like[THREADS_MAX]; /* the first thread with the same script */
    uint64_t first_word;       /* of the locks: their patience */
    bool async;                /* plain memory of the library matters, too */
    unsigned spurious, splits;
};

enum choice_kind {
    CHOICE_GO,
    CHOICE_SPLIT,    /* goes, and stops between a load and what follows from it */
    CHOICE_TIME,     /* its sleep ends by its deadline, or by the end of its patience */
    CHOICE_SPURIOUS, /* its sleep ends for no reason */
};

struct choice {
    uint8_t thread;
    uint8_t kind;
    uint8_t argument; /* of several ways to go: which */
};

#define CHOICES_MAX 512U
#define WAYS_MAX    (OPS_MAX + 3)

/*
 * A lock or an IOLOCK alone, of which each call says what it takes. Of all else, which calls several, it
 * is checked who is inside of what with whom.
 */
static inline bool world_is_lock(const struct program *program)
{
    return program->subject == SUBJECT_LOCK || program->subject == SUBJECT_IOLOCK;
}

/* The arena's words that the subject has. */
unsigned world_words(const struct program *program);

void world_init(struct world *world, const struct program *program);

/* All that can happen next. */
unsigned world_choices(const struct world *world, const struct program *program,
                       struct choice choices[CHOICES_MAX]);

/*
 * Makes the choice. NULL, or what is wrong now. *possible is false if a split was chosen where
 * there is nothing to split; the world is then of no use.
 */
const char *world_step(struct world *world, const struct program *program, struct choice choice,
                       bool *possible);

/* Between operations, and (idle) with nothing left for others to release. */
bool world_thread_idle(const struct world *world, unsigned thread);
bool world_idle(const struct world *world, const struct program *program);

/*
 * The same state with threads of one script in one order: equal for states that differ in it only.
 */
void world_sort(struct world *world, const struct program *program);

/*
 * For steps: in how many ways a thread can go on (a choice's arguments); who a wake is for; a
 * clock.
 */
unsigned world_ways(const struct world *world, const struct program *program, unsigned i,
                    uint8_t arguments[WAYS_MAX]);
bool world_sleeps_at(const struct thread *thread, const struct request *wake);
uint64_t world_nanoseconds(enum moment moment);

/* The checks (check.c). Each returns NULL, or what is wrong. */
const char *check_word(struct world *world, const struct program *program, unsigned thread,
                       unsigned word, uint64_t before);
const char *check_return(struct world *world, const struct program *program, unsigned thread,
                         int result);
const char *check_state(const struct world *world, const struct program *program);
const char *check_sleep(const struct world *world, const struct program *program, unsigned thread);
const char *check_stuck(const struct world *world, const struct program *program);
const char *check_enter(const struct world *world, const struct program *program, unsigned thread);
void check_begin(struct world *world, const struct program *program, unsigned thread);

#endif
