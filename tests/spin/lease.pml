/* SPDX-License-Identifier: MIT */
/*
 * The design of the lease (lib/io/lease.c): buffered requests, those who want another path, and who
 * closes the file.
 *
 * A step is one atomic access. What a thread writes to its slot stays in its store buffer, where
 * nobody else sees it, for as long as it likes, or until somebody's barrier empties all buffers;
 * everything else is sequentially consistent. The pair is left with what matters here: BUFFERED is
 * shared by any number, another path is had alone, and who waits may be passed. A lease is offered
 * at any time, not after so many requests. Each touch of the file's memory says so: it must not be
 * freed yet.
 *
 * A call on the file that was made before the file was closed counts as made in time until it is in
 * or refused: so it is today, without a lease.
 *
 * What must be true: no other path beside a buffered request, nothing touched that is freed, and all
 * come to their end: a lost wake-up is a state in which somebody waits for ever. The switches BUG_*
 * break the design: each must be found out.
 */

#ifndef BUFFERED
#define BUFFERED 2 /* threads with buffered requests */
#endif
#ifndef OTHERS
#define OTHERS 1 /* threads that want another path */
#endif
#ifndef TIMES
#define TIMES 2 /* requests of each buffered one */
#endif
#ifndef OTHER_TIMES
#define OTHER_TIMES 1
#endif
#ifndef CLOSES
#define CLOSES 1 /* 0: nobody; so nobody is rescued by it */
#endif
#define SLOTS BUFFERED

mtype = { OFF, STARTING, ON, ENDING };
#define NOBODY 0
#define IN     1 /* the lease's name */
#define EMPTY  2

/* The file's memory. */
mtype state = OFF;
byte others = 0;
byte owing = 0;
bool held = false; /* lease->hold */
byte users = 0;
byte buffered = 0; /* holds of the pair: requests, and the lease */
bool alone = false;

bool freed = false;
byte slots[SLOTS];
bool marks[SLOTS];
byte first[SLOTS] = EMPTY; /* the store buffers: */
byte second[SLOTS] = EMPTY;

/* What the properties know. */
bool closing = false;
byte entering = 0; /* calls that are neither in nor refused */
byte inside = 0;   /* buffered requests */
bool other_inside = false;

#define touch assert(!freed)

inline settle(zero)
{
    d_step { touch; assert(owing > 0); owing--; zero = owing == 0 };
    if
    :: !zero
    :: else ->
#ifdef BUG_OFF_EARLY
        d_step { touch; state = OFF };
        d_step { touch; assert(held); held = false; buffered-- };
#else
        d_step { touch; assert(held); held = false; buffered-- };
        d_step { touch; state = OFF };
#endif
        d_step { touch; users-- }
    fi
}

inline put(slot, value)
{
    d_step {
        if
        :: first[slot] == EMPTY -> first[slot] = value
        :: else ->
            if
            :: second[slot] != EMPTY -> slots[slot] = first[slot]; first[slot] = second[slot]
            :: else
            fi;
            second[slot] = value
        fi
    }
}

inline drain(slot)
{
    d_step {
        if
        :: first[slot] != EMPTY ->
            slots[slot] = first[slot];
            first[slot] = second[slot];
            second[slot] = EMPTY
        :: else
        fi
    }
}

inline barrier(i)
{
    d_step {
        i = 0;
        do
        :: i < SLOTS ->
            if :: first[i] != EMPTY -> slots[i] = first[i] :: else fi;
            if :: second[i] != EMPTY -> slots[i] = second[i] :: else fi;
            first[i] = EMPTY;
            second[i] = EMPTY;
            i++
        :: else -> break
        od;
        i = 0
    }
}

inline end_lease(i, had, zero)
{
#ifdef BUG_ENDER_NOT_COUNTED
    d_step { touch; owing = 0 };
#else
    d_step { touch; owing = 1 };
#endif
#ifndef BUG_NO_BARRIER
    barrier(i);
#endif
    i = 0;
    do
    :: i < SLOTS ->
        d_step { had = slots[i] == IN };
        if
        :: !had
        :: else ->
#ifdef BUG_MARKED_FIRST
            d_step { assert(!marks[i]); marks[i] = true };
            d_step { touch; owing++ }
#else
            d_step { touch; owing++ };
            d_step { assert(!marks[i]); marks[i] = true }
#endif
        fi;
        i++
    :: else -> break
    od;
#ifndef BUG_NO_SECOND_BARRIER
    barrier(i);
#endif
    i = 0;
    do
    :: i < SLOTS ->
        d_step { had = slots[i] != IN };
        if
        :: !had
        :: else ->
            d_step { had = marks[i]; marks[i] = false };
            if
#ifdef BUG_NOT_WITHDRAWN
            :: had
#else
            :: had -> d_step { touch; owing-- }
#endif
            :: else
            fi
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    settle(zero);
    had = false; zero = false
}

inline end_if_on(i, had, zero)
{
    d_step { touch; had = state == ON; if :: had -> state = ENDING :: else fi };
    if
    :: had -> end_lease(i, had, zero)
    :: else
    fi
}

inline call_in(i, had, zero)
{
    d_step { touch; others++ };
    end_if_on(i, had, zero)
}

inline allow()
{
    d_step { touch; assert(others > 0); others-- }
}

inline leave(slot, had, zero)
{
#ifdef BUG_LOOKS_FIRST
    d_step { had = marks[slot]; marks[slot] = false };
    put(slot, NOBODY);
#else
    put(slot, NOBODY);
    d_step { had = marks[slot]; marks[slot] = false };
#endif
    if
    :: !had ->
#ifdef BUG_LATE_LOOK
        touch
#endif
        skip
    :: else -> settle(zero)
    fi;
    had = false; zero = false
}

inline offer(i, had, zero)
{
    d_step {
        touch;
        had = state == OFF && others == 0;
        if :: had -> state = STARTING :: else fi
    };
    if
    :: !had
    :: else ->
        if
        :: d_step { touch; users++ };
            d_step { touch; assert(!held); had = !alone; if :: had -> held = true; buffered++ :: else fi };
            if
            :: had ->
                d_step { touch; state = ON };
#ifndef BUG_NO_RECHECK
                d_step { touch; had = others > 0 };
                if
                :: had -> end_if_on(i, had, zero)
                :: else
                fi
#endif
            :: else ->
                d_step { touch; users-- };
                d_step { touch; state = OFF }
            fi
        :: d_step { touch; state = OFF } /* it can't be had */
        fi
    fi;
    had = false
}

/* In by the lease, or by users and the pair; closed: refused. */
active [BUFFERED] proctype request()
{
    byte slot = _pid;
    byte n = 0;
    byte i = 0;
    bool had = false;
    bool zero = false;
    bool leased = false;

    do
    :: n == TIMES -> break
    :: n < TIMES ->
        if
        :: atomic { closing -> break }
        :: atomic { !closing -> entering++ }
        fi;
        n++;
        d_step { touch; leased = state == ON };
        if
        :: leased ->
            put(slot, IN);
#ifndef BUG_NO_SECOND_LOOK
            d_step { touch; leased = state == ON };
#endif
            if
            :: leased
            :: else -> leave(slot, had, zero)
            fi
        :: else
        fi;
        if
        :: leased ->
            d_step { entering--; inside++ };
            d_step { assert(!other_inside); inside-- };
            leave(slot, had, zero)
        :: else ->
            d_step { touch; had = !closing; if :: had -> users++ :: else fi; entering-- };
            if
            :: !had -> break
            :: else ->
                atomic { !alone -> touch; buffered++; inside++ };
                offer(i, had, zero);
                d_step { touch; assert(!other_inside); inside--; buffered-- };
                d_step { touch; users-- }
            fi
        fi
    od
}

/* Another path, perhaps given up, perhaps let go for one more. */
active [OTHERS] proctype other()
{
    byte n = 0;
    byte i = 0;
    bool had = false;
    bool zero = false;

    do
    :: n == OTHER_TIMES -> break
    :: n < OTHER_TIMES ->
        n++;
        d_step { had = !closing; if :: had -> users++ :: else fi };
        if
        :: !had -> break
        :: else
        fi;
        call_in(i, had, zero);
        if
        :: true ->
            atomic { !alone && buffered == 0 -> touch; alone = true };
            allow();
            d_step { assert(inside == 0); other_inside = true };
            other_inside = false;
            if
            :: true -> /* it lets go, to wait for another path */
#ifndef BUG_RETRY
                call_in(i, had, zero);
#endif
                d_step { touch; alone = false };
                atomic { buffered == 0 && !alone -> touch; alone = true };
#ifndef BUG_RETRY
                allow();
#endif
                d_step { assert(inside == 0); other_inside = true };
                other_inside = false
            :: true
            fi;
            d_step { touch; alone = false }
        :: allow() /* it gives up */
        fi;
        d_step { touch; users-- }
    od
}

/* The processors write their buffers to memory, in order, some time. */
active proctype processors()
{
    byte i = 0;

end:
    do
    :: atomic { first[0] != EMPTY -> i = 0; drain(i) }
#if SLOTS > 1
    :: atomic { first[1] != EMPTY -> i = 1; drain(i) }
#endif
#if SLOTS > 2
    :: atomic { first[2] != EMPTY -> i = 2; drain(i) }
#endif
    od
}

#if CLOSES
active proctype closer()
{
    byte i = 0;
    bool had = false;
    bool zero = false;

#ifndef BUG_CLOSE_UNCALLED
    call_in(i, had, zero);
#endif
    closing = true;
    atomic { users == 0 && entering == 0 -> freed = true }
}
#endif
