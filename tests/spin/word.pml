/* SPDX-License-Identifier: MIT */
/*
 * The lock word and its steps, by the names of lib/word.h (names.py compares them), on a word with
 * narrower fields.
 *
 * Left out:
 *   - word_patience, word_patience_us: how long patience lasts is the model's choice (lock.pml)
 *   - word_claims, word_wakes_others, word_waiting_all: for instruments
 */

#define A        0
#define B        1
#define DRAIN    2
#define SWITCHER 3 /* a waiting switch sleeps apart from the group it waits in */

/* The word: lower half, and from WORD_WAITING on the upper half, which is the futex. */
#define WORD_COUNT     7
#define WORD_HELD_A    8
#define WORD_STATES    24
#define WORD_SWITCHING 32
#define WORD_RESERVED  6
#define WORD_ASYNC     512
#define WORD_WAITING   10
#define WORD_SLEEP     16
#define WORD_TURN      (3 * word_turn(0))
#define WORD_SLEEP_SW  word_sleep(SWITCHER)

#define word_held(g)          ((g + 1) * WORD_HELD_A)
#define word_reserved(g)      (1 << (WORD_RESERVED + g))
#define word_sleep(g)         (1 << (WORD_SLEEP + g))
#define word_turn(g)          ((g + 1) << 20)
#define word_waiting_shift(g) (WORD_WAITING + 2 * g)
#define word_waiting_max(g)   3
#define word_waiting(w, g)    ((w >> word_waiting_shift(g)) & word_waiting_max(g))
#define word_holders(w)       (w & WORD_COUNT)
#define word_upper(w)         (w >> WORD_WAITING)
#define word_has_room(w, n)   (n <= MAX_HOLDS - word_holders(w))

#define IS(w, states) ((w & WORD_STATES) == (states))
#ifdef BUG_TURN_IGNORED
#define TURN_OF(w, g) true
#else
#define TURN_OF(w, g) ((w & WORD_TURN) == 0 || (w & WORD_TURN) == word_turn(g))
#endif
#ifdef BUG_DRAIN_EARLY
#define DRAINED(w) (IS(w, 0) || IS(w, word_held(DRAIN)) || word_holders(w) == 1)
#else
#define DRAINED(w) (IS(w, 0) || IS(w, word_held(DRAIN)))
#endif

/* A drain (n is 0) takes nothing, so no turn has to keep it out. */
#define word_admits(w, g, n)                                                                       \
    (n == 0 -> DRAINED(w) :                                                                        \
               TURN_OF(w, g) && word_has_room(w, n) &&                                             \
               (IS(w, 0) || (IS(w, word_held(g)) && !(EXCLUSIVE && g == B))))

inline word_remove_holds(w, n)
{
    w = w - n;
    if
    :: word_holders(w) == 0 -> w = w & ~WORD_STATES
    :: else
    fi
}

inline word_claim(w, g)
{
    if
    :: (w & WORD_TURN) == 0 -> w = w | word_turn(g)
    :: (w & WORD_TURN) == word_turn(g)
    :: else -> w = w | word_reserved(g)
    fi
}

inline word_pass_turn(w, g)
{
    w = w & ~WORD_TURN;
    if
    :: w & word_reserved((g + 1) % 3) ->
        w = (w & ~word_reserved((g + 1) % 3)) | word_turn((g + 1) % 3)
    :: !(w & word_reserved((g + 1) % 3)) && (w & word_reserved((g + 2) % 3)) ->
        w = (w & ~word_reserved((g + 2) % 3)) | word_turn((g + 2) % 3)
    :: else
    fi
}

inline word_enter(w, g, n)
{
    if
    :: n > 0 && EXCLUSIVE && g == B && (w & WORD_TURN) == word_turn(B) ->
        word_pass_turn(w, B);
        word_claim(w, B)
    :: else
    fi;
    if
    :: n > 0 -> w = (w | word_held(g)) + n
    :: else
    fi
}

inline word_leave(w, g)
{
    w = w - (1 << word_waiting_shift(g));
    if
    :: word_waiting(w, g) > 0 ->
#ifdef BUG_TURN_EARLY
        if
        :: (w & WORD_TURN) == word_turn(g) -> word_pass_turn(w, g)
        :: else
        fi;
#endif
        if
#ifndef BUG_NO_ANSWER
        :: EXCLUSIVE && g == B -> w = w | word_sleep(g)
#endif
        :: else
        fi
    :: else ->
        w = w & ~word_reserved(g);
        if
        :: !((w & WORD_ASYNC) || SHARED) -> w = w & ~word_sleep(g)
        :: ((w & WORD_ASYNC) || SHARED) && EXCLUSIVE && g == B -> w = w | word_sleep(g)
        :: else
        fi;
        if
#ifndef BUG_TURN_KEPT
        :: (w & WORD_TURN) == word_turn(g) -> word_pass_turn(w, g)
#endif
        :: else
        fi
    fi
}

#ifdef BUG_OTHERS_FIRST
#define ALL_ARE_COUNTED(w) true
#else
#define ALL_ARE_COUNTED(w) (!(w & WORD_ASYNC) && !SHARED)
#endif

inline word_end_async(w)
{
    w = w & ~WORD_ASYNC;
    for (k : 0 .. 2) {
        w = (word_waiting(w, k) == 0 -> w & ~word_sleep(k) : w)
    }
}

/* Whom to wake when the last holder of g has left (w is the word without it): bits of the word. */
inline word_wake_at_unlock(w, g, wake)
{
    wake = w & (word_sleep(A) | word_sleep(B) | word_sleep(DRAIN));
    if
    :: w & WORD_TURN ->
        wake = wake & (word_sleep((((w & WORD_TURN) >> 20) - 1)) | word_sleep(DRAIN))
    :: !(w & WORD_TURN) && (wake & ~word_sleep(g)) && ALL_ARE_COUNTED(w) ->
        wake = wake & ~word_sleep(g)
    :: else
    fi
}

inline word_wake_admitted(w, wake)
{
    wake = (word_admits(w, A, 1) -> w & word_sleep(A) : 0) |
           (word_admits(w, B, 1) -> w & word_sleep(B) : 0) |
           (word_admits(w, DRAIN, 0) -> w & word_sleep(DRAIN) : 0)
}
