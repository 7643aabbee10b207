/* SPDX-License-Identifier: MIT */
/* What the tests of the C++ headers share: a check that names itself, and what a lock looks like. */
#ifndef TESTS_CXX_CHECK_HPP
#define TESTS_CXX_CHECK_HPP

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include <twostate/twostate.hpp>

#define CHECK(truth)                                                                               \
    do {                                                                                           \
        if (!(truth)) {                                                                            \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #truth);               \
            std::abort();                                                                          \
        }                                                                                          \
    } while (0)

inline bool held(const twostate_lock &lock, twostate_state state, unsigned holders)
{
    const twostate_lock_info info = twostate_lock_query(&lock);

    return info.holders == holders && info.state == state && info.frozen == 0;
}

inline bool free_now(const twostate_lock &lock)
{
    const twostate_lock_info info = twostate_lock_query(&lock);

    return info.holders == 0 && info.frozen == 0;
}

inline bool held(const twostate_iolock &lock, twostate_iomode mode, unsigned holders)
{
    const twostate_iolock_info info = twostate_iolock_query(&lock);

    return info.holders == holders && info.mode == mode;
}

inline bool free_now(const twostate_iolock &lock)
{
    return twostate_iolock_query(&lock).holders == 0;
}

/* An owner, made in the memory, that ends while it is held: whether that stops the program. */
template <class Function> bool dies(Function function)
{
    alignas(16) static char memory[64];
    const pid_t child = fork();
    int status = 0;

    CHECK(child >= 0);
    if (child == 0) {
        close(2);
        function(static_cast<void *>(memory));
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* Runs in another thread, to its end. */
template <class Function> void elsewhere(Function function)
{
    std::thread(function).join();
}

void test_deadlines();
void test_guards();
void test_views();
void test_pairs();

#endif
