/* SPDX-License-Identifier: MIT */
/* TWOSTATE_VALIDATE: what each of its words does to a program that breaks a rule. */
#include "threads.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <twostate/lock.h>

static struct twostate_lock lock;

static void release_a(void *unused)
{
    (void)unused;
    twostate_lock_release(&lock, TWOSTATE_A);
}

/* The program: another thread gives back what this one acquired. */
static int misuse(void)
{
    struct task task;

    twostate_lock_acquire(&lock, TWOSTATE_A);
    task_start(&task, release_a, NULL);
    task_join(&task);
    return 0;
}

/* Runs the program with that value. Returns its wait status, and what it said. */
static int run(const char *value, char *said, size_t size)
{
    const struct rlimit no_core = {0};
    size_t length = 0;
    ssize_t got = 0;
    int ends[2];
    int status = 0;
    pid_t child = 0;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        setenv("TWOSTATE_VALIDATE", value, 1);
        execl("/proc/self/exe", "misuse", "misuse", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    while ((got = read(ends[0], said + length, size - 1 - length)) > 0)
        length += (size_t)got;
    said[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static bool stopped(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static bool went_on(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void test_values(void **state)
{
    static const struct {
        const char *value;
        bool stops;
        const char *says; /* NULL: nothing */
    } cases[] = {
        {"", false, NULL},
        {"0", false, NULL},
        {"1", true, "hand-off"},
        {"log", false, "hand-off"},
        {"collect", false, NULL},
        {"1,-hand-off", false, NULL},
        {"-hand-off,1,-order", false, NULL},
        {"1,-order,-rank", true, "hand-off"},
        {"log,-hands", false, "'-hands' means nothing"},
        {"yes", true, "'yes' means nothing; known are 0 (off, alone), 1, log, collect, "},
        {"log", false, "addr2line -f -i -e "},
    };
    char said[8192];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const int status = run(cases[i].value, said, sizeof(said));

        if (!(cases[i].stops ? stopped(status) : went_on(status)))
            fail_msg("%s: status %d: %s", cases[i].value, status, said);
        if (cases[i].says == NULL ? said[0] != '\0' : strstr(said, cases[i].says) == NULL)
            fail_msg("%s: said %s", cases[i].value, said);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values)};

    (void)argv;
    return argc == 2 ? misuse() : cmocka_run_group_tests(tests, NULL, NULL);
}
