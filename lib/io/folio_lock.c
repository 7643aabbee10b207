/* SPDX-License-Identifier: MIT */
/* Locking a folio, where that may take time. */
#include "folio_lock.h"

#include <sched.h>
#include <time.h>

#define LOOKS    100
#define PAUSE_NS 50000

/* Somebody is copying, at most a folio; unless he has lost his processor, or the memory that he copies
   has to come from somewhere. */
void folio_await_gate_(struct folio *folio)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};

    for (unsigned looks = 0; folio_gate_closed_(folio); looks++) {
        if (looks < LOOKS)
            sched_yield();
        else
            nanosleep(&pause, NULL);
    }
}

void folio_lock_(struct folio *folio, enum twostate_iomode mode)
{
    twostate_iolock_acquire(&folio->lock, mode);
    folio_await_gate_(folio);
}

int folio_lock_timed_(struct folio *folio, enum twostate_iomode mode,
                      const struct timespec *deadline)
{
    const int result = twostate_iolock_acquire_timed(&folio->lock, mode, deadline);

    if (result == 0)
        folio_await_gate_(folio);
    return result;
}
