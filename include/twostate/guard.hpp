/* SPDX-License-Identifier: MIT */
/*
 * C++, private: what the guards and views of lock.hpp, iolock.hpp and iopair.hpp are made of. What they
 * have in common is described in twostate.hpp.
 */
#ifndef TWOSTATE_GUARD_HPP
#define TWOSTATE_GUARD_HPP

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <mutex>

#include <twostate/thread_safety.h>
#include <twostate/validate.h>

#if __cplusplus >= 201703L
#define TWOSTATE_NODISCARD_ [[nodiscard]]
#else
#define TWOSTATE_NODISCARD_
#endif

namespace twostate
{

namespace detail
{

/* A moment of CLOCK_MONOTONIC as the C calls take it. */
class deadline
{
  public:
    explicit deadline(const timespec *at) noexcept : at_(at ? *at : timespec()), never_(!at) {}
    /* So long after the clock's beginning. */
    template <class Rep, class Period>
    explicit deadline(const std::chrono::duration<Rep, Period> &since) : at_(), never_(false)
    {
        const std::chrono::hours century(24 * 36525);
        using seconds = std::chrono::duration<long double>;

        if (!(seconds(since).count() > 0)) /* so, for it may be no number */
            return;
        never_ = seconds(since) > seconds(century);
        if (never_)
            return;
        auto whole = std::chrono::duration_cast<std::chrono::nanoseconds>(since);

        if (whole < since)
            ++whole;
        at_.tv_sec = static_cast<std::time_t>(whole.count() / 1000000000);
        at_.tv_nsec = static_cast<long>(whole.count() % 1000000000);
    }
    const timespec *get() const noexcept
    {
        return never_ ? nullptr : &at_;
    }

  private:
    timespec at_;
    bool never_;
};

/* Calls wait with a moment, however it is given, as a timespec. Returns what it returned. */
template <class Wait> int wait_once(const timespec *at, Wait wait)
{
    return wait(at);
}
template <class Rep, class Period, class Wait>
int wait_once(const std::chrono::duration<Rep, Period> &time, Wait wait)
{
    using std::chrono::nanoseconds;
    using std::chrono::seconds;
    const deadline span(time); /* whole, and so short that the sum can't overflow */

    if (!span.get())
        return wait(nullptr);
    return wait(deadline(std::chrono::steady_clock::now().time_since_epoch() +
                         seconds(span.get()->tv_sec) + nanoseconds(span.get()->tv_nsec))
                    .get());
}
template <class Duration, class Wait>
int wait_once(const std::chrono::time_point<std::chrono::steady_clock, Duration> &at, Wait wait)
{
    return wait(deadline(at.time_since_epoch()).get());
}
template <class Clock, class Duration, class Wait>
int wait_once(const std::chrono::time_point<Clock, Duration> &at, Wait wait)
{
    const auto now = Clock::now();

    return at <= now ? wait_once(std::chrono::nanoseconds(0), wait) : wait_once(at - now, wait);
}

/* The same, and again while it timed out too early by the moment's own clock. */
template <class Time, class Wait> int wait_until(const Time &time, Wait wait)
{
    return wait_once(time, wait);
}
template <class Clock, class Duration, class Wait>
int wait_until(const std::chrono::time_point<Clock, Duration> &at, Wait wait)
{
    for (;;) {
        const int result = wait_once(at, wait);

        if (result != -ETIMEDOUT || at <= Clock::now())
            return result;
    }
}

/* A call that waits, for wait_until. */
template <class Way> struct acquires {
    typename Way::lock_type &lock;

    int operator()(const timespec *at) const noexcept
    {
        return Way::acquire_timed(lock, at);
    }
};

/* A lock in the shape of a shared mutex, with one way to hold it for each of its two families. */
template <class Way, class SharedWay> class view
{
  public:
    using lock_type = typename Way::lock_type;

    explicit view(lock_type &lock) noexcept : lock_(&lock) {}
    void lock() noexcept
    {
        Way::acquire(*lock_);
    }
    TWOSTATE_NODISCARD_ bool try_lock() noexcept
    {
        return Way::try_acquire(*lock_);
    }
    /* These are false also at the limit of holders. */
    template <class Rep, class Period>
    TWOSTATE_NODISCARD_ bool try_lock_for(const std::chrono::duration<Rep, Period> &time)
    {
        return wait_until(time, acquires<Way>{*lock_}) == 0;
    }
    template <class Clock, class Duration>
    TWOSTATE_NODISCARD_ bool try_lock_until(const std::chrono::time_point<Clock, Duration> &at)
    {
        return wait_until(at, acquires<Way>{*lock_}) == 0;
    }
    void unlock() noexcept
    {
        Way::release(*lock_);
    }
    void lock_shared() noexcept
    {
        SharedWay::acquire(*lock_);
    }
    TWOSTATE_NODISCARD_ bool try_lock_shared() noexcept
    {
        return SharedWay::try_acquire(*lock_);
    }
    template <class Rep, class Period>
    TWOSTATE_NODISCARD_ bool try_lock_shared_for(const std::chrono::duration<Rep, Period> &time)
    {
        return wait_until(time, acquires<SharedWay>{*lock_}) == 0;
    }
    template <class Clock, class Duration>
    TWOSTATE_NODISCARD_ bool
    try_lock_shared_until(const std::chrono::time_point<Clock, Duration> &at)
    {
        return wait_until(at, acquires<SharedWay>{*lock_}) == 0;
    }
    void unlock_shared() noexcept
    {
        SharedWay::release(*lock_);
    }

  private:
    lock_type *lock_;
};

/* Holds of a lock that are given back at the end. What the guards have in common. */
template <class Way> class guard
{
  public:
    using way = Way;
    using lock_type = typename Way::lock_type;

    guard() noexcept = default;
    explicit guard(lock_type &the_lock_) noexcept
    {
        Way::acquire(the_lock_);
        set(the_lock_, 1, 0);
    }
    guard(lock_type &the_lock_, std::adopt_lock_t) noexcept
    {
        set(the_lock_, 1, 0);
    }
    /* Parameters of lambdas and inherited constructors end in _: gcc takes others for shadowed globals. */
    guard(lock_type &the_lock_, std::try_to_lock_t) noexcept
    {
        set(the_lock_, 1, Way::try_acquire(the_lock_) ? 0 : -EAGAIN);
    }
    guard(lock_type &the_lock_, const timespec *at_) noexcept
    {
        set(the_lock_, 1, Way::acquire_timed(the_lock_, at_));
    }
    template <class Rep, class Period>
    guard(lock_type &the_lock_, const std::chrono::duration<Rep, Period> &time_)
    {
        set(the_lock_, 1, wait_until(time_, acquires<Way>{the_lock_}));
    }
    template <class Clock, class Duration>
    guard(lock_type &the_lock_, const std::chrono::time_point<Clock, Duration> &at_)
    {
        set(the_lock_, 1, wait_until(at_, acquires<Way>{the_lock_}));
    }
    guard(guard &&other) noexcept : lock_(other.take()), count_(other.count_), error_(other.error_)
    {
    }
    guard &operator=(guard &&other) noexcept
    {
        if (this != &other) {
            unlock();
            lock_ = other.take();
            count_ = other.count_;
            error_ = other.error_;
        }
        return *this;
    }
    ~guard()
    {
        unlock();
    }

    /* Whether it holds. */
    explicit operator bool() const noexcept
    {
        return lock_ != nullptr;
    }
    bool owns_lock() const noexcept
    {
        return lock_ != nullptr;
    }
    /* Why it is empty: what the C call returned, -EAGAIN of one that was not to wait, or 0. */
    int error() const noexcept
    {
        return error_;
    }
    /* Gives back what it holds, if anything. */
    void unlock() noexcept
    {
        lock_type *const lock = take();

        if (lock)
            Way::release(*lock, count_);
    }
    /*
     * Hands over what it holds: it is nobody's until a guard adopts it, or a C call gives it back, in
     * any thread (twostate_validate_disown). nullptr if there is nothing.
     */
    lock_type *disown() noexcept
    {
        lock_type *const lock = take();

        for (std::uint32_t i = 0; lock && i < count_; i++)
            twostate_validate_disown(lock);
        return lock;
    }

  protected:
    friend struct maker;

    void set(lock_type &lock, std::uint32_t count, int error) noexcept
    {
        lock_ = error ? nullptr : &lock;
        count_ = count;
        error_ = error;
    }
    lock_type *take() noexcept
    {
        lock_type *const lock = lock_;

        lock_ = nullptr;
        return lock;
    }

    lock_type *lock_ = nullptr;
    std::uint32_t count_ = 0;
    int error_ = 0;
};

/* Makes the guards that functions return: of what is held already, or empty with an error. */
struct maker {
    template <class Guard>
    static Guard make(typename Guard::lock_type &lock, std::uint32_t count, int error) noexcept
    {
        Guard made;

        made.set(lock, count, error);
        return made;
    }
    template <class Guard> static Guard fail(int error) noexcept
    {
        Guard made;

        made.error_ = error;
        return made;
    }
};

} // namespace detail

} // namespace twostate

#endif
