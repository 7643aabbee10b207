/* SPDX-License-Identifier: MIT */
/* Between the locks and the kernel: see spy.h. */
#include "spy.h"

#include "sys.h"
#include "threads.h"

#include <twostate/lock.h>

static uint32_t waits;
static uint32_t wakes;
static uint32_t slow_calls;
static uint32_t interrupting;
static uint64_t wait_end_ns;

/* The linker's --wrap makes these names. */
void __real_sys_futex_wait_(const uint64_t *word, uint32_t upper, uint32_t groups,
                            const struct timespec *deadline);
void __wrap_sys_futex_wait_(const uint64_t *word, uint32_t upper, uint32_t groups,
                            const struct timespec *deadline);
void __real_sys_futex_wake_(const uint64_t *word, uint32_t groups, int most);
void __wrap_sys_futex_wake_(const uint64_t *word, uint32_t groups, int most);
void __real_twostate_lock_acquire_slow_(struct twostate_lock *lock, enum twostate_state state);
void __wrap_twostate_lock_acquire_slow_(struct twostate_lock *lock, enum twostate_state state);
void __real_twostate_lock_release_slow_(struct twostate_lock *lock, enum twostate_state state);
void __wrap_twostate_lock_release_slow_(struct twostate_lock *lock, enum twostate_state state);

void __wrap_sys_futex_wait_(const uint64_t *word, uint32_t upper, uint32_t groups,
                            const struct timespec *deadline)
{
    const uint64_t end_ns =
        deadline ? (uint64_t)deadline->tv_sec * 1000000000 + (uint64_t)deadline->tv_nsec : 0;
    uint32_t count = 0;
    struct timespec soon;

    if (end_ns)
        __atomic_store_n(&wait_end_ns, end_ns, __ATOMIC_RELEASE);
    count = add(&waits, 1);
    if (!load(&interrupting)) {
        __real_sys_futex_wait_(word, upper, groups, deadline);
    } else if (count % 2) {
        soon = after_ms(1);
        __real_sys_futex_wait_(word, upper, groups, &soon);
    }
}

void __wrap_sys_futex_wake_(const uint64_t *word, uint32_t groups, int most)
{
    add(&wakes, 1);
    __real_sys_futex_wake_(word, groups, most);
}

void __wrap_twostate_lock_acquire_slow_(struct twostate_lock *lock, enum twostate_state state)
{
    add(&slow_calls, 1);
    __real_twostate_lock_acquire_slow_(lock, state);
}

void __wrap_twostate_lock_release_slow_(struct twostate_lock *lock, enum twostate_state state)
{
    add(&slow_calls, 1);
    __real_twostate_lock_release_slow_(lock, state);
}

uint32_t spy_waits(void)
{
    return load(&waits);
}

uint32_t spy_wakes(void)
{
    return load(&wakes);
}

uint32_t spy_slow_calls(void)
{
    return load(&slow_calls);
}

uint64_t spy_wait_end_ns(void)
{
    return __atomic_load_n(&wait_end_ns, __ATOMIC_ACQUIRE);
}

void spy_interrupt(bool on)
{
    store(&interrupting, on);
}
