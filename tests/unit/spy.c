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
static uint64_t clock_ns;

/* The linker's --wrap makes these names. */
void __real_sys_futex_wait_(const uint64_t *word, uint64_t value, uint32_t groups, bool shared,
                            const struct timespec *deadline);
void __wrap_sys_futex_wait_(const uint64_t *word, uint64_t value, uint32_t groups, bool shared,
                            const struct timespec *deadline);
void __real_sys_futex_wake_(const uint64_t *word, uint32_t groups, bool shared, int most);
void __wrap_sys_futex_wake_(const uint64_t *word, uint32_t groups, bool shared, int most);
struct timespec __real_sys_now_(void);
struct timespec __wrap_sys_now_(void);
void __real_twostate_lock_acquire_slow_(struct twostate_lock *lock, enum twostate_state state);
void __wrap_twostate_lock_acquire_slow_(struct twostate_lock *lock, enum twostate_state state);
void __real_twostate_lock_release_slow_(struct twostate_lock *lock, enum twostate_state state);
void __wrap_twostate_lock_release_slow_(struct twostate_lock *lock, enum twostate_state state);

static uint64_t in_ns(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_nsec;
}

/* With the test's clock, a deadline comes when that says so, and not with the time. */
static void wait_by_our_clock(const uint64_t *word, uint64_t value, uint32_t groups, bool shared,
                              const struct timespec *deadline)
{
    do {
        const struct timespec soon = after_ms(1);

        __real_sys_futex_wait_(word, value, groups, shared, &soon);
    } while (!load(&interrupting) && sys_load_(word) >> 32 == value >> 32 &&
             !(deadline && in_ns(deadline) <= spy_clock_ns()));
}

void __wrap_sys_futex_wait_(const uint64_t *word, uint64_t value, uint32_t groups, bool shared,
                            const struct timespec *deadline)
{
    uint32_t count = 0;
    struct timespec soon;

    if (deadline)
        __atomic_store_n(&wait_end_ns, in_ns(deadline), __ATOMIC_RELEASE);
    count = add(&waits, 1);
    if (load(&interrupting)) {
        if (count % 2 == 0)
            return;
        soon = after_ms(1);
        __real_sys_futex_wait_(word, value, groups, shared, &soon);
    } else if (spy_clock_ns()) {
        wait_by_our_clock(word, value, groups, shared, deadline);
    } else {
        __real_sys_futex_wait_(word, value, groups, shared, deadline);
    }
}

void __wrap_sys_futex_wake_(const uint64_t *word, uint32_t groups, bool shared, int most)
{
    add(&wakes, 1);
    __real_sys_futex_wake_(word, groups, shared, most);
}

struct timespec __wrap_sys_now_(void)
{
    const uint64_t ns = spy_clock_ns();

    if (ns == 0)
        return __real_sys_now_();
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
                             .tv_nsec = (long)(ns % 1000000000)};
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

uint64_t spy_clock_ns(void)
{
    return __atomic_load_n(&clock_ns, __ATOMIC_ACQUIRE);
}

void spy_clock_set(uint64_t ns)
{
    __atomic_store_n(&clock_ns, ns, __ATOMIC_RELEASE);
}
