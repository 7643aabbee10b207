/* SPDX-License-Identifier: MIT */
/* What requests hold of a pair: each path, each form of begin, the hand-over to a completion. */
#include <type_traits>

#include <twostate/async.h>

#include "check.hpp"

namespace
{

using namespace std::chrono;
using twostate::io_completion;
using twostate::io_hold;

static_assert(std::is_nothrow_default_constructible<io_hold>::value, "");
static_assert(!std::is_move_constructible<io_hold>::value, "");
static_assert(!std::is_move_constructible<io_completion>::value, "");
static_assert(!std::is_move_constructible<twostate::iopair>::value, "");

/* What a pair looks like: holders of the IOLOCK, exclusive or not, and of IOTYPE, and its state. */
bool is(const twostate_iopair &pair, unsigned io, twostate_iomode mode, unsigned type,
        twostate_state state)
{
    const twostate_iopair_info info = twostate_iopair_query(&pair);

    return info.iolock.holders == io && (io == 0 || info.iolock.mode == mode) &&
           info.iotype.holders == type && (type == 0 || info.iotype.state == state);
}

bool at_rest(const twostate_iopair &pair)
{
    return is(pair, 0, TWOSTATE_SHARED, 0, TWOSTATE_A);
}

void paths()
{
    const struct {
        twostate_iopath path;
        twostate_iomode mode;
        twostate_state state;
    } all[] = {
        {TWOSTATE_BUFFERED_READ, TWOSTATE_SHARED, TWOSTATE_BUFFERED_STATE},
        {TWOSTATE_BUFFERED_WRITE, TWOSTATE_SHARED, TWOSTATE_BUFFERED_STATE},
        {TWOSTATE_DIRECT, TWOSTATE_SHARED, TWOSTATE_DIRECT_STATE},
        {TWOSTATE_DIRECT_EXTEND, TWOSTATE_EXCLUSIVE, TWOSTATE_BUFFERED_STATE},
        {TWOSTATE_UNALIGNED, TWOSTATE_EXCLUSIVE, TWOSTATE_BUFFERED_STATE},
        {TWOSTATE_REMAP, TWOSTATE_SHARED, TWOSTATE_BUFFERED_STATE},
        {TWOSTATE_EXCLUSIVE_IO, TWOSTATE_EXCLUSIVE, TWOSTATE_BUFFERED_STATE},
    };
    twostate::iopair pair;
    io_hold again;

    for (const auto &one : all) {
        {
            io_hold hold(pair, one.path);

            CHECK(hold && is(pair, 1, one.mode, 1, one.state));
        }
        CHECK(at_rest(pair));
        again.begin(pair, one.path); /* ends the one before */
        CHECK(again && is(pair, 1, one.mode, 1, one.state));
        CHECK(again.try_begin(pair, one.path) && again.begin(pair, one.path, hours(1)) == 0);
        CHECK(is(pair, 1, one.mode, 1, one.state));
        again.end();
        again.end(); /* has nothing more to give back */
        CHECK(!again && at_rest(pair));
    }
}

void refusals()
{
    twostate::iopair pair, second;
    io_hold direct(pair, TWOSTATE_DIRECT);

    elsewhere([&] {
        io_hold hold;

        CHECK(!hold.try_begin(pair, TWOSTATE_BUFFERED_READ) && !hold);
        CHECK(hold.begin(pair, TWOSTATE_UNALIGNED, microseconds(1)) == -ETIMEDOUT && !hold);
        CHECK(hold.begin(pair, TWOSTATE_EXCLUSIVE_IO, system_clock::now()) == -ETIMEDOUT && !hold);
        CHECK(!hold.try_begin_remap(second, pair) && !hold);
        CHECK(hold.begin_remap(pair, second, microseconds(1)) == -ETIMEDOUT && !hold);
        CHECK(at_rest(second));
    });
    CHECK(is(pair, 1, TWOSTATE_SHARED, 1, TWOSTATE_DIRECT_STATE));
}

void remaps()
{
    twostate::iopair source, destination;
    io_hold hold;

    for (int form = 0; form < 3; form++) {
        if (form == 0)
            hold.begin_remap(source, destination);
        else
            CHECK(form == 1 ? hold.try_begin_remap(source, destination)
                            : hold.begin_remap(source, destination, hours(1)) == 0);
        CHECK(source.query().remapping);
        CHECK(is(destination, 1, TWOSTATE_EXCLUSIVE, 1, TWOSTATE_BUFFERED_STATE));
        hold.end();
        CHECK(at_rest(source) && at_rest(destination));
    }
}

void completions()
{
    twostate::iopair pair;
    {
        io_completion completion;
        {
            io_hold hold(pair, TWOSTATE_DIRECT);

            hold.submitting(completion);
            CHECK(hold && completion);
            elsewhere([&] { completion.complete(); }); /* before the submitter goes on */
            CHECK(!completion && is(pair, 1, TWOSTATE_SHARED, 0, TWOSTATE_A));
            hold.submitted();
            CHECK(!hold && at_rest(pair));
            completion.complete(); /* has nothing more to give back */

            hold.begin(pair, TWOSTATE_BUFFERED_WRITE);
            hold.submitting(completion);
        } /* submitted by its end */
        CHECK(is(pair, 0, TWOSTATE_SHARED, 1, TWOSTATE_BUFFERED_STATE));
    }
    CHECK(at_rest(pair)); /* completed by its end */
    {
        io_hold hold(pair, TWOSTATE_DIRECT);
        io_completion completion;

        hold.submitting(completion);
        hold.end(); /* stands for submitted here */
        CHECK(is(pair, 0, TWOSTATE_SHARED, 1, TWOSTATE_DIRECT_STATE));
        hold.begin(pair, TWOSTATE_DIRECT);
        hold.submitting(completion); /* completes the one before */
        CHECK(is(pair, 1, TWOSTATE_SHARED, 1, TWOSTATE_DIRECT_STATE));
    }
    CHECK(at_rest(pair));
}

void changes()
{
    twostate::iopair pair;
    io_hold hold, other;

    hold.begin(pair, TWOSTATE_DIRECT_EXTEND);
    hold.extend_to_direct();
    CHECK(is(pair, 1, TWOSTATE_SHARED, 1, TWOSTATE_DIRECT_STATE));
    hold.begin(pair, TWOSTATE_DIRECT_EXTEND);
    CHECK(hold.try_extend_to_direct());
    hold.begin(pair, TWOSTATE_DIRECT_EXTEND);
    CHECK(hold.extend_to_direct(hours(1)) == 0);
    CHECK(is(pair, 1, TWOSTATE_SHARED, 1, TWOSTATE_DIRECT_STATE));
    hold.retry_unaligned();
    CHECK(is(pair, 1, TWOSTATE_EXCLUSIVE, 1, TWOSTATE_BUFFERED_STATE));
    hold.begin(pair, TWOSTATE_DIRECT);
    CHECK(hold.try_retry_unaligned() && hold);
    hold.begin(pair, TWOSTATE_DIRECT);
    CHECK(hold.retry_unaligned(system_clock::now() + hours(1)) == 0 && hold);

    /* What fails to become an unaligned one has ended; what fails to turn direct has not. */
    hold.begin(pair, TWOSTATE_DIRECT);
    other.begin(pair, TWOSTATE_DIRECT);
    CHECK(!hold.try_retry_unaligned() && !hold);
    CHECK(is(pair, 1, TWOSTATE_SHARED, 1, TWOSTATE_DIRECT_STATE));
    hold.begin(pair, TWOSTATE_DIRECT);
    CHECK(hold.retry_unaligned(microseconds(1)) == -ETIMEDOUT && !hold);
    hold.begin(pair, TWOSTATE_DIRECT);
    CHECK(hold.retry_unaligned(system_clock::now()) == -ETIMEDOUT && !hold);
    slow_clock::looks =
        0; /* a deadline that comes too early is no reason to retry what has ended */
    hold.begin(pair, TWOSTATE_DIRECT);
    CHECK(hold.retry_unaligned(slow_clock::time_point(nanoseconds(1000))) == -ETIMEDOUT && !hold);
    other.end();

    io_completion write;

    other.begin(pair, TWOSTATE_BUFFERED_WRITE);
    other.submitting(write);
    other.submitted();
    hold.begin(pair, TWOSTATE_DIRECT_EXTEND);
    CHECK(!hold.try_extend_to_direct() && hold);
    CHECK(hold.extend_to_direct(microseconds(1)) == -ETIMEDOUT && hold);
    CHECK(is(pair, 1, TWOSTATE_EXCLUSIVE, 2, TWOSTATE_BUFFERED_STATE));
    write.complete();
    hold.end();
    CHECK(at_rest(pair));
}

/* An asynchronous begin, and an end in another thread. */
void granted()
{
    twostate::iopair pair;
    twostate_waiter waiter{};
    io_hold reads(pair, TWOSTATE_BUFFERED_READ), writes;

    CHECK(twostate_iopair_begin_async(&pair, TWOSTATE_DIRECT, writes.native(), &waiter) ==
          -EINPROGRESS);
    reads.end();
    CHECK(twostate_waiter_wait(&waiter, nullptr) == 0);
    writes.adopt();
    CHECK(writes && is(pair, 1, TWOSTATE_SHARED, 1, TWOSTATE_DIRECT_STATE));
    elsewhere([&] { writes.end(); });
    reads.begin(pair, TWOSTATE_BUFFERED_READ);
    reads.disown();
    elsewhere([&] { reads.end(); });
    CHECK(at_rest(pair));
}

} // namespace

void test_pairs()
{
    paths();
    refusals();
    remaps();
    completions();
    changes();
    granted();
    CHECK((dies([](void *memory) {
        static io_hold hold;
        hold.begin(*new (memory) twostate::iopair, TWOSTATE_DIRECT);
        static_cast<twostate::iopair *>(memory)->~iopair();
    })));
}
