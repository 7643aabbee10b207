/* SPDX-License-Identifier: MIT */
/* The views are mutexes to the standard's guards, algorithms and condition variables. */
#include <condition_variable>
#if __cplusplus >= 201402L
#include <shared_mutex>
#endif

#include "check.hpp"

namespace
{

using namespace std::chrono;
using twostate::frozen;
using twostate::iolock_mutex;
using twostate::state_a;
using twostate::state_b;

void unique_locks()
{
    twostate::lock lock;
    state_a a(lock);
    state_b b(lock);
    frozen ice(lock);

    {
        std::unique_lock<state_a> first(a);
        std::unique_lock<state_a> second(a, std::try_to_lock);
        std::unique_lock<state_a> third(a, hours(1));

        CHECK(first && second && third && held(lock, TWOSTATE_A, 3));
        elsewhere([&] {
            CHECK(!std::unique_lock<state_b>(b, std::try_to_lock));
            CHECK(!std::unique_lock<state_b>(b, milliseconds(1)));
            CHECK(!std::unique_lock<frozen>(ice, system_clock::now() + milliseconds(1)));
        });
        second.unlock();
        CHECK(held(lock, TWOSTATE_A, 2));
        second = std::move(first);
        CHECK(held(lock, TWOSTATE_A, 2));
    }
    CHECK(free_now(lock));
    {
        std::unique_lock<frozen> winter(ice, steady_clock::now() + hours(1));

        CHECK(twostate_lock_query(&lock).frozen == 1);
        CHECK(!a.try_lock());
    }
    {
        std::lock_guard<state_b> guard(b);

        CHECK(held(lock, TWOSTATE_B, 1));
    }
    CHECK(free_now(lock));
}

void two_at_once()
{
    twostate::lock first, second;
    state_a a(first);
    state_b b(second);

    std::lock(a, b);
    std::lock_guard<state_a> holds_a(a, std::adopt_lock);
    std::lock_guard<state_b> holds_b(b, std::adopt_lock);
    CHECK(held(first, TWOSTATE_A, 1) && held(second, TWOSTATE_B, 1));
}

void shared_mutexes()
{
#if __cplusplus >= 201402L
    twostate::iolock lock;
    twostate::lock states;
    iolock_mutex mutex(lock);
    state_a a(states);

    {
        std::shared_lock<iolock_mutex> first(mutex), second(mutex, hours(1));
        std::shared_lock<iolock_mutex> third(mutex, steady_clock::now());
        std::shared_lock<iolock_mutex> fourth(mutex, std::try_to_lock);

        CHECK(first && second && third && fourth && held(lock, TWOSTATE_SHARED, 4));
        elsewhere([&] {
            CHECK(!std::unique_lock<iolock_mutex>(mutex, std::try_to_lock));
            CHECK(!std::unique_lock<iolock_mutex>(mutex, milliseconds(1)));
        });
    }
    {
        std::unique_lock<iolock_mutex> alone(mutex);

        CHECK(held(lock, TWOSTATE_EXCLUSIVE, 1));
        elsewhere([&] { CHECK(!std::shared_lock<iolock_mutex>(mutex, std::try_to_lock)); });
    }
    CHECK(free_now(lock));
    {
        std::shared_lock<state_a> first(a), second(a);

        CHECK(held(states, TWOSTATE_A, 2));
    }
    CHECK(free_now(states));
#endif
}

/* A condition that holders of B wait for, and a holder of A makes true. */
void conditions()
{
    twostate::lock lock;
    state_a a(lock);
    state_b b(lock);
    std::condition_variable_any changed;
    bool ready = false;
    std::thread maker([&] {
        std::unique_lock<state_a> guard(a);

        ready = true;
        guard.unlock();
        changed.notify_all();
    });
    {
        std::unique_lock<state_b> guard(b);

        changed.wait(guard, [&] { return ready; });
        CHECK(ready && guard.owns_lock());
    }
    maker.join();
    CHECK(free_now(lock));
}

} // namespace

void test_views()
{
    unique_locks();
    two_at_once();
    shared_mutexes();
    conditions();
}
