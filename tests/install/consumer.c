/* SPDX-License-Identifier: MIT */
/* A C99 program that uses an installed libtwostate: inline functions and calls into the library. */
#include <twostate/iopair.h>

static struct twostate_lock lock = TWOSTATE_LOCK_INIT;
static struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;

int main(void)
{
    struct twostate_hold hold;

    twostate_lock_acquire(&lock, TWOSTATE_A);
    if (!twostate_lock_try_acquire(&lock, TWOSTATE_A) ||
        twostate_lock_try_acquire(&lock, TWOSTATE_B) || twostate_lock_query(&lock).holders != 2)
        return 1;
    twostate_lock_release(&lock, TWOSTATE_A);
    twostate_lock_release(&lock, TWOSTATE_A);
    twostate_lock_drain(&lock);

    twostate_iopair_begin(&pair, TWOSTATE_EXCLUSIVE_IO, &hold);
    twostate_iopair_end(&hold);
    return 0;
}
