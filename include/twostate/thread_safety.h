/* SPDX-License-Identifier: MIT */
/*
 * Clang's thread-safety analysis: who holds what, checked when a program is compiled.
 *
 *     clang-19 -Wthread-safety -Wthread-safety-beta ...
 *
 * The headers of the locks say what each call does. The macros here say it of a program's own data
 * and functions. They mean nothing to other compilers, to clang before 19, or where
 * TWOSTATE_NO_THREAD_SAFETY is defined before the headers; the optimised code is the same.
 *
 * A lock is named by a pointer, as in calls; a member of the same struct as &member.
 *
 *   TWOSTATE_GUARDED_BY(lock)       data that is touched while the lock is held: in either state or
 *   TWOSTATE_GUARDED_BY_A(lock)     frozen; in state A; in state B. Of an IOLOCK: read while it is
 *   TWOSTATE_GUARDED_BY_B(lock)     shared, written while it is exclusive. Of a hold: till its end.
 *   TWOSTATE_REQUIRES_A(lock)       a function that is called while the lock is held, and doesn't
 *   TWOSTATE_ACQUIRES_A(lock)       give it back; that returns with it; that gives it back. Each
 *   TWOSTATE_RELEASES_A(lock)       also with _B, _SHARED and _EXCLUSIVE (IOLOCK) and _HOLD
 *   TWOSTATE_ACQUIRED_AFTER(lock)   a lock that is acquired while the other is held already, never
 *                                   the other way round (-Wthread-safety-beta)
 *   TWOSTATE_UNCHECKED              a function whose body is not analysed
 *
 * What is found: a hold that is not given back on some path, a release of what is not held or is
 * held in another state, both states of a lock or one of them twice, data touched without its lock
 * or in the wrong state, a drain while holding, a wrong order of locks, a hold that is not ended or
 * is ended twice; what is done as if holding after a try or timed call, or a switch, whose result was
 * not looked at.
 *
 * What is not seen:
 *   - a state or mode that is not a constant where the call is: what is held then is unknown, so
 *     such calls are as if they were not there;
 *   - several holds and nested ones (acquire_n, release_n, join), asynchronous calls, and the
 *     completion of a request (twostate_iopair_complete). twostate_lock_assert_held says what the
 *     analysis can't know, to the end of the function, and checks it;
 *   - a hold that another thread gives back: mark the function that hands it over with RELEASES, or
 *     UNCHECKED;
 *   - in C, which of several structs a member belongs to: GUARDED_BY(&member) is content with the
 *     lock of any. In C++ it is exact.
 *
 * Example:
 *
 *     struct file {
 *         struct twostate_iolock iolock;
 *         struct twostate_lock iotype TWOSTATE_ACQUIRED_AFTER(&iolock);
 *         long dirty TWOSTATE_GUARDED_BY_A(&iotype);
 *     };
 *
 *     void flush(struct file *file) TWOSTATE_REQUIRES_A(&file->iotype);
 */
#ifndef TWOSTATE_THREAD_SAFETY_H
#define TWOSTATE_THREAD_SAFETY_H

#if defined(__clang__) && !defined(TWOSTATE_NO_THREAD_SAFETY)
#if __clang_major__ >= 19
#define TWOSTATE_ANALYSED_
#endif
#endif

#ifdef TWOSTATE_ANALYSED_

#define TWOSTATE_SAYS_(...) __attribute__((__VA_ARGS__))

/*
 * A hold of a state is two capabilities: the lock's, which no thread has twice, and the state's. The
 * states' are members of nothing: the analysis compares how they are spelled.
 */
struct TWOSTATE_SAYS_(capability("state A")) twostate_state_a_ {
    char tag_;
};
struct TWOSTATE_SAYS_(capability("state B")) twostate_state_b_ {
    char tag_;
};
struct twostate_states_ {
    struct twostate_state_a_ in_a_;
    struct twostate_state_b_ in_b_;
};

#ifdef __cplusplus
#define TWOSTATE_STATES_(lock) reinterpret_cast<const struct twostate_states_ *>(lock)
#define TWOSTATE_OVERLOAD_     static inline
#else
#define TWOSTATE_STATES_(lock) ((const struct twostate_states_ *)(lock))
#define TWOSTATE_OVERLOAD_     __attribute__((overloadable)) static inline
#endif
#define TWOSTATE_IN_A_(lock) TWOSTATE_STATES_(lock)->in_a_
#define TWOSTATE_IN_B_(lock) TWOSTATE_STATES_(lock)->in_b_

/*
 * A call again, for one value of its argument, which says what it does then. Which one is called is
 * decided by the compiler where the argument is a constant; each calls the one without a condition.
 */
#define TWOSTATE_WHEN_(condition, type, name, parameters, arguments, ...)                          \
    TWOSTATE_OVERLOAD_ type name parameters TWOSTATE_SAYS_(enable_if(condition, ""))               \
        TWOSTATE_SAYS_(__VA_ARGS__, no_thread_safety_analysis)                                     \
    {                                                                                              \
        return name arguments;                                                                     \
    }
#define TWOSTATE_VOID_WHEN_(condition, name, parameters, arguments, ...)                           \
    TWOSTATE_OVERLOAD_ void name parameters TWOSTATE_SAYS_(enable_if(condition, ""))               \
        TWOSTATE_SAYS_(__VA_ARGS__, no_thread_safety_analysis)                                     \
    {                                                                                              \
        name arguments;                                                                            \
    }

#define TWOSTATE_OVERLOADS_BEGIN_                                                                  \
    _Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wgcc-compat\"")
#define TWOSTATE_OVERLOADS_END_ _Pragma("clang diagnostic pop")

#else

#define TWOSTATE_SAYS_(...)

#endif

#define TWOSTATE_GUARDED_BY(lock)   TWOSTATE_SAYS_(guarded_by(lock))
#define TWOSTATE_GUARDED_BY_A(lock) TWOSTATE_SAYS_(guarded_by(TWOSTATE_IN_A_(lock)))
#define TWOSTATE_GUARDED_BY_B(lock) TWOSTATE_SAYS_(guarded_by(TWOSTATE_IN_B_(lock)))

#define TWOSTATE_REQUIRES_A(lock)         TWOSTATE_SAYS_(requires_capability(lock, TWOSTATE_IN_A_(lock)))
#define TWOSTATE_REQUIRES_B(lock)         TWOSTATE_SAYS_(requires_capability(lock, TWOSTATE_IN_B_(lock)))
#define TWOSTATE_REQUIRES_SHARED(lock)    TWOSTATE_SAYS_(requires_shared_capability(lock))
#define TWOSTATE_REQUIRES_EXCLUSIVE(lock) TWOSTATE_SAYS_(requires_capability(lock))
#define TWOSTATE_REQUIRES_HOLD(hold)      TWOSTATE_SAYS_(requires_capability(hold))

#define TWOSTATE_ACQUIRES_A(lock)         TWOSTATE_SAYS_(acquire_capability(lock, TWOSTATE_IN_A_(lock)))
#define TWOSTATE_ACQUIRES_B(lock)         TWOSTATE_SAYS_(acquire_capability(lock, TWOSTATE_IN_B_(lock)))
#define TWOSTATE_ACQUIRES_SHARED(lock)    TWOSTATE_SAYS_(acquire_shared_capability(lock))
#define TWOSTATE_ACQUIRES_EXCLUSIVE(lock) TWOSTATE_SAYS_(acquire_capability(lock))
#define TWOSTATE_ACQUIRES_HOLD(hold)      TWOSTATE_SAYS_(acquire_capability(hold))

#define TWOSTATE_RELEASES_A(lock)         TWOSTATE_SAYS_(release_capability(lock, TWOSTATE_IN_A_(lock)))
#define TWOSTATE_RELEASES_B(lock)         TWOSTATE_SAYS_(release_capability(lock, TWOSTATE_IN_B_(lock)))
#define TWOSTATE_RELEASES_SHARED(lock)    TWOSTATE_SAYS_(release_shared_capability(lock))
#define TWOSTATE_RELEASES_EXCLUSIVE(lock) TWOSTATE_SAYS_(release_capability(lock))
#define TWOSTATE_RELEASES_HOLD(hold)      TWOSTATE_SAYS_(release_capability(hold))

#define TWOSTATE_ACQUIRED_AFTER(lock) TWOSTATE_SAYS_(acquired_after(lock))
#define TWOSTATE_UNCHECKED            TWOSTATE_SAYS_(no_thread_safety_analysis)

#endif
