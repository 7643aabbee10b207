/* SPDX-License-Identifier: MIT */
/* A C++11 program that uses an installed libtwostate, through a guard as C++ programs do. */
#include <thread>

#include <twostate/iopair.h>

namespace
{

class Guard
{
  public:
    Guard(twostate_lock &lock, twostate_state state) : lock_(lock), state_(state)
    {
        twostate_lock_acquire(&lock_, state_);
    }
    ~Guard()
    {
        twostate_lock_release(&lock_, state_);
    }
    Guard(const Guard &) = delete;
    Guard &operator=(const Guard &) = delete;

  private:
    twostate_lock &lock_;
    twostate_state state_;
};

twostate_lock lock = TWOSTATE_LOCK_INIT;
twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
long shared;

void add()
{
    for (int i = 0; i < 1000; i++) {
        Guard guard(lock, TWOSTATE_A);

        __atomic_fetch_add(&shared, 1, __ATOMIC_RELAXED);
    }
}

} // namespace

int main()
{
    std::thread first(add), second(add);
    twostate_hold hold;

    first.join();
    second.join();
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_end(&hold);
    {
        Guard guard(lock, TWOSTATE_B);

        if (twostate_lock_try_acquire(&lock, TWOSTATE_A))
            return 1;
    }
    return twostate_lock_query(&lock).holders == 0 && shared == 2000 ? 0 : 1;
}
