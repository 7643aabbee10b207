// SPDX-License-Identifier: MIT
// The lock in C++: guards that give back what they hold, and views for the standard's own guards.
#include <chrono>
#include <cstdio>
#include <thread>

#include <twostate/twostate.hpp>

static twostate::lock lock;
static long parts[2];

static void add(long &part)
{
    for (int i = 0; i < 1000; i++) {
        twostate::guard_a guard(lock); // beside the other adder
        part++;
    }
}

int main()
{
    std::thread first(add, std::ref(parts[0])), second(add, std::ref(parts[1]));
    twostate::state_b seen(lock); // a mutex for the standard, though readers share it
    long sum = 0;

    if (auto guard = twostate::guard_b(lock, std::chrono::seconds(60)))
        std::printf("0 to 2000: %ld\n", parts[0] + parts[1]); // no adder is at work
    first.join();
    second.join();
    {
        std::unique_lock<twostate::state_b> guard(seen);
        sum = parts[0] + parts[1];
    }
    if (twostate::freeze_guard frozen{lock, std::try_to_lock})
        std::printf("%ld, and nobody can add\n", sum);
    return sum == 2000 ? 0 : 1;
}
