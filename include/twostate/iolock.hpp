/* SPDX-License-Identifier: MIT */
/*
 * C++: guards, an owner and a view of the IOLOCK of iolock.h. Begin with twostate.hpp.
 */
#ifndef TWOSTATE_IOLOCK_HPP
#define TWOSTATE_IOLOCK_HPP

#include <twostate/guard.hpp>
#include <twostate/iolock.h>

namespace twostate
{

namespace detail
{

template <twostate_iomode Mode> struct in_mode {
    using lock_type = ::twostate_iolock;

    static void acquire(lock_type &lock) noexcept TWOSTATE_UNCHECKED
    {
        twostate_iolock_acquire(&lock, Mode);
    }
    static bool try_acquire(lock_type &lock) noexcept TWOSTATE_UNCHECKED
    {
        return twostate_iolock_try_acquire(&lock, Mode);
    }
    static int acquire_timed(lock_type &lock, const timespec *at) noexcept TWOSTATE_UNCHECKED
    {
        return twostate_iolock_acquire_timed(&lock, Mode, at);
    }
    static void release(lock_type &lock, std::uint32_t = 1) noexcept TWOSTATE_UNCHECKED
    {
        twostate_iolock_release(&lock, Mode);
    }
};

} // namespace detail

/* The owner. It ends with twostate_iolock_destroy, which stops the program if the lock is in use. */
class TWOSTATE_SAYS_(capability("IOLOCK")) iolock : public ::twostate_iolock
{
  public:
    constexpr iolock() noexcept : ::twostate_iolock() {}
    iolock(const iolock &) = delete;
    iolock &operator=(const iolock &) = delete;
    ~iolock()
    {
        twostate_iolock_destroy(this);
    }
    twostate_iolock_info query() const noexcept
    {
        return twostate_iolock_query(this);
    }
};

/* A shared hold of an IOLOCK. */
class TWOSTATE_SAYS_(scoped_lockable) shared_guard
    : public detail::guard<detail::in_mode<TWOSTATE_SHARED>>
{
    using base = detail::guard<detail::in_mode<TWOSTATE_SHARED>>;

  public:
    using base::base;
    shared_guard() noexcept = default;
    explicit shared_guard(::twostate_iolock &lock) noexcept
        TWOSTATE_ACQUIRES_SHARED(lock) TWOSTATE_UNCHECKED
    {
        way::acquire(lock);
        set(lock, 1, 0);
    }
    shared_guard(::twostate_iolock &lock, std::adopt_lock_t) noexcept
        TWOSTATE_REQUIRES_SHARED(lock) TWOSTATE_UNCHECKED
    {
        set(lock, 1, 0);
    }
    shared_guard(shared_guard &&) noexcept = default;
    shared_guard &operator=(shared_guard &&) noexcept = default;
    ~shared_guard() TWOSTATE_SAYS_(release_capability()) TWOSTATE_UNCHECKED = default;
    void unlock() noexcept TWOSTATE_SAYS_(release_capability()) TWOSTATE_UNCHECKED
    {
        base::unlock();
    }
};

/* An exclusive one. */
class TWOSTATE_SAYS_(scoped_lockable) exclusive_guard
    : public detail::guard<detail::in_mode<TWOSTATE_EXCLUSIVE>>
{
    using base = detail::guard<detail::in_mode<TWOSTATE_EXCLUSIVE>>;

  public:
    using base::base;
    exclusive_guard() noexcept = default;
    explicit exclusive_guard(::twostate_iolock &lock) noexcept
        TWOSTATE_ACQUIRES_EXCLUSIVE(lock) TWOSTATE_UNCHECKED
    {
        way::acquire(lock);
        set(lock, 1, 0);
    }
    exclusive_guard(::twostate_iolock &lock, std::adopt_lock_t) noexcept
        TWOSTATE_REQUIRES_EXCLUSIVE(lock) TWOSTATE_UNCHECKED
    {
        set(lock, 1, 0);
    }
    exclusive_guard(exclusive_guard &&) noexcept = default;
    exclusive_guard &operator=(exclusive_guard &&) noexcept = default;
    ~exclusive_guard() TWOSTATE_SAYS_(release_capability()) TWOSTATE_UNCHECKED = default;
    void unlock() noexcept TWOSTATE_SAYS_(release_capability()) TWOSTATE_UNCHECKED
    {
        base::unlock();
    }

    /* Turns it into a shared one, without waiting and nobody between (twostate_iolock_demote), and
     * returns its guard; this one is empty then. Of an empty guard: empty with -EPERM. */
    TWOSTATE_NODISCARD_ shared_guard demote() noexcept TWOSTATE_UNCHECKED
    {
        if (!lock_)
            return detail::maker::fail<shared_guard>(-EPERM);
        twostate_iolock_demote(lock_);
        return detail::maker::make<shared_guard>(*take(), 1, 0);
    }
};

/* The view: a shared mutex, exclusive when locked, shared when locked shared. */
using iolock_mutex =
    detail::view<detail::in_mode<TWOSTATE_EXCLUSIVE>, detail::in_mode<TWOSTATE_SHARED>>;

} // namespace twostate

#endif
