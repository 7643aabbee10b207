/* SPDX-License-Identifier: MIT */
/* Memory as lib/io's threads see it, with their store buffers. */
#include "seam_io.h"

#include "uses.h"

#include <linux/membarrier.h>
#include <string.h>

#define BUFFERS 4 /* threads that have one at the same time */
#define STORES  4

struct stored {
    uint64_t address; /* as the code knows it */
    uint64_t value;
    uint32_t size;
    uint32_t unused;
};

struct buffer {
    struct stored stored[STORES]; /* the oldest first */
    uint32_t count;
    uint32_t taken;
};

static struct buffer buffers[BUFFERS];
static uint32_t on_their_way; /* stores */

/* Where a folio lies, which begins with a lock word; the rest of it is here. */
static struct {
    uint64_t first;
    unsigned char bytes[192];
} shadow;

static void *real(const void *address)
{
    const uintptr_t offset = (uintptr_t)address - ARENA;

    return offset < sizeof(shadow.bytes) ? shadow.bytes + offset : (void *)(uintptr_t)address;
}

static bool is_word(const void *address)
{
    return (uintptr_t)address - ARENA < sizeof(uint64_t) * ARENA_WORDS;
}

/* Store buffers. */

static struct buffer *own_buffer(void)
{
    const uint32_t number = sys_thread_()->buffer;

    return number ? &buffers[number - 1] : NULL;
}

static struct buffer *new_buffer(void)
{
    uint32_t number = 0;

    while (number < BUFFERS && buffers[number].taken)
        number++;
    if (number == BUFFERS)
        port_fail_("the explorer has too few store buffers");
    buffers[number].taken = 1;
    sys_thread_()->buffer = (uint16_t)(number + 1);
    return &buffers[number];
}

/* The first `count` stores of the buffer happen. */
static void happen(struct buffer *buffer, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct stored *stored = &buffer->stored[i];

        memcpy(real((const void *)(uintptr_t)stored->address), &stored->value, stored->size);
    }
    buffer->count -= count;
    on_their_way -= count;
    memmove(buffer->stored, buffer->stored + count, buffer->count * sizeof(struct stored));
    memset(buffer->stored + buffer->count, 0, count * sizeof(struct stored));
}

/* How many stores must happen for the latest to the address to be seen. 0: there is none. */
static uint32_t last_to(const struct buffer *buffer, const void *address)
{
    uint32_t last = 0;

    for (uint32_t i = 0; buffer && i < buffer->count; i++)
        if (buffer->stored[i].address == (uintptr_t)address)
            last = i + 1;
    return last;
}

void io_flush_(void)
{
    struct buffer *buffer = own_buffer();

    if (buffer)
        happen(buffer, buffer->count);
}

void io_end_(void)
{
    struct buffer *buffer = own_buffer();

    if (buffer && buffer->count > 0)
        say(REQ_AWAIT, AWAIT_MOMENT, 0, 0);
    io_flush_();
    if (buffer)
        buffer->taken = 0;
    sys_thread_()->buffer = 0;
}

/* The other thread whose store to the address is on its way, if any; there is one at most. */
static struct buffer *other_to(const void *address)
{
    for (uint32_t i = 0; i < BUFFERS; i++)
        if (&buffers[i] != own_buffer() && last_to(&buffers[i], address))
            return &buffers[i];
    return NULL;
}

/* Others may run before; then nobody until the thread asks again. */
static void arrive(const void *address)
{
    if (port_own_(address) || lease_unused_(address))
        return;
    say(REQ_TOUCH, 0, 0, (uintptr_t)address);
    while (other_to(address)) {
        const bool waits = say(REQ_AWAIT, AWAIT_STORE, 0, (uintptr_t)&on_their_way) != 0;
        struct buffer *other = other_to(address);

        if (waits)
            break;
        if (other)
            happen(other, last_to(other, address));
    }
    lease_check_(address);
}

static uint64_t load(const void *address, uint32_t size)
{
    const struct buffer *buffer = own_buffer();
    uint32_t last = 0;
    uint64_t value = 0;

    arrive(address);
    last = last_to(buffer, address);
    if (last)
        return buffer->stored[last - 1].value;
    memcpy(&value, real(address), size);
    return value;
}

static void store(void *address, uint32_t size, uint64_t value, int order)
{
    struct buffer *buffer = own_buffer();

    if (port_own_(address)) {
        memcpy(address, &value, size);
        return;
    }
    if (order == __ATOMIC_SEQ_CST) { /* an exchange */
        arrive(address);
        io_flush_();
        memcpy(real(address), &value, size);
        lease_check_(address);
        return;
    }
    say(REQ_TOUCH, 0, 0, (uintptr_t)address); /* somebody's barrier may come before */
    lease_check_(address);
    if (buffer == NULL)
        buffer = new_buffer();
    if (buffer->count == STORES)
        happen(buffer, 1);
    buffer->stored[buffer->count++] =
        (struct stored){.address = (uintptr_t)address, .value = value, .size = size};
    on_their_way++;
}

/* Begins a read-modify-write. */
static void *seize(void *address)
{
    arrive(address);
    io_flush_();
    return real(address);
}

/* What the code calls. */

uint32_t io_load32_(const uint32_t *address)
{
    return (uint32_t)load(address, sizeof(*address));
}

uint64_t io_load64_(const uint64_t *address)
{
    return is_word(address) ? sys_load_(address) : load(address, sizeof(*address));
}

void io_store32_(uint32_t *address, uint32_t value, int order)
{
    store(address, sizeof(*address), value, order);
}

void io_store64_(uint64_t *address, uint64_t value, int order)
{
    store(address, sizeof(*address), value, order);
}

bool io_cas32_(uint32_t *address, uint32_t *seen, uint32_t next)
{
    uint32_t *memory = seize(address);
    const bool done = *memory == *seen;

    *seen = *memory;
    if (done)
        *memory = next;
    lease_check_(address);
    return done;
}

bool io_cas64_(uint64_t *address, uint64_t *seen, uint64_t next)
{
    uint64_t *memory = address;
    bool done = false;

    if (is_word(address))
        return sys_cas_(address, seen, next);
    memory = seize(address);
    done = *memory == *seen;
    *seen = *memory;
    if (done)
        *memory = next;
    lease_check_(address);
    return done;
}

uint32_t io_add32_(uint32_t *address, uint32_t change)
{
    uint32_t *memory = seize(address);

    return *memory += change;
}

uint32_t io_sub32_(uint32_t *address, uint32_t change)
{
    uint32_t *memory = seize(address);

    if (*memory < change)
        port_fail_("a count falls below zero");
    return *memory -= change;
}

uint64_t io_and64_(uint64_t *address, uint64_t kept)
{
    uint64_t *memory = seize(address);

    return *memory &= kept;
}

void io_lock_(pthread_mutex_t *mutex)
{
    sys_mutex_lock_((struct sys_mutex *)(void *)mutex);
}

void io_unlock_(pthread_mutex_t *mutex)
{
    sys_mutex_unlock_((struct sys_mutex *)(void *)mutex);
}

/* What all have stored is seen from here on; and what they load next, they load later. */
long io_syscall_(long number, int command)
{
    if (number != SYS_membarrier)
        port_fail_("the explorer does not know of system call %ld", number);
    if (command != MEMBARRIER_CMD_PRIVATE_EXPEDITED)
        return 0;
    say(REQ_TOUCH, 0, 0, 0);
    for (uint32_t i = 0; i < BUFFERS; i++)
        happen(&buffers[i], buffers[i].count);
    return 0;
}

void io_await_zero_(const uint32_t *address)
{
    say(REQ_AWAIT, AWAIT_ZERO, 0, (uintptr_t)real(address));
}
