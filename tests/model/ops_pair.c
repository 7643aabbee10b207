/* SPDX-License-Identifier: MIT */
/* Operations of the pair. */
#include "uses.h"

/* The pair. */

static void inside(enum area area)
{
    say(REQ_ENTER, area, 1, 0);
}

static void outside(void)
{
    say(REQ_ENTER, 0, 0, 0);
    call(CALL_OTHER, 0, 0, FORM_WAIT);
}

static enum area area_of(enum twostate_iopath path)
{
    return (enum area)(AREA_READ + path);
}

static int begin(enum twostate_iopath path, struct twostate_hold *hold, enum form form)
{
    int result = 0;

    call(CALL_OTHER, 0, 0, form);
    if (form == FORM_TRY)
        result = twostate_iopair_try_begin(PAIR, path, hold) ? 0 : -ECANCELED;
    else if (form == FORM_WAIT)
        twostate_iopair_begin(PAIR, path, hold);
    else
        result = twostate_iopair_begin_timed(PAIR, path, hold, deadline(form));
    return returned(result);
}

/* Where the merging sees what they hold. */
static struct twostate_hold *hold_of_thread(void)
{
    return (struct twostate_hold *)sys_thread_()->left.hold;
}

static void submit(struct twostate_hold *hold, enum area completing)
{
    struct twostate_hold *completion = (struct twostate_hold *)sys_thread_()->left.completion;

    say(REQ_ENTER, completing, 0, 0);
    call(CALL_OTHER, 0, 0, FORM_WAIT);
    twostate_iopair_submitting(hold, completion);
    inside(completing);
    twostate_iopair_submitted(hold);
    outside();
    twostate_iopair_complete(completion);
    returned(0);
}

static void end(struct twostate_hold *hold)
{
    outside();
    twostate_iopair_end(hold);
    returned(0);
}

void run_pair(const struct op *op)
{
    const enum twostate_iopath path = (enum twostate_iopath)op->state;
    struct twostate_hold *hold = hold_of_thread();

    if (begin(path, hold, (enum form)op->form) != 0)
        return;
    stage(STAGE_USE(0, op->then) + 300);
    inside(area_of(path));
    if (op->then == THEN_SUBMIT) {
        submit(hold, path == TWOSTATE_DIRECT ? AREA_DIRECT : AREA_DURABLE);
        return;
    }
    if (op->then == THEN_EXTEND || op->then == THEN_TRY_EXTEND) {
        bool done = true;

        say(REQ_AWAIT, AWAIT_MOMENT, 0, 0);
        inside(AREA_TURNING);
        call(CALL_OTHER, 0, 0, FORM_WAIT);
        if (op->then == THEN_EXTEND)
            twostate_iopair_extend_to_direct(hold);
        else
            done = twostate_iopair_try_extend_to_direct(hold);
        returned(0);
        inside(done ? AREA_DIRECT : AREA_EXTEND);
    }
    if (op->then == THEN_RETRY) {
        outside();
        twostate_iopair_retry_unaligned(hold);
        returned(0);
        inside(AREA_UNALIGNED);
    }
    stage(1000);
    end(hold);
}
