/* SPDX-License-Identifier: MIT */
/* Breaks the rule of the validator that its argument names; the examples of docs/validator.md. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <twostate/class.h>
#include <twostate/iopair.h>
#include <twostate/lock.h>
#include <twostate/validate.h>

/* Not static, so that the reports can name them. */
void break_rank(void);
void break_order(void);
void break_self_deadlock(void);
void break_recursion(void);
void break_hand_off(void);
void break_leak(void);
void break_free(void);
void break_fork(void);
void *flush(void *unused);
void *commit(void *unused);
void *complete(void *unused);
void *forget(void *unused);

static struct twostate_lock data, journal;

static void in_a_thread(void *(*run)(void *))
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, run, NULL) != 0)
        exit(1);
    pthread_join(thread, NULL);
}

void break_rank(void)
{
    static struct twostate_iopair file;
    static const struct twostate_class inode = {.name = "inode", .rank = 500};

    twostate_lock_set_class(&data, &inode); /* comes before a file's IOLOCK, which has 1000 */
    struct twostate_hold hold;

    twostate_iopair_begin(&file, TWOSTATE_BUFFERED_READ, &hold);
    twostate_lock_acquire(&data, TWOSTATE_A);
    twostate_lock_release(&data, TWOSTATE_A);
    twostate_iopair_end(&hold);
}

void *flush(void *unused)
{
    twostate_lock_acquire(&data, TWOSTATE_A);
    twostate_lock_acquire(&journal, TWOSTATE_A);
    twostate_lock_release(&journal, TWOSTATE_A);
    twostate_lock_release(&data, TWOSTATE_A);
    return unused;
}

void *commit(void *unused)
{
    twostate_lock_acquire(&journal, TWOSTATE_B);
    twostate_lock_acquire(&data, TWOSTATE_B); /* the other way round */
    twostate_lock_release(&data, TWOSTATE_B);
    twostate_lock_release(&journal, TWOSTATE_B);
    return unused;
}

void break_order(void)
{
    in_a_thread(flush); /* one after the other: nothing waits, and it is found all the same */
    in_a_thread(commit);
}

void break_self_deadlock(void)
{
    struct timespec soon;

    clock_gettime(CLOCK_MONOTONIC, &soon);
    soon.tv_sec += 5;
    twostate_lock_acquire(&data, TWOSTATE_A);
    if (twostate_lock_drain_timed(&data, &soon) == -EDEADLK) /* would wait for its own hold */
        puts("drain: -EDEADLK");
    twostate_lock_release(&data, TWOSTATE_A);
}

void break_recursion(void)
{
    twostate_lock_acquire(&data, TWOSTATE_A);
    twostate_lock_acquire(&data, TWOSTATE_A); /* works, until somebody wants B between the two */
    twostate_lock_release_n(&data, TWOSTATE_A, 2);
}

void *complete(void *unused)
{
    twostate_lock_release(&data, TWOSTATE_A);
    return unused;
}

void break_hand_off(void)
{
    twostate_lock_acquire(&data, TWOSTATE_A);
    in_a_thread(complete); /* twostate_validate_disown(&data) before it says that this is meant */
}

void *forget(void *unused)
{
    twostate_lock_acquire(&data, TWOSTATE_B);
    return unused;
}

void break_leak(void)
{
    in_a_thread(forget);
}

void break_free(void)
{
    struct twostate_lock *lock = calloc(1, sizeof(*lock));

    if (lock == NULL)
        exit(1);
    twostate_lock_acquire(lock, TWOSTATE_A);
    twostate_validate_free(lock, sizeof(*lock)); /* an allocator's free would call this */
    free(lock);
}

void break_fork(void)
{
    twostate_lock_acquire(&data, TWOSTATE_A);
    const pid_t child = fork();

    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    twostate_lock_release(&data, TWOSTATE_A);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *rule;
        void (*break_it)(void);
    } rules[] = {{"rank", break_rank},
                 {"order", break_order},
                 {"self-deadlock", break_self_deadlock},
                 {"recursion", break_recursion},
                 {"hand-off", break_hand_off},
                 {"leak", break_leak},
                 {"free", break_free},
                 {"fork", break_fork}};

    for (size_t i = 0; argc == 2 && i < sizeof(rules) / sizeof(rules[0]); i++)
        if (strcmp(argv[1], rules[i].rule) == 0) {
            rules[i].break_it();
            return 0;
        }
    fprintf(stderr, "usage: TWOSTATE_VALIDATE=log %s RULE\n", argv[0]);
    return 2;
}
