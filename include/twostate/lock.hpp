/* SPDX-License-Identifier: MIT */
/*
 * C++: guards, an owner and views of the two-state lock of lock.h. Begin with twostate.hpp.
 */
#ifndef TWOSTATE_LOCK_HPP
#define TWOSTATE_LOCK_HPP

#include <twostate/guard.hpp>
#include <twostate/lock.h>

namespace twostate
{

class guard_a;
class guard_b;

/* How many, for the guards of several holds: guard_a guard(lock, holds{3}). */
struct holds {
    std::uint32_t count;
};

namespace detail
{

/* The ways in which a lock is held: what guards and views are made for. */
template <twostate_state State> struct in_state {
    using lock_type = ::twostate_lock;

    static void acquire(lock_type &lock) noexcept TWOSTATE_UNCHECKED
    {
        twostate_lock_acquire(&lock, State);
    }
    static bool try_acquire(lock_type &lock) noexcept TWOSTATE_UNCHECKED
    {
        return twostate_lock_try_acquire(&lock, State);
    }
    static int acquire_timed(lock_type &lock, const timespec *at) noexcept TWOSTATE_UNCHECKED
    {
        return twostate_lock_acquire_timed(&lock, State, at);
    }
    static void release(lock_type &lock, std::uint32_t n = 1) noexcept TWOSTATE_UNCHECKED
    {
        if (n == 1)
            twostate_lock_release(&lock, State);
        else
            twostate_lock_release_n(&lock, State, n);
    }
};

struct in_freeze {
    using lock_type = ::twostate_lock;

    static void acquire(lock_type &lock) noexcept TWOSTATE_UNCHECKED
    {
        twostate_lock_freeze(&lock);
    }
    static bool try_acquire(lock_type &lock) noexcept TWOSTATE_UNCHECKED
    {
        return twostate_lock_try_freeze(&lock);
    }
    static int acquire_timed(lock_type &lock, const timespec *at) noexcept TWOSTATE_UNCHECKED
    {
        return twostate_lock_freeze_timed(&lock, at);
    }
    static void release(lock_type &lock, std::uint32_t = 1) noexcept TWOSTATE_UNCHECKED
    {
        twostate_lock_thaw(&lock);
    }
    static int thaw_to(lock_type &lock, twostate_state to) noexcept TWOSTATE_UNCHECKED
    {
        return twostate_lock_thaw_to(&lock, to);
    }
    static int try_thaw_to(lock_type &lock, twostate_state to) noexcept TWOSTATE_UNCHECKED
    {
        return twostate_lock_try_thaw_to(&lock, to) ? 0 : -EAGAIN;
    }
    static int thaw_to_timed(lock_type &lock, twostate_state to,
                             const timespec *at) noexcept TWOSTATE_UNCHECKED
    {
        return twostate_lock_thaw_to_timed(&lock, to, at);
    }
};

template <twostate_state State, class Self, class Other>
class state_guard : public guard<in_state<State>>
{
    using base = guard<in_state<State>>;
    using base::count_;
    using base::lock_;

  public:
    using base::base;
    state_guard() noexcept = default;

    /* Several holds in one step: empty with -EOVERFLOW at the limit, -EINVAL for none; if it only
       tries, with -EAGAIN for all of it. */
    state_guard(::twostate_lock &the_lock_, holds n_) noexcept
    {
        this->set(the_lock_, n_.count, twostate_lock_acquire_n(&the_lock_, State, n_.count));
    }
    state_guard(::twostate_lock &the_lock_, holds n_, std::try_to_lock_t) noexcept
    {
        this->set(the_lock_, n_.count,
                  twostate_lock_try_acquire_n(&the_lock_, State, n_.count) ? 0 : -EAGAIN);
    }
    state_guard(::twostate_lock &the_lock_, holds n_, std::adopt_lock_t) noexcept
    {
        this->set(the_lock_, n_.count, 0);
    }
    /* Until a timespec *, for a duration, or until a time point. */
    template <class Time> state_guard(::twostate_lock &the_lock_, holds n_, const Time &time_)
    {
        this->set(the_lock_, n_.count,
                  wait_until(time_, [&the_lock_, n_](const timespec *at_) noexcept {
                      return twostate_lock_acquire_n_timed(&the_lock_, State, n_.count, at_);
                  }));
    }

    static constexpr twostate_state state() noexcept
    {
        return State;
    }
    /* How many holds it has. */
    std::uint32_t count() const noexcept
    {
        return lock_ ? count_ : 0;
    }
    /* Another guard that takes over n of the holds; empty with -EINVAL if there are fewer, or n is 0. */
    TWOSTATE_NODISCARD_ Self split(std::uint32_t n = 1) noexcept TWOSTATE_UNCHECKED
    {
        if (n == 0 || n > count())
            return maker::fail<Self>(-EINVAL);
        ::twostate_lock *const lock = lock_;

        count_ -= n;
        if (count_ == 0)
            lock_ = nullptr;
        return maker::make<Self>(*lock, n, 0);
    }
    /* Another guard with one more hold, had without waiting; empty with -EOVERFLOW, or -EPERM if
     * this one is empty. (twostate_lock_join) */
    TWOSTATE_NODISCARD_ Self join() const noexcept TWOSTATE_UNCHECKED
    {
        return lock_ ? maker::make<Self>(*lock_, 1, twostate_lock_join(lock_, State))
                     : maker::fail<Self>(-EPERM);
    }

    /*
     * Turn the hold into one of the other state, as twostate_lock_switch and its forms do, and return
     * its guard; this one is empty then. Or return an empty guard with the error, and this one
     * holds what it held: -EAGAIN (try: there are other holders), -EDEADLK (another holder waits to
     * switch, or this guard has several holds), -ETIMEDOUT, -EINVAL, -EPERM (it is empty).
     */
    TWOSTATE_NODISCARD_ Other switch_state() noexcept TWOSTATE_UNCHECKED
    {
        const int refused = may_not_switch();

        return switched(refused ? refused : twostate_lock_switch(lock_, other()));
    }
    TWOSTATE_NODISCARD_ Other try_switch_state() noexcept TWOSTATE_UNCHECKED
    {
        const int refused = may_not_switch();

        return switched(refused ? refused : twostate_lock_try_switch(lock_, other()) ? 0 : -EAGAIN);
    }
    /* Until a timespec *, for a duration, or until a time point. */
    template <class Time>
    TWOSTATE_NODISCARD_ Other switch_state(const Time &time) TWOSTATE_UNCHECKED
    {
        const int refused = may_not_switch();
        auto call = [this](const timespec *at_) noexcept { return switch_timed(at_); };

        return switched(refused ? refused : wait_until(time, call));
    }

  private:
    static constexpr twostate_state other() noexcept
    {
        return State == TWOSTATE_A ? TWOSTATE_B : TWOSTATE_A;
    }
    int switch_timed(const timespec *at) noexcept TWOSTATE_UNCHECKED
    {
        return twostate_lock_switch_timed(lock_, other(), at);
    }
    int may_not_switch() const noexcept
    {
        return !lock_ ? -EPERM : count_ > 1 ? -EDEADLK : 0;
    }
    Other switched(int error) noexcept TWOSTATE_UNCHECKED
    {
        return error ? maker::fail<Other>(error) : maker::make<Other>(*this->take(), 1, 0);
    }
};

} // namespace detail

/* The owner. It ends with twostate_lock_destroy, which stops the program if the lock is in use. */
class TWOSTATE_SAYS_(capability("two-state lock")) lock : public ::twostate_lock
{
  public:
    constexpr lock() noexcept : ::twostate_lock() {}
    lock(const lock &) = delete;
    lock &operator=(const lock &) = delete;
    ~lock()
    {
        twostate_lock_destroy(this);
    }
    /* Waits until the lock is unlocked, or frozen. The guarantee is G8 of lock.h. */
    void drain() noexcept TWOSTATE_SAYS_(locks_excluded(this)) TWOSTATE_UNCHECKED
    {
        twostate_lock_drain(this);
    }
    /* Until a timespec *, for a duration, or until a time point. 0, -ETIMEDOUT or -EINVAL. */
    template <class Time> TWOSTATE_NODISCARD_ int drain(const Time &time)
    {
        return detail::wait_until(time, [this](const timespec *at_) noexcept {
            return twostate_lock_drain_timed(this, at_);
        });
    }
    twostate_lock_info query() const noexcept
    {
        return twostate_lock_query(this);
    }
};

/* Holds of state A. */
class guard_a : public detail::state_guard<TWOSTATE_A, guard_a, guard_b>
{
    using base = detail::state_guard<TWOSTATE_A, guard_a, guard_b>;

  public:
    using base::base;
    guard_a() noexcept = default;
};

/* Holds of state B. */
class guard_b : public detail::state_guard<TWOSTATE_B, guard_b, guard_a>
{
    using base = detail::state_guard<TWOSTATE_B, guard_b, guard_a>;

  public:
    using base::base;
    guard_b() noexcept = default;
};

/* A freeze: unlock thaws. */
class freeze_guard : public detail::guard<detail::in_freeze>
{
    using base = detail::guard<detail::in_freeze>;

  public:
    using base::base;
    freeze_guard() noexcept = default;

    /*
     * Turn the freeze into a hold, guard.thaw_to<guard_a>(), as twostate_lock_thaw_to and its forms do,
     * and return its guard; this one is empty then. Or return an empty guard with the error, and
     * this one goes on: -EAGAIN (try: there are other freezes), -EDEADLK (another freeze waits for
     * the same), -ETIMEDOUT, -EINVAL, -EPERM (it is empty).
     */
    template <class Guard> TWOSTATE_NODISCARD_ Guard thaw_to() noexcept TWOSTATE_UNCHECKED
    {
        return thawed<Guard>(lock_ ? way::thaw_to(*lock_, Guard::state()) : -EPERM);
    }
    template <class Guard> TWOSTATE_NODISCARD_ Guard try_thaw_to() noexcept TWOSTATE_UNCHECKED
    {
        return thawed<Guard>(lock_ ? way::try_thaw_to(*lock_, Guard::state()) : -EPERM);
    }
    /* Until a timespec *, for a duration, or until a time point. */
    template <class Guard, class Time>
    TWOSTATE_NODISCARD_ Guard thaw_to(const Time &time) TWOSTATE_UNCHECKED
    {
        auto thaw = [this](const timespec *at_) noexcept {
            return way::thaw_to_timed(*lock_, Guard::state(), at_);
        };

        return thawed<Guard>(lock_ ? detail::wait_until(time, thaw) : -EPERM);
    }

  private:
    template <class Guard> Guard thawed(int error) noexcept TWOSTATE_UNCHECKED
    {
        return error ? detail::maker::fail<Guard>(error)
                     : detail::maker::make<Guard>(*take(), 1, 0);
    }
};

/* A hold of state A from here to the end of the block: what thread_safety.h can follow. */
class TWOSTATE_SAYS_(scoped_lockable) scoped_a
{
  public:
    explicit scoped_a(::twostate_lock &lock) noexcept TWOSTATE_ACQUIRES_A(&lock) TWOSTATE_UNCHECKED
        : lock_(lock)
    {
        twostate_lock_acquire(&lock_, TWOSTATE_A);
    }
    scoped_a(const scoped_a &) = delete;
    scoped_a &operator=(const scoped_a &) = delete;
    ~scoped_a() TWOSTATE_SAYS_(release_capability()) TWOSTATE_UNCHECKED
    {
        twostate_lock_release(&lock_, TWOSTATE_A);
    }

  private:
    ::twostate_lock &lock_;
};

/* The same in state B. */
class TWOSTATE_SAYS_(scoped_lockable) scoped_b
{
  public:
    explicit scoped_b(::twostate_lock &lock) noexcept TWOSTATE_ACQUIRES_B(&lock) TWOSTATE_UNCHECKED
        : lock_(lock)
    {
        twostate_lock_acquire(&lock_, TWOSTATE_B);
    }
    scoped_b(const scoped_b &) = delete;
    scoped_b &operator=(const scoped_b &) = delete;
    ~scoped_b() TWOSTATE_SAYS_(release_capability()) TWOSTATE_UNCHECKED
    {
        twostate_lock_release(&lock_, TWOSTATE_B);
    }

  private:
    ::twostate_lock &lock_;
};

/* A freeze, the same way. */
class TWOSTATE_SAYS_(scoped_lockable) scoped_freeze
{
  public:
    explicit scoped_freeze(::twostate_lock &lock) noexcept
        TWOSTATE_SAYS_(acquire_capability(lock)) TWOSTATE_UNCHECKED : lock_(lock)
    {
        twostate_lock_freeze(&lock_);
    }
    scoped_freeze(const scoped_freeze &) = delete;
    scoped_freeze &operator=(const scoped_freeze &) = delete;
    ~scoped_freeze() TWOSTATE_SAYS_(release_capability()) TWOSTATE_UNCHECKED
    {
        twostate_lock_thaw(&lock_);
    }

  private:
    ::twostate_lock &lock_;
};

/* Views: mutexes, each of a lock in one state, or frozen while it is locked. */
using state_a = detail::view<detail::in_state<TWOSTATE_A>, detail::in_state<TWOSTATE_A>>;
using state_b = detail::view<detail::in_state<TWOSTATE_B>, detail::in_state<TWOSTATE_B>>;
using frozen = detail::view<detail::in_freeze, detail::in_freeze>;

} // namespace twostate

#endif
