/* SPDX-License-Identifier: MIT */
/* Misuse in a child process: see deaths.h. */
#include "deaths.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static _Noreturn void be_the_child(const struct death *death, int output)
{
    const struct rlimit no_core = {0};

    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGABRT, SIG_DFL);
    alarm(120); /* a misuse that waits for ever is a failure too */
    dup2(output, STDERR_FILENO);
    death->misuse();
    _exit(0);
}

static void read_all(int input, char *text, size_t size)
{
    size_t length = 0;

    for (;;) {
        const ssize_t got = read(input, text + length, size - 1 - length);

        if (got <= 0)
            break;
        length += (size_t)got;
    }
    text[length] = '\0';
}

static void assert_says(const struct death *death, const char *said, const char *word)
{
    if (word != NULL && strstr(said, word) == NULL)
        fail_msg("%s: no '%s' in what it said: %s", death->name, word, said);
}

void assert_dies(const struct death *death)
{
    char said[4096];
    char address[32];
    int ends[2];
    int status = 0;
    pid_t child = 0;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        be_the_child(death, ends[1]);
    close(ends[1]);
    read_all(ends[0], said, sizeof(said));
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
        fail_msg("%s: went on (status %d): %s", death->name, status, said);
    snprintf(address, sizeof(address), "%p", death->where);
    assert_says(death, said, "twostate: ");
    assert_says(death, said, address);
    for (size_t i = 0; i < sizeof(death->words) / sizeof(death->words[0]); i++)
        assert_says(death, said, death->words[i]);
}
