/* SPDX-License-Identifier: MIT */
/* Durations and time points of all kinds become the moment of CLOCK_MONOTONIC that they mean. */
#include <limits>
#include <ratio>

#include "check.hpp"

namespace
{

using namespace std::chrono;
using twostate::detail::deadline;

bool is(const deadline &at, std::time_t seconds, long nanoseconds)
{
    return at.get() && at.get()->tv_sec == seconds && at.get()->tv_nsec == nanoseconds;
}

/* A clock that stands before its own `when` the first few times it is looked at. */
struct slow_clock {
    using duration = nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<slow_clock>;
    static int looks;

    static time_point now()
    {
        return time_point(nanoseconds(++looks < 8 ? 999 : 1001));
    }
};
int slow_clock::looks;

void conversions()
{
    using picoseconds = duration<std::int64_t, std::pico>;
    using years = duration<int, std::ratio<31556952>>;

    CHECK(is(deadline(seconds(5)), 5, 0));
    CHECK(is(deadline(milliseconds(2500)), 2, 500000000));
    CHECK(is(deadline(picoseconds(1)), 0, 1)); /* up */
    CHECK(is(deadline(picoseconds(2000)), 0, 2));
    CHECK(is(deadline(duration<double>(1.5)), 1, 500000000));
    CHECK(is(deadline(duration<float, std::milli>(0.25F)), 0, 250000));
    CHECK(is(deadline(seconds(0)), 0, 0));
    CHECK(is(deadline(seconds(-5)), 0, 0)); /* the past, and a valid timespec */
    CHECK(is(deadline(nanoseconds::min()), 0, 0));
    CHECK(is(deadline(duration<double>(std::numeric_limits<double>::quiet_NaN())), 0, 0));
    CHECK(is(deadline(years(99)), static_cast<std::time_t>(99) * 31556952, 0));
    CHECK(!deadline(years(101)).get()); /* for ever */
    CHECK(!deadline(hours::max()).get());
    CHECK(!deadline(nanoseconds::max()).get());
    CHECK(!deadline(duration<double>(std::numeric_limits<double>::infinity())).get());
}

/* What a call that waits is given, and how often. */
void waits()
{
    const auto before = steady_clock::now();
    timespec seen{};
    int calls = 0;
    const auto note = [&](const timespec *at) {
        calls++;
        if (at)
            seen = *at;
        return at ? -ETIMEDOUT : 0;
    };
    const auto moment = [&] {
        return steady_clock::time_point(seconds(seen.tv_sec) + nanoseconds(seen.tv_nsec));
    };
    const timespec exact = {7, 8};

    CHECK(twostate::detail::wait_until(&exact, note) == -ETIMEDOUT);
    CHECK(seen.tv_sec == 7 && seen.tv_nsec == 8);
    CHECK(twostate::detail::wait_until(nullptr, note) == 0);
    CHECK(twostate::detail::wait_until(hours::max(), note) == 0);
    CHECK(twostate::detail::wait_until(steady_clock::time_point::max(), note) == 0);
    CHECK(twostate::detail::wait_until(system_clock::time_point::min(), note) == -ETIMEDOUT);
    CHECK(calls == 5);

    CHECK(twostate::detail::wait_until(hours(1), note) == -ETIMEDOUT);
    CHECK(moment() >= before + hours(1) && moment() < before + hours(2));
    CHECK(twostate::detail::wait_once(before + minutes(3), note) == -ETIMEDOUT);
    CHECK(moment() == before + minutes(3)); /* exact */
    CHECK(twostate::detail::wait_once(system_clock::now() + minutes(30), note) == -ETIMEDOUT);
    CHECK(moment() > before + minutes(29) && moment() < before + minutes(31) + hours(1));

    /* Looked at before and after each wait: three waits are too early, the fourth is not. */
    calls = 0;
    CHECK(twostate::detail::wait_until(slow_clock::time_point(nanoseconds(1000)), note) ==
          -ETIMEDOUT);
    CHECK(calls == 4 && slow_clock::looks == 8);
}

} // namespace

void test_deadlines()
{
    conversions();
    waits();
}
