/* SPDX-License-Identifier: MIT */
/*
 * The design of the lock: its word, the steps that change it, and the waiting loop around them.
 *
 * The steps of the word are in word.pml. A step of the lock is one compare-and-swap, so it is one
 * d_step here; between two steps of a user the others may do whatever they like. Left out are the
 * fast paths (the same steps, on a word that has nobody to wake) and waiters that the word has no
 * room to count.
 *
 * How long patience lasts is the model's free choice, except that a waiter that was woken twice in
 * vain is out of patience. A deadline may pass at any time, and one sleeper may be woken for no
 * reason. An asynchronous waiter is one that sleeps in the same step in which it sets its sleep bit
 * (the mutex of async.c), and learns only from newcomers that its patience is over.
 *
 * run.py has the scenarios (who uses the lock, and how) and the properties. The switches BUG_*
 * break the design: each must be found out.
 */

/* What a user may do beyond acquire, or drain, and release. */
#define FREEZES  1 /* in the group DRAIN: holds the lock unlocked */
#define SWITCHES 2 /* turns its hold into one of another state */
#define TIMED    4 /* gives up at a deadline */
#define ONCE     8 /* comes once only */
#define TWO      16 /* holds, in one step */
#define ASYNC    32 /* has no thread; TIMED is cancelled then */

/* The scenario: two to four users, each a group and what it may do: -DUSER0=A,TIMED+SWITCHES */
#ifdef USER3
#define USERS 4
#elif defined(USER2)
#define USERS 3
#else
#define USERS 2
#endif
#ifndef EXCLUSIVE
#define EXCLUSIVE false /* B has one holder at a time: an IOLOCK */
#endif
#ifndef SHARED
#define SHARED false /* between processes */
#endif
#ifndef MAX_HOLDS
#define MAX_HOLDS 7
#endif
#ifndef PATIENCE
#define PATIENCE true /* false: nobody's is ever over */
#endif
#ifndef BARRIER
#define BARRIER false /* nobody comes while somebody drains */
#endif
#ifndef WATCHED
#define WATCHED 0 /* the user of whom the properties speak */
#endif

#include "word.pml"

/* The lock, and what the properties know about it. */
int word;
bit barrier;
byte holds[4];    /* how many it takes: 0 is a drain */
bit waits[4];     /* for the lock, or to be alone */
bit switching[4]; /* has a hold, waits to be alone with it */
bit asleep[4];    /* in the kernel, or queued in async.c */
bit async[4];
bit impatient[4];
bit tired[4];     /* woken in vain before */
byte waking[4];   /* the groups that this user is yet to wake, as bits */
bit counted[4];   /* in the word's count of waiters of */
byte waits_in[4];
byte in[3];       /* holders */

#define SLEEPS_IN(u) (switching[u] -> SWITCHER : waits_in[u])

/* Scratch of one step. */
hidden int next;
hidden int wake;
hidden byte i;
hidden byte k;
hidden byte n;

#define MAY_ENTER(u) (!switching[u] && word_admits(word, waits_in[u], holds[u]))

/*
 * ... is yet to be woken by user u; or somebody else is awake, or about to be, and will see to it
 * when it enters or gives up: of an unlocked lock any waiter, of the exclusive group one of it.
 */
#define ON_ITS_WAY(u, g) ((waking[u] & (1 << g)) != 0)
#define ANSWERS(u, sleeper)                                                                        \
    (((word & WORD_STATES) == 0 && (waking[u] || (counted[u] && !asleep[u]))) ||                   \
     (EXCLUSIVE && SLEEPS_IN(sleeper) == B && counted[u] && waits_in[u] == B && !asleep[u]))

inline check()
{
    assert((in[A] > 0) + (in[B] > 0) + (in[DRAIN] > 0) <= 1);
    assert(!EXCLUSIVE || in[B] <= 1);
    assert(word_holders(word) == in[A] + in[B] + in[DRAIN]);
    assert((word & WORD_STATES) == (in[A] > 0 -> word_held(A) : 0) +
                                       (in[B] > 0 -> word_held(B) : 0) +
                                       (in[DRAIN] > 0 -> word_held(DRAIN) : 0));
    for (k : 0 .. 2) {
        n = 0;
        for (i : 0 .. USERS - 1) {
            n = n + (counted[i] && waits_in[i] == k)
        }
        assert(n == word_waiting(word, k));
        /* What a group had, the last of it took along. */
        assert(n > 0 || !(word & word_reserved(k)));
        assert(n > 0 || (word & WORD_ASYNC) || SHARED || !(word & word_sleep(k)));
        assert(n > 0 || (word & WORD_TURN) != word_turn(k))
    }
    /* Whoever sleeps, though it may enter or its bit is clear, ... */
    for (i : 0 .. USERS - 1) {
        if
        :: asleep[i] && (!(word & word_sleep(SLEEPS_IN(i))) || MAY_ENTER(i)) ->
            n = 0;
            for (k : 0 .. USERS - 1) {
                n = n + (ON_ITS_WAY(k, SLEEPS_IN(i)) || ANSWERS(k, i))
            }
            assert(n > 0)
        :: else
        fi
    }
    next = 0;
    wake = 0
}

#define IS_ONE_OF_MANY(u) (EXCLUSIVE && SLEEPS_IN(u) == B && asleep[u] && !async[u])

/* The wake-up after a step that cleared sleep bits: of the exclusive group it wakes one thread. */
inline futex_wake()
{
    atomic {
        if
        :: !(waking[me] & (1 << B))
        :: else ->
            if
            :: IS_ONE_OF_MANY(0) -> asleep[0] = 0
            :: IS_ONE_OF_MANY(1) -> asleep[1] = 0
            :: IS_ONE_OF_MANY(2) -> asleep[2] = 0
            :: IS_ONE_OF_MANY(3) -> asleep[3] = 0
            :: else
            fi
        fi
    }
    d_step {
        for (i : 0 .. USERS - 1) {
            asleep[i] = asleep[i] && (IS_ONE_OF_MANY(i) || !(waking[me] & (1 << SLEEPS_IN(i))))
        }
        waking[me] = 0;
        i = 0
    }
}

#define GRANTED 1
#define REFUSED 2
#define WAITING 3

/* From state `from` (if switching) or nothing to a hold of g. */
#define ADMITS(w) (switching[me] -> word_holders(w) == 1 : word_admits(w, g, holds[me]))

inline enter()
{
    if
    :: switching[me] ->
        next = (next & ~(WORD_STATES | WORD_SLEEP_SW)) | word_held(g);
        in[from] = in[from] - 1
    :: else -> word_enter(next, g, holds[me])
    fi;
    in[g] = in[g] + holds[me];
    /* What a drain waits for: nobody is in, or it is frozen. */
    assert(holds[me] || in[A] + in[B] == 0)
}

inline leave()
{
    if
    :: switching[me] && counted[me] -> next = next & ~(WORD_SWITCHING | WORD_SLEEP_SW)
    :: else
    fi;
    if
    :: counted[me] -> word_leave(next, g)
    :: else
    fi;
    counted[me] = 0;
    waits_in[me] = 0;
    n = 0;
    for (i : 0 .. USERS - 1) {
        n = n + (async[i] && counted[i])
    }
    if
    :: async[me] && n == 0 -> word_end_async(next)
    :: else
    fi
}

#ifdef BUG_SLEEP_BIT_ONCE
#define SLEEP_BIT (counted[me] -> 0 : word_sleep(g))
#else
#define SLEEP_BIT word_sleep(g)
#endif

inline prepare()
{
    if
    :: !counted[me] ->
        assert(word_waiting(word, g) < word_waiting_max(g));
        next = next + (1 << word_waiting_shift(g))
    :: else
    fi;
    next = next | (switching[me] -> WORD_SWITCHING | WORD_SLEEP_SW : SLEEP_BIT);
    if
    :: impatient[me] -> word_claim(next, g)
    :: else
    fi;
    next = next | (async[me] -> WORD_ASYNC : 0);
    counted[me] = 1;
    asleep[me] = async[me];
    waits_in[me] = g;
    seen = word_upper(next)
}

/* One round of the waiting loop: in, out, or ready to sleep. */
inline look()
{
    d_step {
        next = word;
        if
        :: ADMITS(word) && !(async[me] && timed_out) ->
            enter();
            leave();
            outcome = GRANTED
        :: else ->
            if
            :: timed_out || (switching[me] && !counted[me] && (word & WORD_SWITCHING)) ||
               (!switching[me] && IS(word, word_held(g)) && !word_has_room(word, holds[me])) ->
                leave();
                outcome = REFUSED
            :: else ->
                prepare();
                outcome = WAITING
            fi
        fi;
        if
        :: outcome == WAITING
#ifdef BUG_GIVE_UP_SILENTLY
        :: outcome == REFUSED
#endif
        :: else ->
            word_wake_admitted(next, wake);
            next = next & ~wake;
            waking[me] = wake >> WORD_SLEEP
        fi;
        word = next;
        if
        :: outcome == WAITING
        :: else ->
            waits[me] = 0;
            impatient[me] = 0;
            tired[me] = 0;
            timed_out = 0
        fi;
        check()
    }
}

/* The system call looks at the upper half, and sleeps only if it is what it was. */
inline futex_wait()
{
    d_step {
#ifdef BUG_NO_RECHECK
        asleep[me] = 1;
#else
        asleep[me] = (async[me] -> asleep[me] : word_upper(word) == seen);
#endif
        seen = 0;
        check()
    }
}

inline release()
{
    d_step {
        next = word;
        word_remove_holds(next, holds[me]);
        in[g] = in[g] - holds[me];
        if
        :: (next & WORD_STATES) == 0 -> word_wake_at_unlock(next, g, wake)
        :: word_holders(next) == 1 -> wake = next & WORD_SLEEP_SW
        :: else -> wake = 0
        fi;
        next = next & ~wake;
#ifndef BUG_WAKE_DROPPED
        waking[me] = wake >> WORD_SLEEP;
#endif
        word = next;
        outcome = 0;
        check()
    }
}

#define MAY_TIRE (PATIENCE && !impatient[me])

/* A newcomer looks whether the patience of those is over who have no thread to look themselves. */
#define IS_PATIENT(u) (async[u] && asleep[u] && !impatient[u])
#define HAS_ENOUGH(u) (IS_PATIENT(u) && tired[u])

inline pass_by()
{
    if
    :: PATIENCE ->
        d_step {
            for (i : 0 .. USERS - 1) {
                n = IS_PATIENT(i);
                impatient[i] = impatient[i] || n;
                asleep[i] = asleep[i] && !n
            }
        }
    :: !(PATIENCE && (HAS_ENOUGH(0) || HAS_ENOUGH(1) || HAS_ENOUGH(2) || HAS_ENOUGH(3))) ->
        d_step {
            for (i : 0 .. USERS - 1) {
                tired[i] = tired[i] || IS_PATIENT(i)
            }
        }
    fi
}

proctype user(byte me; byte group; byte may)
{
    byte g;
    byte from;     /* the state that it switches from */
    bit switched;  /* or tried to */
    bit timed_out;
    byte outcome;
    int seen;      /* the upper half before sleeping */

    atomic {
        holds[me] = (group != DRAIN || (may & FREEZES) -> ((may & TWO) -> 2 : 1) : 0);
        async[me] = (may & ASYNC) != 0
    }

idle:
    if
    :: goto end
    :: atomic {
           !barrier -> barrier = (BARRIER && group == DRAIN);
           g = group;
           waits[me] = 1;
           pass_by()
       }
    fi;

looking:
    atomic {
        true;
        look();
        if
        :: outcome == WAITING
        :: outcome != WAITING && waking[me] -> goto waking_others
        :: else -> goto looked
        fi
    }
    futex_wait();
    if
    :: atomic { !asleep[me] && MAY_TIRE -> impatient[me] = 1; goto looking }
    :: atomic { !asleep[me] && !(MAY_TIRE && tired[me]) -> tired[me] = 1; goto looking }
    :: atomic { asleep[me] && MAY_TIRE && !async[me] -> asleep[me] = 0; impatient[me] = 1 }
    :: atomic { asleep[me] && (may & TIMED) -> asleep[me] = 0; timed_out = 1 }
    fi;
    goto looking;

waking_others:
    futex_wake();
looked:
    atomic {
        switching[me] = 0;
        if
        :: outcome == REFUSED && switched -> g = from
        :: outcome == GRANTED && holds[me]
        :: else -> goto done
        fi;
        outcome = GRANTED;
        from = 0
    }
    if
    :: atomic {
           true;
           release();
           if
           :: waking[me] -> goto waking_others
           :: else -> goto done
           fi
       }
    :: atomic {
           (may & SWITCHES) && !switched && holds[me] == 1 ->
           switching[me] = 1;
           switched = 1;
           from = g;
           g = (g == A -> B : A);
           waits[me] = 1;
           goto looking
       }
    fi;

done:
    atomic {
        if
        :: BARRIER && group == DRAIN -> barrier = 0
        :: else
        fi;
        g = 0;
        outcome = 0;
        switched = 0;
        if
        :: may & ONCE -> goto end
        :: else -> goto idle
        fi
    }
end:
    skip
}

active proctype kernel()
{
    if
    :: atomic { asleep[0] -> asleep[0] = 0 }
    :: atomic { asleep[1] -> asleep[1] = 0 }
    :: atomic { asleep[2] -> asleep[2] = 0 }
    :: atomic { asleep[3] -> asleep[3] = 0 }
    :: true
    fi
}

init
{
    atomic {
        run user(0, USER0);
        run user(1, USER1);
#if USERS > 2
        run user(2, USER2);
#endif
#if USERS > 3
        run user(3, USER3);
#endif
    }
}

/* Of an exclusive group one gets in, which one is not said: -DGOAL=in[B] */
#ifndef GOAL
#define GOAL !waits[WATCHED]
#endif
ltl granted { [] (waits[WATCHED] -> <> GOAL) }
