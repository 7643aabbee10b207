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
class shared_guard : public detail::guard<detail::in_mode<TWOSTATE_SHARED>>
{
    using base = detail::guard<detail::in_mode<TWOSTATE_SHARED>>;

  public:
    using base::base;
    shared_guard() noexcept = default;
};

/* An exclusive one. */
class exclusive_guard : public detail::guard<detail::in_mode<TWOSTATE_EXCLUSIVE>>
{
    using base = detail::guard<detail::in_mode<TWOSTATE_EXCLUSIVE>>;

  public:
    using base::base;
    exclusive_guard() noexcept = default;

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

/* Shared from here to the end of the block: what thread_safety.h can follow. */
class TWOSTATE_SAYS_(scoped_lockable) scoped_shared
{
  public:
    explicit scoped_shared(::twostate_iolock &lock) noexcept
        TWOSTATE_ACQUIRES_SHARED(lock) TWOSTATE_UNCHECKED : lock_(lock)
    {
        twostate_iolock_acquire(&lock_, TWOSTATE_SHARED);
    }
    scoped_shared(const scoped_shared &) = delete;
    scoped_shared &operator=(const scoped_shared &) = delete;
    ~scoped_shared() TWOSTATE_SAYS_(release_capability()) TWOSTATE_UNCHECKED
    {
        twostate_iolock_release(&lock_, TWOSTATE_SHARED);
    }

  private:
    ::twostate_iolock &lock_;
};

/* The same, exclusive. */
class TWOSTATE_SAYS_(scoped_lockable) scoped_exclusive
{
  public:
    explicit scoped_exclusive(::twostate_iolock &lock) noexcept
        TWOSTATE_ACQUIRES_EXCLUSIVE(lock) TWOSTATE_UNCHECKED : lock_(lock)
    {
        twostate_iolock_acquire(&lock_, TWOSTATE_EXCLUSIVE);
    }
    scoped_exclusive(const scoped_exclusive &) = delete;
    scoped_exclusive &operator=(const scoped_exclusive &) = delete;
    ~scoped_exclusive() TWOSTATE_SAYS_(release_capability()) TWOSTATE_UNCHECKED
    {
        twostate_iolock_release(&lock_, TWOSTATE_EXCLUSIVE);
    }

  private:
    ::twostate_iolock &lock_;
};

/* The view: a shared mutex, exclusive when locked, shared when locked shared. */
using iolock_mutex =
    detail::view<detail::in_mode<TWOSTATE_EXCLUSIVE>, detail::in_mode<TWOSTATE_SHARED>>;

} // namespace twostate

#endif
