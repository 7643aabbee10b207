/* SPDX-License-Identifier: MIT */
/*
 * What the library's seam calls become: requests to the scheduler.
 *
 * Locks lie in the arena, and their words live in the scheduler's state, not in memory. What lies
 * in the fiber's stack is nobody else's business and is accessed at once. Anything else is memory
 * that threads share: the fiber stops before it, so that others may run, and then accesses it
 * itself.
 */
#include "seam.h"

#include "port.h"
#include "seam_io.h"

#include <stdarg.h>
#include <stdio.h>

static bool in_arena(const void *address)
{
    return (uintptr_t)address - ARENA < sizeof(uint64_t) * ARENA_WORDS;
}

static uint64_t ask(enum request_kind kind, const void *address, struct request request)
{
    request.kind = (uint8_t)kind;
    if (in_arena(address))
        request.word = (uint8_t)(((uintptr_t)address - ARENA) / sizeof(uint64_t));
    return port_ask_(&request);
}

static void touch(const void *address)
{
    if (port_own_(address))
        return;
    ask(REQ_TOUCH, NULL, (struct request){.a = (uintptr_t)address});
    lease_check_(address);
}

/* Words. */

uint64_t sys_load_(const uint64_t *word)
{
    if (in_arena(word))
        return ask(REQ_LOAD, word, (struct request){0});
    touch(word);
    return *word;
}

void sys_store_(uint64_t *word, uint64_t value)
{
    touch(word);
    *word = value;
}

bool seam_cas_(uint64_t *word, uint64_t seen, uint64_t next, uint64_t *now)
{
    if (in_arena(word)) {
        const bool done = ask(REQ_CAS, word, (struct request){.a = seen, .b = next}) != 0;

        if (!done)
            *now = port_seen_;
        io_flush_();
        return done;
    }
    touch(word);
    io_flush_();
    *now = *word;
    if (*now != seen)
        return false;
    *word = next;
    return true;
}

/* Flags and pointers. */

uint32_t sys_flag_load_(const uint32_t *flag)
{
    if (in_arena(flag))
        return (uint32_t)ask(REQ_LOAD, flag, (struct request){0});
    touch(flag);
    return *flag;
}

uint32_t sys_flag_exchange_(uint32_t *flag, uint32_t value)
{
    uint32_t old = 0;

    if (in_arena(flag)) {
        old = (uint32_t)ask(REQ_STORE, flag, (struct request){.a = value});
        io_flush_();
        return old;
    }
    touch(flag);
    io_flush_();
    old = *flag;
    *flag = value;
    return old;
}

void sys_flag_store_(uint32_t *flag, uint32_t value)
{
    sys_flag_exchange_(flag, value);
}

bool sys_flag_cas_(uint32_t *flag, uint32_t seen, uint32_t next)
{
    touch(flag);
    if (*flag != seen)
        return false;
    *flag = next;
    return true;
}

void *sys_pointer_load_(void *const *pointer)
{
    touch(pointer);
    return *pointer;
}

void *sys_pointer_exchange_(void **pointer, void *value)
{
    void *old = NULL;

    touch(pointer);
    old = *pointer;
    *pointer = value;
    return old;
}

void sys_pointer_store_(void **pointer, void *value)
{
    sys_pointer_exchange_(pointer, value);
}

bool sys_pointer_cas_(void **pointer, void **seen, void *next)
{
    touch(pointer);
    if (*pointer != *seen) {
        *seen = *pointer;
        return false;
    }
    *pointer = next;
    return true;
}

/* Sleep, mutexes, time. */

static uint64_t nanoseconds(const struct timespec *time)
{
    return time ? (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_nsec : 0;
}

void sys_futex_wait_(const uint64_t *word, uint64_t value, uint32_t groups, bool shared,
                     const struct timespec *deadline)
{
    ask(REQ_WAIT, word,
        (struct request){
            .x = (uint8_t)groups, .y = shared, .a = value >> 32, .b = nanoseconds(deadline)});
}

void sys_futex_wake_(const uint64_t *word, uint32_t groups, bool shared, int most)
{
    (void)shared;
    ask(REQ_WAKE, word, (struct request){.x = (uint8_t)groups, .y = most == 1});
}

void sys_flag_wait_(const uint32_t *flag, uint32_t value, const struct timespec *deadline)
{
    ask(REQ_SLEEP, NULL,
        (struct request){.z = value, .a = (uintptr_t)flag, .b = nanoseconds(deadline)});
}

void sys_flag_wake_(const uint32_t *flag)
{
    ask(REQ_RAISE, NULL, (struct request){.a = (uintptr_t)flag});
}

void sys_mutex_lock_(struct sys_mutex *mutex)
{
    ask(REQ_LOCK, NULL, (struct request){.a = (uintptr_t)&mutex->taken});
    io_flush_();
    mutex->taken = 1;
    sys_thread_()->mutexes++;
}

void sys_mutex_unlock_(struct sys_mutex *mutex)
{
    io_flush_();
    mutex->taken = 0;
    sys_thread_()->mutexes--;
    ask(REQ_UNLOCK, NULL, (struct request){0});
}

struct sys_thread *sys_thread_(void)
{
    return port_local_();
}

struct timespec sys_now_(void)
{
    const uint64_t now = ask(REQ_NOW, NULL, (struct request){0});

    return (struct timespec){.tv_sec = (time_t)(now / 1000000000),
                             .tv_nsec = (long)(now % 1000000000)};
}

void sys_die_(const char *format, ...)
{
    char message[300];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    port_fail_("the library stops the program: %s", message);
}

/* Nobody watches (seam.h), so these are called by code that is never reached. */

void watch_waited_(void);
void watch_waited_(void)
{
    port_fail_("the library tells its watchers, of whom there are none");
}

void twostate_validate_disown_hold(void);
void twostate_validate_disown_hold(void) {}
