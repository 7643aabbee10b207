/* SPDX-License-Identifier: MIT */
/* The seam's futex calls: a wake reaches who sleeps on the same memory under another address. */
#include "sys.h"
#include "threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static void sleep_on(void *word)
{
    sys_futex_wait_(word, 0, 1, true, NULL);
}

static bool wake_until_done(const uint64_t *word, const struct task *task)
{
    sys_futex_wake_(word, 1, true, 1);
    return task_done(task);
}

static void test_shared_between_addresses(void **state)
{
    const int fd = memfd_create("word", MFD_CLOEXEC);
    void *maps[2];
    struct task task;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 4096), 0);
    for (int i = 0; i < 2; i++) {
        maps[i] = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(maps[i], MAP_FAILED);
    }
    task_start(&task, sleep_on, maps[0]);
    AWAIT(wake_until_done(maps[1], &task));
    task_join(&task);
    munmap(maps[0], 4096);
    munmap(maps[1], 4096);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_between_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
