/* SPDX-License-Identifier: MIT */
/*
 * Misuse: with CASE_name defined the analysis says what stands behind the name; "c++" before it: in
 * C++ only.
 */
#include "file.h"

void misuse(struct file *file, struct file *other, struct twostate_hold *hold, bool often);
void misuse(struct file *file, struct file *other, struct twostate_hold *hold, bool often)
{
    (void)file;
    (void)other;
    (void)hold;
    (void)often;

    /* case missing_release: state A 'file->iotype.in_a_' is still held at the end of function */
#ifdef CASE_missing_release
    twostate_lock_acquire(&file->iotype, A);
#endif

    /* case missing_release_on_a_path: 'file->iotype' is not held on every path through here */
#ifdef CASE_missing_release_on_a_path
    twostate_lock_acquire(&file->iotype, B);
    if (often)
        twostate_lock_release(&file->iotype, B);
#endif

        /* case release_not_held: releasing two-state lock 'file->iotype' that was not held */
#ifdef CASE_release_not_held
    twostate_lock_release(&file->iotype, A);
#endif

    /* case release_twice: releasing IOLOCK 'file->iolock' that was not held */
#ifdef CASE_release_twice
    twostate_iolock_acquire(&file->iolock, TWOSTATE_SHARED);
    twostate_iolock_release(&file->iolock, TWOSTATE_SHARED);
    twostate_iolock_release(&file->iolock, TWOSTATE_SHARED);
#endif

    /* case release_in_the_other_state: releasing state B 'file->iotype.in_b_' that was not held */
#ifdef CASE_release_in_the_other_state
    twostate_lock_acquire(&file->iotype, A);
    twostate_lock_release(&file->iotype, B);
#endif

    /* case exclusive_twice: acquiring IOLOCK 'file->iolock' that is already held */
#ifdef CASE_exclusive_twice
    twostate_iolock_acquire(&file->iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_acquire(&file->iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_release(&file->iolock, TWOSTATE_EXCLUSIVE);
#endif

    /* case a_then_b: acquiring two-state lock 'file->iotype' that is already held */
#ifdef CASE_a_then_b
    twostate_lock_acquire(&file->iotype, A);
    twostate_lock_acquire(&file->iotype, B);
    twostate_lock_release(&file->iotype, B);
#endif

    /* case a_in_a: acquiring state A 'file->iotype.in_a_' that is already held */
#ifdef CASE_a_in_a
    twostate_lock_acquire(&file->iotype, A);
    twostate_lock_acquire(&file->iotype, A);
    twostate_lock_release(&file->iotype, A);
#endif

    /* case iotype_before_iolock: 'iolock' must be acquired before 'iotype' */
#ifdef CASE_iotype_before_iolock
    twostate_lock_acquire(&file->iotype, A);
    twostate_iolock_acquire(&file->iolock, TWOSTATE_SHARED);
    twostate_iolock_release(&file->iolock, TWOSTATE_SHARED);
    twostate_lock_release(&file->iotype, A);
#endif

    /* case data_without_a_lock: writing variable 'requests' requires holding two-state lock */
#ifdef CASE_data_without_a_lock
    file->requests++;
#endif

    /* case data_in_the_other_state: writing variable 'dirty' requires holding state A */
#ifdef CASE_data_in_the_other_state
    twostate_lock_acquire(&file->iotype, B);
    file->dirty++;
    twostate_lock_release(&file->iotype, B);
#endif

    /* case data_written_under_shared: writing variable 'size' requires holding IOLOCK */
#ifdef CASE_data_written_under_shared
    twostate_iolock_acquire(&file->iolock, TWOSTATE_SHARED);
    file->size = 0;
    twostate_iolock_release(&file->iolock, TWOSTATE_SHARED);
#endif

    /* case c++ data_of_another: writing variable 'dirty' requires holding state A 'file->iotype.in_a_' */
#ifdef CASE_data_of_another
    twostate_lock_acquire(&other->iotype, A);
    file->dirty++;
    twostate_lock_release(&other->iotype, A);
#endif

    /* case call_without_the_lock: calling function 'mark_dirty' requires holding two-state lock */
#ifdef CASE_call_without_the_lock
    mark_dirty(file);
#endif

    /* case used_after_handing_over: writing variable 'flying' requires holding state B */
#ifdef CASE_used_after_handing_over
    begin(file);
    submit(file);
    file->flying++;
#endif

    /* case try_not_looked_at: releasing two-state lock 'file->iotype' that was not held */
#ifdef CASE_try_not_looked_at
    (void)twostate_lock_try_acquire(&file->iotype, A);
    twostate_lock_release(&file->iotype, A);
#endif

    /* case failed_try: writing variable 'dirty' requires holding state A */
#ifdef CASE_failed_try
    if (twostate_lock_try_acquire(&file->iotype, A))
        twostate_lock_release(&file->iotype, A);
    else
        file->dirty++;
#endif

        /* case failed_switch: writing variable 'flying' requires holding state B */
#ifdef CASE_failed_switch
    twostate_lock_acquire(&file->iotype, A);
    if (twostate_lock_switch(&file->iotype, B) == 0) {
        twostate_lock_release(&file->iotype, B);
    } else {
        file->flying++;
        twostate_lock_release(&file->iotype, A);
    }
#endif

    /* case drain_while_holding: cannot call function 'twostate_lock_drain' while two-state lock */
#ifdef CASE_drain_while_holding
    twostate_lock_acquire(&file->iotype, B);
    twostate_lock_drain(&file->iotype);
    twostate_lock_release(&file->iotype, B);
#endif

    /* case demote_of_shared: releasing IOLOCK 'file->iolock' using exclusive access, expected shared */
#ifdef CASE_demote_of_shared
    twostate_iolock_acquire(&file->iolock, TWOSTATE_SHARED);
    twostate_iolock_demote(&file->iolock);
    twostate_iolock_release(&file->iolock, TWOSTATE_SHARED);
#endif

    /* case hold_not_ended: hold 'hold' is still held at the end of function */
#ifdef CASE_hold_not_ended
    twostate_iopair_begin(&file->pair, TWOSTATE_BUFFERED_READ, hold);
#endif

    /* case hold_ended_twice: releasing hold 'hold' that was not held */
#ifdef CASE_hold_ended_twice
    twostate_iopair_begin(&file->pair, TWOSTATE_BUFFERED_READ, hold);
    twostate_iopair_end(hold);
    twostate_iopair_end(hold);
#endif

    /* case hold_not_begun: calling function 'twostate_iopair_extend_to_direct' requires holding hold */
#ifdef CASE_hold_not_begun
    twostate_iopair_extend_to_direct(hold);
#endif
}
