/* SPDX-License-Identifier: MIT */
/* Noise for the scheduler: see noise.h. */
#include "noise.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "random.h"
#include "threads.h"

static struct {
    struct task task;
    uint64_t random;
    uint32_t count;
    uint32_t stop;
    pthread_t (*thread)(uint32_t i);
} sender;

static uint32_t *stops; /* the two processes share it */

/* The parent's part: returns when the child has ended. */
static int disturb(pid_t child, uint64_t random)
{
    int status = 0;

    while (waitpid(child, &status, WNOHANG) == 0) {
        usleep(2000 + random_below(&random, 30000));
        if (waitpid(child, &status, WNOHANG) != 0)
            break;
        if (!load(stops))
            continue;
        kill(child, SIGSTOP);
        usleep(random_below(&random, 4000));
        kill(child, SIGCONT);
    }
    if (WIFSIGNALED(status))
        return 128 + WTERMSIG(status);
    return WEXITSTATUS(status);
}

void noise_fork(uint64_t seed)
{
    const pid_t parent = getpid();
    pid_t child = 0;

    stops = mmap(NULL, sizeof(*stops), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(stops != MAP_FAILED);
    child = fork();
    CHECK(child >= 0);
    if (child > 0)
        _exit(disturb(child, seed));
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    if (getppid() != parent)
        _exit(1);
}

void noise_stops(bool on)
{
    if (stops != NULL)
        store(stops, on);
}

void noise_pin(bool one)
{
    static cpu_set_t all;
    cpu_set_t set;

    if (CPU_COUNT(&all) == 0)
        CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
    set = all;
    for (size_t i = 0, kept = 0; one && i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set) && kept++ > 0)
            CPU_CLR(i, &set);
    CHECK(sched_setaffinity(0, sizeof(set), &set) == 0); /* and the threads to come */
}

static void interrupted(int number)
{
    (void)number;
}

static void send_signals(void *unused)
{
    (void)unused;
    while (!load(&sender.stop)) {
        const uint32_t i = random_below(&sender.random, sender.count);

        pthread_kill(sender.thread(i), SIGUSR1);
        usleep(50 + random_below(&sender.random, 400));
    }
}

void noise_start(uint64_t seed, uint32_t count, pthread_t (*thread)(uint32_t i))
{
    struct sigaction action = {.sa_handler =
                                   interrupted}; /* no SA_RESTART: waits are interrupted */

    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    sender.random = seed;
    sender.count = count;
    sender.thread = thread;
    sender.stop = 0;
    task_start(&sender.task, send_signals, NULL);
}

void noise_stop(void)
{
    store(&sender.stop, 1);
    task_join(&sender.task);
}
