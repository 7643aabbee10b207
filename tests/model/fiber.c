/* SPDX-License-Identifier: MIT */
/* Switching to the fiber's stack and back (x86-64), and saving what is on it. */
#include "fiber.h"

#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Below the stack pointer there may be leavings of another thread; a frame must not inherit them.
 */
#define CLEARED ((size_t)2 << 10)

/* Saves the callee-saved registers on the stack, and the stack pointer in *save. */
void fiber_switch_(void **save, void *to);
__asm__(".text\n"
        ".globl fiber_switch_\n"
        ".type fiber_switch_, @function\n"
        "fiber_switch_:\n"
        "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "mov %rsp, (%rdi)\n mov %rsi, %rsp\n"
        "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"
        ".size fiber_switch_, . - fiber_switch_\n");

/* A difference of shared memory. */
struct difference {
    uint64_t offset;
    uint64_t value;
};

static unsigned char stack[FIBER_STACK] __attribute__((aligned(64)));
/* Above it are the thread's own variables: zero at first. */
static unsigned char *const stack_top = stack + FIBER_STACK - PORT_LOCAL;
static unsigned char *const stack_end = stack + FIBER_STACK;
static void *main_sp, *fiber_sp;
static struct fiber_stop *stopped;
static uint64_t answer_;
static unsigned first_number;
static char message_[400];

static unsigned char *shared, *shared_first; /* and what it was at first */
static size_t shared_size;

uint64_t port_seen_;

uint64_t port_ask_(const struct request *request)
{
    stopped->request = *request;
    fiber_switch_(&fiber_sp, main_sp);
    return answer_;
}

void *port_local_(void)
{
    return stack_top;
}

bool port_own_(const void *address)
{
    return (uintptr_t)address - (uintptr_t)stack < FIBER_STACK;
}

void port_fail_(const char *format, ...)
{
    const struct request request = {.kind = REQ_FAIL};
    va_list args;

    va_start(args, format);
    vsnprintf(message_, sizeof(message_), format, args);
    va_end(args);
    for (;;)
        port_ask_(&request);
}

static void first_frame(void)
{
    ops_run(first_number);
}

static void run(struct fiber_stop *stop)
{
    unsigned char *sp = fiber_sp;

    memset(sp - CLEARED, 0, CLEARED);
    stopped = stop;
    fiber_switch_(&main_sp, fiber_sp);
    stop->message = message_;
    stop->size = (size_t)(stack_end - (unsigned char *)fiber_sp);
}

void fiber_start(unsigned number, struct fiber_stop *stop)
{
    void **sp = (void **)(void *)stack_top;

    memset(sp, 0, PORT_LOCAL);
    *--sp = NULL; /* as if called: the stack is then aligned as the ABI wants it */
    *--sp = (void *)(uintptr_t)first_frame;
    for (int i = 0; i < 6; i++)
        *--sp = NULL;
    fiber_sp = sp;
    first_number = number;
    run(stop);
}

void fiber_save(void *memory)
{
    memcpy(memory, fiber_sp, (size_t)(stack_end - (unsigned char *)fiber_sp));
}

void fiber_go(const void *memory, size_t size, uint64_t answer, uint64_t seen,
              struct fiber_stop *stop)
{
    fiber_sp = stack_end - size;
    memcpy(fiber_sp, memory, size);
    answer_ = answer;
    port_seen_ = seen;
    run(stop);
}

/*
 * The writable data of the object that the code under test is in, but for what is read-only by now.
 */
static int find_shared(struct dl_phdr_info *info, size_t size, void *context)
{
    const uintptr_t code = (uintptr_t)context;
    uintptr_t from = 0, to = 0, relro = 0;
    bool here = false;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        const uintptr_t at = info->dlpi_addr + part->p_vaddr;

        if (part->p_type == PT_LOAD && code - at < part->p_memsz)
            here = true;
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W)) {
            from = at;
            to = at + part->p_memsz;
        }
        if (part->p_type == PT_GNU_RELRO)
            relro = at + part->p_memsz;
    }
    if (!here)
        return 0;
    from = relro > from ? (relro + 4095) & ~(uintptr_t)4095 : from;
    shared = (unsigned char *)from;
    shared_size = to > from ? (to - from + 7) & ~(size_t)7 : 0;
    return 1;
}

void fiber_init(void)
{
    if (!dl_iterate_phdr(find_shared, (void *)(uintptr_t)ops_run)) {
        fputs("model: the code under test is not where it should be\n", stderr);
        exit(2);
    }
    shared_first = malloc(shared_size + 8);
    memcpy(shared_first, shared, shared_size);
}

size_t fiber_shared_save(void *differences, size_t room)
{
    struct difference *out = differences;
    size_t count = 0;

    if (memcmp(shared, shared_first, shared_size) == 0)
        return 0;
    for (size_t at = 0; at < shared_size; at += 8) {
        if (memcmp(shared + at, shared_first + at, 8) == 0)
            continue;
        if ((count + 1) * sizeof(*out) > room) {
            fputs("model: too much shared memory changed\n", stderr);
            exit(2);
        }
        out[count].offset = at;
        memcpy(&out[count++].value, shared + at, 8);
    }
    return count * sizeof(*out);
}

void fiber_shared_load(const void *differences, size_t size)
{
    const struct difference *in = differences;

    memcpy(shared, shared_first, shared_size);
    for (size_t i = 0; i < size / sizeof(*in); i++)
        memcpy(shared + in[i].offset, &in[i].value, 8);
}

uint32_t fiber_shared_read(const void *differences, size_t size, uint64_t address)
{
    const struct difference *in = differences;
    const uint64_t offset = address - (uintptr_t)shared;
    uint64_t value = 0;

    memcpy(&value, shared_first + (offset & ~UINT64_C(7)), 8);
    for (size_t i = 0; i < size / sizeof(*in); i++)
        if (in[i].offset == (offset & ~UINT64_C(7)))
            memcpy(&value, &in[i].value, 8);
    return (uint32_t)(value >> (offset % 8 * 8));
}
