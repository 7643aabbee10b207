/* SPDX-License-Identifier: MIT */
/*
 * Operations of a folio's lock and its gate: the library's own folio_lock.c, and who uses it. The data
 * is two numbers that are always the same, but while somebody writes.
 */
#include "seam_io.h"

#include "uses.h"

/* Between two looks at the gate nothing happens to the one who looks: so only the last one counts. */
#define sched_yield()         io_await_zero_(&FOLIO->gate)
#define nanosleep(time, rest) ((void)(time), io_await_zero_(&FOLIO->gate))
#define FOLIO                 ((struct folio *)ARENA)

/* So that the calls in it are these. NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "io/folio_lock.c"

static uint32_t data[2];

static uint32_t look(void)
{
    const uint32_t first = io_load32_(&data[0]);

    if (io_load32_(&data[1]) != first)
        port_fail_("half a write is seen");
    return first;
}

static void change(void)
{
    const uint32_t next = look() ^ 1;

    io_store32_(&data[0], next, __ATOMIC_RELAXED);
    io_store32_(&data[1], next, __ATOMIC_RELAXED);
}

static void inside(enum area area)
{
    say(REQ_ENTER, area, 1, 0);
    if (area == AREA_ALONE)
        change();
    else
        look();
    say(REQ_ENTER, 0, 0, 0);
}

static int take(enum twostate_iomode mode, enum form form)
{
    int result = 0;

    call(CALL_OTHER, 0, 0, form);
    if (form == FORM_TRY)
        result = folio_try_lock_(FOLIO, mode) ? 0 : -ECANCELED;
    else if (form == FORM_WAIT)
        folio_lock_(FOLIO, mode);
    else
        result = folio_lock_timed_(FOLIO, mode, deadline(form));
    return returned(result);
}

/* As user_copy.c goes about it: locked, for any of the ways to wait. */
static void locked(enum twostate_iomode mode, enum form form)
{
    if (take(mode, form) != 0)
        return;
    inside(mode == TWOSTATE_SHARED ? AREA_READ : AREA_ALONE);
    call(CALL_OTHER, 0, 0, FORM_WAIT);
    folio_unlock_(FOLIO, mode);
    returned(0);
}

void run_folio(const struct op *op)
{
    locked((enum twostate_iomode)op->state, (enum form)op->form);
    io_end_();
}

void run_folio_hit(const struct op *op)
{
    bool entered = false;

    call(CALL_OTHER, 0, 0, FORM_WAIT);
    entered = folio_enter_(FOLIO);
    returned(0);
    if (entered) {
        inside(AREA_ALONE);
        call(CALL_OTHER, 0, 0, FORM_WAIT);
        folio_leave_(FOLIO);
        returned(0);
    } else if (op->then == THEN_RETRY) {
        locked(TWOSTATE_EXCLUSIVE, FORM_WAIT);
    }
    io_end_();
}
