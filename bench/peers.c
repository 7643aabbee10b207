/* SPDX-License-Identifier: MIT */
/* The wait of the bcachefs algorithm, out of line as the kernel's is. */
#include "peers.h"

void wait_bcachefs_alg(struct lock_bcachefs_alg *lock, enum twostate_state state)
{
    __atomic_add_fetch(&lock->sleepers, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        const uint32_t wakes = __atomic_load_n(&lock->wakes, __ATOMIC_SEQ_CST);

        if (try_bcachefs_alg(lock, state))
            break;
        syscall(SYS_futex, &lock->wakes, FUTEX_WAIT_PRIVATE, wakes, NULL, NULL, 0);
    }
    __atomic_sub_fetch(&lock->sleepers, 1, __ATOMIC_SEQ_CST);
}
