/* SPDX-License-Identifier: MIT */
/* A child process, watched. */
#include "child.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 250

struct report *report_new(void)
{
    void *memory = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        die("no memory to share: %s", strerror(errno));
    return memory;
}

void report_fail(struct report *report, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(report->message, sizeof(report->message), format, arguments);
    va_end(arguments);
    _exit(EXIT_FAILURE);
}

__attribute__((noreturn)) static void run_child(const struct child *child, struct report *report)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (child->quiet) {
        const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
    child->run(child->arg, report);
    exit(EXIT_SUCCESS); /* what a sanitizer has to say comes at the exit */
}

/* Until it has ended. False: it hangs. Looks are counted, for a clock goes on while all are stopped. */
static bool await(const struct child *child, int fd, const struct report *report)
{
    struct pollfd end = {.fd = fd, .events = POLLIN};
    uint64_t step = report_get(&report->done);
    int in_vain = 0;

    while (poll(&end, 1, TICK_MS) <= 0) {
        const uint64_t now = report_get(&report->done);

        if (child->tick)
            child->tick(child->tick_arg);
        in_vain = now == step ? in_vain + 1 : 0;
        if (in_vain > child->patience * (1000 / TICK_MS))
            return false;
        step = now;
    }
    return true;
}

static enum outcome judge(int status, struct report *report)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS)
        return OUTCOME_OK;
    if (report->message[0])
        return OUTCOME_FAILED;
    if (WIFEXITED(status))
        (void)snprintf(report->message, sizeof(report->message), "ended with status %d",
                       WEXITSTATUS(status));
    else
        (void)snprintf(report->message, sizeof(report->message), "killed by signal %d",
                       WTERMSIG(status));
    return OUTCOME_CRASHED;
}

enum outcome child_run(const struct child *child, struct report *report)
{
    int status = 0;
    int fd = -1;
    pid_t pid = 0;
    bool hangs = false;

    memset(report, 0, sizeof(*report));
    (void)fflush(NULL);
    pid = fork();
    if (pid == 0)
        run_child(child, report);
    if (pid > 0)
        fd = pidfd_open(pid, 0);
    if (fd < 0)
        die("no child process: %s", strerror(errno));
    hangs = !await(child, fd, report);
    if (hangs)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(fd);
    if (!hangs)
        return judge(status, report);
    (void)snprintf(report->message, sizeof(report->message), "hangs");
    return OUTCOME_HUNG;
}
