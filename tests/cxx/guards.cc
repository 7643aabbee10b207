/* SPDX-License-Identifier: MIT */
/* Guards of a lock and of an IOLOCK: what each way to begin holds, what it refuses, and where it ends. */
#include <atomic>
#include <type_traits>

#include "check.hpp"

namespace
{

using namespace std::chrono;
using twostate::exclusive_guard;
using twostate::freeze_guard;
using twostate::guard_a;
using twostate::guard_b;
using twostate::holds;
using twostate::shared_guard;

template <class Guard> constexpr bool shaped()
{
    return std::is_nothrow_move_constructible<Guard>::value &&
           std::is_nothrow_move_assignable<Guard>::value &&
           !std::is_copy_constructible<Guard>::value && !std::is_copy_assignable<Guard>::value &&
           std::is_nothrow_default_constructible<Guard>::value &&
           std::is_constructible<bool, Guard>::value && !std::is_convertible<Guard, bool>::value;
}
static_assert(shaped<guard_a>() && shaped<guard_b>() && shaped<freeze_guard>(), "");
static_assert(shaped<shared_guard>() && shaped<exclusive_guard>(), "");
static_assert(std::is_nothrow_constructible<guard_a, twostate_lock &>::value, "");
static_assert(std::is_nothrow_constructible<guard_b, twostate_lock &, std::try_to_lock_t>::value,
              "");
static_assert(!std::is_convertible<twostate_lock &, guard_a>::value, "");
static_assert(!std::is_move_constructible<twostate::lock>::value, "");
static_assert(!std::is_move_assignable<twostate::iolock>::value, "");
static_assert(sizeof(twostate::lock) == 8 && sizeof(twostate::iolock) == 8, "");
static_assert(std::is_convertible<twostate::lock *, twostate_lock *>::value, "");

#if __cplusplus >= 202002L
#define AT_ONCE constinit
#else
#define AT_ONCE
#endif
AT_ONCE twostate::lock early;
AT_ONCE twostate::iolock early_iolock;

template <class Guard, twostate_state State> void ways_of_a_state()
{
    using other = typename std::conditional<State == TWOSTATE_A, guard_b, guard_a>::type;
    const timespec past = {0, 0}, wrong = {0, -1};
    const timespec *const never = nullptr;
    twostate::lock lock;

    CHECK(Guard::state() == State);
    {
        Guard waits(lock), tries(lock, std::try_to_lock), for_ever(lock, never), late(lock, &past);
        Guard times(lock, hours(1)), steadily(lock, steady_clock::now());
        Guard system(lock, system_clock::now() + hours(1)), longest(lock, hours::max());

        CHECK(held(lock, State, 8) && waits && tries.owns_lock() && tries.error() == 0);
        CHECK(Guard(lock, &wrong).error() == -EINVAL);
        elsewhere([&] {
            CHECK(other(lock, std::try_to_lock).error() == -EAGAIN);
            CHECK(!other(lock, std::try_to_lock));
            CHECK(other(lock, &past).error() == -ETIMEDOUT);
            CHECK(other(lock, microseconds(1)).error() == -ETIMEDOUT);
            CHECK(other(lock, system_clock::now() + microseconds(1)).error() == -ETIMEDOUT);
        });
        waits.unlock();
        CHECK(!waits && held(lock, State, 7));
        waits.unlock(); /* has nothing more to give back */
        CHECK(held(lock, State, 7));
    }
    CHECK(free_now(lock));
    twostate_lock_acquire(&lock, State);
    {
        Guard adopted(lock, std::adopt_lock);

        CHECK(held(lock, State, 1));
    }
    CHECK(free_now(lock));
}

void several()
{
    twostate::lock lock;
    {
        guard_a three(lock, holds{3}), two(lock, holds{2}, hours(1));

        CHECK(three.count() == 3 && two.count() == 2 && held(lock, TWOSTATE_A, 5));
        CHECK(guard_a(lock, holds{0}).error() == -EINVAL);
        CHECK(guard_a(lock, holds{TWOSTATE_LOCK_MAX_HOLDERS}).error() == -EOVERFLOW);
        CHECK(guard_a(lock, holds{0}, std::try_to_lock).error() == -EAGAIN);
        elsewhere([&] {
            CHECK(guard_b(lock, holds{2}, std::try_to_lock).error() == -EAGAIN);
            CHECK(guard_b(lock, holds{2}, microseconds(1)).error() == -ETIMEDOUT);
        });

        guard_a one = three.split();

        CHECK(one.count() == 1 && three.count() == 2 && held(lock, TWOSTATE_A, 5));
        CHECK(three.split(3).error() == -EINVAL && three.split(0).error() == -EINVAL);
        one.unlock();
        CHECK(held(lock, TWOSTATE_A, 4));
        one = three.split(2); /* all of them */
        CHECK(!three && three.count() == 0 && one.count() == 2 && held(lock, TWOSTATE_A, 4));
        two.unlock();
        CHECK(held(lock, TWOSTATE_A, 2));
        twostate_lock_acquire_n(&lock, TWOSTATE_A, 3);
        three = guard_a(lock, holds{3}, std::adopt_lock);

        guard_a joined = three.join();

        CHECK(joined.count() == 1 && held(lock, TWOSTATE_A, 6));
        CHECK(two.join().error() == -EPERM);
    }
    CHECK(free_now(lock));
}

void moves()
{
    twostate::lock lock, second;
    guard_a first(lock);
    guard_a moved(std::move(first));
    guard_a into(second, holds{2});

    CHECK(!first && moved && held(lock, TWOSTATE_A, 1));
    into = std::move(moved); /* gives back what it held */
    CHECK(!moved && into.count() == 1 && held(lock, TWOSTATE_A, 1) && free_now(second));
    moved = guard_a(second, holds{2});
    CHECK(guard_a(std::move(moved)).count() == 2); /* and gives back both */
    CHECK(free_now(second));
    guard_a &same = into;
    into = std::move(same);
    CHECK(into && held(lock, TWOSTATE_A, 1));
    into = guard_a();
    CHECK(free_now(lock));
    CHECK(guard_a(lock, std::try_to_lock));
    CHECK(free_now(lock));
}

/* From one thread to another: by disown and adopt, and as an object. */
void handed_over()
{
    twostate::lock lock;
    guard_b moving(lock);
    guard_b several(lock, holds{2});
    twostate_lock *const disowned = several.disown();

    CHECK(disowned == &lock && !several && several.disown() == nullptr);
    CHECK(held(lock, TWOSTATE_B, 3));
    elsewhere([&] { guard_b(*disowned, holds{2}, std::adopt_lock).unlock(); });
    CHECK(held(lock, TWOSTATE_B, 1));
    moving.disown();
    elsewhere([&] { CHECK(guard_b(lock, std::adopt_lock)); });
    CHECK(free_now(lock));
}

void switches()
{
    twostate::lock lock;
    guard_a a(lock);
    guard_b b = a.switch_state();

    CHECK(!a && b && held(lock, TWOSTATE_B, 1));
    a = b.try_switch_state();
    CHECK(a && !b && held(lock, TWOSTATE_A, 1));
    CHECK(b.switch_state().error() == -EPERM);
    {
        guard_a beside = a.join();

        b = a.try_switch_state();
        CHECK(!b && b.error() == -EAGAIN && a && held(lock, TWOSTATE_A, 2));
        CHECK(a.switch_state(microseconds(1)).error() == -ETIMEDOUT);

        a.disown();
        std::thread waits([&] {
            guard_a adopted(lock, std::adopt_lock);

            twostate_validate_adopt(&lock);
            b = adopted.switch_state(hours(1));
            CHECK(b && !adopted);
            b.disown();
        });
        while (!lock.query().switching)
            std::this_thread::yield();
        CHECK(beside.switch_state().error() == -EDEADLK && beside);
        beside.unlock();
        waits.join();
    }
    CHECK(held(lock, TWOSTATE_B, 1));
    twostate_lock_release(&lock, TWOSTATE_B);
    b = guard_b(lock, holds{2});
    CHECK(b.switch_state().error() == -EDEADLK && b.count() == 2); /* it would wait for itself */
}

void freezes()
{
    twostate::lock lock;
    {
        freeze_guard ice(lock), more(lock, std::try_to_lock), timed(lock, hours(1));

        CHECK(lock.query().frozen == 3);
        lock.drain(); /* passes */
        CHECK(guard_a(lock, std::try_to_lock).error() == -EAGAIN);
        CHECK(guard_b(lock, microseconds(1)).error() == -ETIMEDOUT);
        CHECK(ice.try_thaw_to<guard_a>().error() == -EAGAIN && ice);
        CHECK(ice.thaw_to<guard_b>(microseconds(1)).error() == -ETIMEDOUT && ice);
        more.unlock();
        timed = freeze_guard();
        CHECK(lock.query().frozen == 1);

        guard_b b = ice.try_thaw_to<guard_b>();

        CHECK(b && !ice && held(lock, TWOSTATE_B, 1));
        CHECK(ice.thaw_to<guard_a>().error() == -EPERM);
        elsewhere([&] {
            CHECK(freeze_guard(lock, std::try_to_lock).error() == -EAGAIN);
            CHECK(lock.drain(microseconds(1)) == -ETIMEDOUT);
        });
        b.unlock();
        CHECK(lock.drain(steady_clock::now()) == 0);
        ice = freeze_guard(lock);
        CHECK(ice.thaw_to<guard_a>());
        CHECK(free_now(lock));
        ice = freeze_guard(lock);
        CHECK(ice.thaw_to<guard_b>(hours(1)));
        CHECK(free_now(lock));
        twostate_lock_freeze(&lock);
        CHECK(freeze_guard(lock, std::adopt_lock));
    }
    CHECK(free_now(lock));
}

void iolocks()
{
    twostate::iolock lock;
    {
        shared_guard first(lock), second(lock, std::try_to_lock), third(lock, hours(1));

        CHECK(held(lock, TWOSTATE_SHARED, 3));
        elsewhere([&] {
            CHECK(exclusive_guard(lock, std::try_to_lock).error() == -EAGAIN);
            CHECK(exclusive_guard(lock, microseconds(1)).error() == -ETIMEDOUT);
        });
    }
    {
        exclusive_guard alone(lock);

        CHECK(held(lock, TWOSTATE_EXCLUSIVE, 1));
        elsewhere([&] { CHECK(shared_guard(lock, std::try_to_lock).error() == -EAGAIN); });

        shared_guard beside = alone.demote();

        CHECK(!alone && beside && held(lock, TWOSTATE_SHARED, 1));
        CHECK(alone.demote().error() == -EPERM);
        elsewhere([&] { CHECK(shared_guard(lock, std::try_to_lock)); });
    }
    CHECK(free_now(lock));
    twostate_iolock_acquire(&lock, TWOSTATE_EXCLUSIVE);
    CHECK(exclusive_guard(lock, std::adopt_lock).owns_lock());
    twostate_iolock_acquire(&lock, TWOSTATE_SHARED);
    CHECK(shared_guard(lock, std::adopt_lock).owns_lock());
    CHECK(free_now(lock) && lock.query().holders == 0);
}

/* Adders of A, each with its own count; readers of B, who see all of them at rest. */
void threads()
{
    constexpr int rounds = 2000;
    twostate::lock lock;
    long counts[2] = {}, shadows[2] = {};
    std::atomic<long> wrong{0};
    const auto add = [&](int i) {
        for (int round = 0; round < rounds; round++) {
            guard_a guard(lock);

            counts[i]++;
            shadows[i]++;
        }
    };
    const auto read = [&] {
        for (int round = 0; round < rounds; round++) {
            guard_b guard(lock);

            wrong += counts[0] != shadows[0] || counts[1] != shadows[1];
        }
    };
    std::thread all[] = {std::thread(add, 0), std::thread(add, 1), std::thread(read),
                         std::thread(read)};

    for (std::thread &thread : all)
        thread.join();
    CHECK(wrong == 0 && counts[0] == rounds && counts[1] == rounds && free_now(lock));
}

} // namespace

void test_guards()
{
    CHECK(free_now(early) && free_now(early_iolock));
    ways_of_a_state<guard_a, TWOSTATE_A>();
    ways_of_a_state<guard_b, TWOSTATE_B>();
    several();
    moves();
    handed_over();
    switches();
    freezes();
    iolocks();
    CHECK((dies([](void *memory) {
        static guard_a guard;
        guard = guard_a(*new (memory) twostate::lock);
        static_cast<twostate::lock *>(memory)->~lock();
    })));
    CHECK((dies([](void *memory) {
        static shared_guard guard;
        guard = shared_guard(*new (memory) twostate::iolock);
        static_cast<twostate::iolock *>(memory)->~iolock();
    })));
    threads();
}
