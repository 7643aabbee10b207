/* SPDX-License-Identifier: MIT */
/*
 * C++: the IO pair of iopair.h and what requests hold of it. Begin with twostate.hpp.
 *
 * Example, an asynchronous direct write:
 *
 *     twostate::io_hold hold(file->pair, TWOSTATE_DIRECT);
 *
 *     hold.submitting(request->completion);   // IOTYPE goes with the request
 *     submit(request);                        // may complete before this returns
 *     hold.submitted();                       // drops the IOLOCK
 *     ...
 *     request->completion.complete();         // in the completion, by any thread
 */
#ifndef TWOSTATE_IOPAIR_HPP
#define TWOSTATE_IOPAIR_HPP

#include <twostate/guard.hpp>
#include <twostate/iopair.h>

namespace twostate
{

/* The owner. It ends with twostate_iopair_destroy, which stops the program if the pair is in use. */
class iopair : public ::twostate_iopair
{
  public:
    constexpr iopair() noexcept : ::twostate_iopair() {}
    iopair(const iopair &) = delete;
    iopair &operator=(const iopair &) = delete;
    ~iopair()
    {
        twostate_iopair_destroy(this);
    }
    twostate_iopair_info query() const noexcept
    {
        return twostate_iopair_query(this);
    }
};

/* IOTYPE of a request that was submitted, for its completion. Part of the request: it stays in place. */
class io_completion
{
  public:
    io_completion() noexcept : hold_(), holds_(false) {}
    io_completion(const io_completion &) = delete;
    io_completion &operator=(const io_completion &) = delete;
    ~io_completion()
    {
        complete();
    }
    explicit operator bool() const noexcept
    {
        return holds_;
    }
    /* Gives back what it holds, if anything (twostate_iopair_complete). By any thread. */
    void complete() noexcept
    {
        const bool held = holds_;

        holds_ = false;
        if (held)
            twostate_iopair_complete(&hold_);
    }

  private:
    friend class io_hold;

    ::twostate_hold hold_;
    bool holds_;
};

/*
 * What a request holds of a pair, on its path from begin to end. It stays in place: what has to go
 * elsewhere goes by submitting. Whatever begins it ends first what it held.
 */
class io_hold
{
  public:
    io_hold() noexcept : hold_(), phase_(phase::empty) {}
    io_hold(::twostate_iopair &pair, twostate_iopath path) noexcept : io_hold()
    {
        begin(pair, path);
    }
    io_hold(const io_hold &) = delete;
    io_hold &operator=(const io_hold &) = delete;
    ~io_hold()
    {
        end();
    }
    /* Whether it holds anything, be it the IOLOCK only, between submitting and submitted. */
    explicit operator bool() const noexcept
    {
        return phase_ != phase::empty;
    }

    /* The forms of twostate_iopair_begin. Time: a timespec *, a duration or a time point. */
    void begin(::twostate_iopair &pair, twostate_iopath path) noexcept TWOSTATE_UNCHECKED
    {
        end();
        twostate_iopair_begin(&pair, path, &hold_);
        phase_ = phase::begun;
    }
    TWOSTATE_NODISCARD_ bool try_begin(::twostate_iopair &pair,
                                       twostate_iopath path) noexcept TWOSTATE_UNCHECKED
    {
        end();
        return begun(twostate_iopair_try_begin(&pair, path, &hold_));
    }
    template <class Time>
    TWOSTATE_NODISCARD_ int begin(::twostate_iopair &pair, twostate_iopath path, const Time &time)
    {
        end();
        return begun_by(time, [&](const timespec *at_) noexcept {
            return twostate_iopair_begin_timed(&pair, path, &hold_, at_);
        });
    }

    /* The forms of twostate_iopair_begin_remap_two. */
    void begin_remap(::twostate_iopair &source,
                     ::twostate_iopair &destination) noexcept TWOSTATE_UNCHECKED
    {
        end();
        twostate_iopair_begin_remap_two(&source, &destination, &hold_);
        phase_ = phase::begun;
    }
    TWOSTATE_NODISCARD_ bool
    try_begin_remap(::twostate_iopair &source,
                    ::twostate_iopair &destination) noexcept TWOSTATE_UNCHECKED
    {
        end();
        return begun(twostate_iopair_try_begin_remap_two(&source, &destination, &hold_));
    }
    template <class Time>
    TWOSTATE_NODISCARD_ int begin_remap(::twostate_iopair &source, ::twostate_iopair &destination,
                                        const Time &time)
    {
        end();
        return begun_by(time, [&](const timespec *at_) noexcept {
            return twostate_iopair_begin_remap_two_timed(&source, &destination, &hold_, at_);
        });
    }

    /* Gives back all that it holds, if anything: twostate_iopair_end, or _submitted after submitting. */
    void end() noexcept TWOSTATE_UNCHECKED
    {
        const phase before = phase_;

        phase_ = phase::empty;
        if (before == phase::begun)
            twostate_iopair_end(&hold_);
        else if (before == phase::submitting)
            twostate_iopair_submitted(&hold_);
    }

    /*
     * Before and after a submission (twostate_iopair_submitting, _submitted): the completion has
     * IOTYPE, and this the IOLOCK until submitted. If nothing could be submitted, end both.
     */
    void submitting(io_completion &completion) noexcept TWOSTATE_UNCHECKED
    {
        completion.complete();
        completion.holds_ = true;
        twostate_iopair_submitting(&hold_, &completion.hold_);
        phase_ = phase::submitting;
    }
    void submitted() noexcept TWOSTATE_UNCHECKED
    {
        phase_ = phase::empty;
        twostate_iopair_submitted(&hold_);
    }

    /* The forms of twostate_iopair_extend_to_direct. */
    void extend_to_direct() noexcept TWOSTATE_UNCHECKED
    {
        twostate_iopair_extend_to_direct(&hold_);
    }
    TWOSTATE_NODISCARD_ bool try_extend_to_direct() noexcept TWOSTATE_UNCHECKED
    {
        return twostate_iopair_try_extend_to_direct(&hold_);
    }
    template <class Time> TWOSTATE_NODISCARD_ int extend_to_direct(const Time &time)
    {
        return detail::wait_until(
            time, [this](const timespec *at_) noexcept { return extend_timed(at_); });
    }

    /* The forms of twostate_iopair_retry_unaligned. One that fails has ended the hold. */
    void retry_unaligned() noexcept TWOSTATE_UNCHECKED
    {
        twostate_iopair_retry_unaligned(&hold_);
    }
    TWOSTATE_NODISCARD_ bool try_retry_unaligned() noexcept TWOSTATE_UNCHECKED
    {
        return begun(twostate_iopair_try_retry_unaligned(&hold_));
    }
    /* Looks once at a clock that is not steady_clock. */
    template <class Time> TWOSTATE_NODISCARD_ int retry_unaligned(const Time &time)
    {
        const int error = detail::wait_once(
            time, [this](const timespec *at_) noexcept { return retry_timed(at_); });

        begun(error == 0);
        return error;
    }

    /* Another thread will end it (twostate_validate_disown_hold). */
    void disown() const noexcept
    {
        twostate_validate_disown_hold(&hold_);
    }
    /* For the calls of async.h: the hold that they begin, and, once it is granted, that it is. */
    ::twostate_hold *native() noexcept
    {
        return &hold_;
    }
    void adopt() noexcept
    {
        phase_ = phase::begun;
    }

  private:
    enum class phase { empty, begun, submitting };

    int extend_timed(const timespec *at) noexcept TWOSTATE_UNCHECKED
    {
        return twostate_iopair_extend_to_direct_timed(&hold_, at);
    }
    int retry_timed(const timespec *at) noexcept TWOSTATE_UNCHECKED
    {
        return twostate_iopair_retry_unaligned_timed(&hold_, at);
    }
    bool begun(bool held) noexcept
    {
        phase_ = held ? phase::begun : phase::empty;
        return held;
    }
    template <class Time, class Wait> int begun_by(const Time &time, Wait wait)
    {
        const int error = detail::wait_until(time, wait);

        begun(error == 0);
        return error;
    }

    ::twostate_hold hold_;
    phase phase_;
};

} // namespace twostate

#endif
