// Runs the threads of a CUDA block as fibers on one CPU thread, blocks one after another.
//
// Scheduling: a fiber runs until it waits (block barrier, warp operation), exits or spins; then the schedule chooses the
// next one that can run. "sweep" goes through the threads in order, "ahead" lets one warp run as far as it can, "random"
// picks at every switch. Warp operations are computed for all lanes by the last one that arrives.
//
// In an instrumented build (-fsanitize=thread and parts of -fsanitize=undefined, without their libraries) the compiler
// calls __tsan_* before each access to memory and __ubsan_* at undefined behaviour. They are answered here: races by
// vector clocks over barriers, __syncwarp, fences and atomics; bounds by the regions of the launch; reads of what was not
// written by a bit per byte. Nothing in this file is itself instrumented.

#include "runtime.h"

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <link.h>
#include <memory>
#include <new>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unordered_map>
#include <vector>

// one translation unit: what follows is split for reading
#include "state.h"
#include "fibers.h"
#include "events.h"
#include "clocks.h"
#include "barriers.h"
#include "watching.h"
#include "launching.h"

extern "C" {

KhCoordinates kh_here;
alignas(1024) unsigned char kh_dynamic_shared[MAX_DYNAMIC];

// The stacks of the fibers: those of another module, or new ones (null: no memory). All modules of a process share them:
// with a guard page each they are 2048 mappings, and a process may have 65530.
__attribute__((visibility("default"))) unsigned char* kh_stacks(unsigned char* of_another_module) {
    stacks = of_another_module;
    if (!stacks) {
        void* memory = mmap(nullptr, STACK * MAX_THREADS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) return nullptr;
        stacks = static_cast<unsigned char*>(memory);
        for (int t = 0; t < MAX_THREADS; t++) mprotect(stacks + t * STACK, GUARD_PAGE, PROT_NONE);
    }
    stacks_end = stacks + STACK * MAX_THREADS;
    return stacks;
}

__attribute__((visibility("default"))) int kh_launch(KhLaunch* wanted) {
    launch = wanted;
    launch->event_count = launch->atomics = 0;
    kh_here.grid_dim = dim3(launch->grid[0], launch->grid[1], launch->grid[2]);
    kh_here.block_dim = dim3(launch->block[0], launch->block[1], launch->block[2]);
    threads = int(launch->block[0] * launch->block[1] * launch->block[2]);
    warps = (threads + WARP - 1) / WARP;
    block_count = launch->grid[0] * launch->grid[1] * launch->grid[2];
    random_state = launch->seed * 2 + 1;
    set_up_memory();
    if (launch->watched) start_watching();
    for (int t = 0; t < threads; t++) {
        const auto& d = kh_here.block_dim;
        coordinates[t] = {t % d.x, t / d.x % d.y, t / (d.x * d.y)};
    }
    running.resize(launch->chosen_count ? launch->chosen_count : block_count);
    for (unsigned slot = 0; slot < running.size(); slot++) running[slot] = launch->chosen_count ? launch->chosen[slot] : slot;
    const unsigned last = unsigned(running.size()) - 1;
    std::vector<unsigned> order(running.size());
    for (unsigned slot = 0; slot <= last; slot++) order[slot] = launch->order == 1 ? last - slot : slot;
    if (launch->order == 2)
        for (unsigned slot = last; slot > 0; slot--) std::swap(order[slot], order[random_number() % (slot + 1)]);
    ended = false;
    catch_signals();
    for (unsigned place = 0; place <= last && !ended; place++) {
        blocks_left = last - place;
        start_block(order[place]);
        current = launch->order == 1 ? 0 : threads - 1;  // the first choice is the one after it
        if (launch->ahead) current = launch->order == 1 ? threads - 1 : 0;
        current = choose();
        set_coordinates(current);
        active = true;
        kh_switch(&main_stack_pointer, fibers[current].stack_pointer);
        active = false;
    }
    release_signals();
    if (launch->watched) {
        region_shadows.clear();
        clocks.clear();
    }
    return ended;
}

unsigned kh_lane() { return current % WARP; }

int kh_barrier(int kind, int predicate, KhPlace place) {
    Fiber& f = fibers[current];
    if (launch->watched) resolve_pending(), judge_read();
    f.polls = f.alone = 0;
    f.place = place;
    f.kind = kind;
    if (arrived) {
        // all threads that wait agree so far: compare with the first of them
        const int t = first_at_barrier;
        const Fiber& g = fibers[t];
        if (g.place.line != place.line || g.kind != kind || (g.place.file != place.file && strcmp(g.place.file, place.file))) {
            KhEvent event = event_of(VERDICT, DIVERGENT_BARRIER, current, "thread %d waits at the barrier of line %d, thread %d at that of line %d", current, place.line, t, g.place.line);
            set_place(event.at, place);
            event.has_other = 1;
            point(event.other, block_number, t);
            set_place(event.other, g.place);
            condemn(event);
        }
    }
    if (!arrived++) first_at_barrier = current;
    barrier_true += predicate != 0;
    waits(current, AT_BARRIER);
    if (arrived + exits == threads) release_barrier();
    const int self = current;
    run_next();
    return int(fibers[self].result);
}

uint64_t kh_warp_operation(int kind, unsigned mask, uint64_t value, unsigned size, unsigned argument, unsigned width, KhPlace place) {
    const int self = current, lane = self % WARP;
    Fiber& f = fibers[self];
    if (launch->watched) resolve_pending(), judge_read();
    f.polls = f.alone = 0;
    f.place = place;
    f.kind = kind;
    f.mask = mask;
    f.value = value;
    f.size = size;
    f.argument = argument;
    f.width = width;
    if (!(mask >> lane & 1)) {
        KhEvent event = event_of(VERDICT, WRONG_MASK, self, "lane %d is not in its own mask %08x", lane, mask);
        set_place(event.at, place);
        condemn(event);
    }
    if (width == 0 || width > WARP || (width & (width - 1))) {
        KhEvent event = event_of(VERDICT, WRONG_MASK, self, "a width of %u: it is a power of two up to 32", width);
        set_place(event.at, place);
        condemn(event);
    }
    in_operation[self / WARP] |= 1u << lane;
    waits(self, AT_WARP_OPERATION);
    complete(self / WARP, lane);
    run_next();
    return fibers[self].result;
}

void kh_fence(int device_wide) {
    if (!launch->races || !active) return;
    resolve_pending();
    auto& clock = clock_of(current);
    (device_wide ? fences : block_fences)[current] = clock.whole();
    if (device_wide) block_fences[current] = fences[current];
    clock.own++;
}

void kh_atomic(const volatile void* address, unsigned size, int compares, const void* return_address) {
    launch->atomics++;
    if (!active) return;
    Fiber& f = fibers[current];
    if (launch->watched && launch->races && compares) forgive_read(address, size);
    if (++f.polls % POLLS == 0) {
        if (f.polls > POLLS_AT_ALL || f.alone > POLLS_ALONE / POLLS) {
            // another block, which has not run yet, may be what it waits for
            const bool may_end = blocks_left > 0;
            KhEvent event = event_of(VERDICT, may_end ? OTHER_BLOCK : ENDLESS_WAIT, current, "%u atomic operations in a row%s", f.polls,
                                     f.alone ? ", while no other thread of the block can run" : "");
            set_pc(event.at, offset_of(return_address));
            condemn(event);
        }
        kh_yield();
    }
    if (!launch->watched) return;
    watch(const_cast<void*>(address), size, true, true, false, return_address);
    if (!launch->races) return;
    acquire_and_release(address);
    pass_on_without_fence(address);
}

void kh_yield() {
    const int self = current;
    const auto state = fibers[self].state;
    if (state != RUNNING || !active) return;
    // choose among the others: in `ahead` this one would be chosen again
    if (!(runnable[self / WARP] &= ~(1u << self % WARP))) runnable_warps &= ~(1u << self / WARP);
    const int next = choose();
    can_run(self);
    fibers[self].alone = next < 0 ? fibers[self].alone + 1 : 0;
    if (next < 0) return;
    current = next;
    set_coordinates(next);
    kh_switch(&fibers[self].stack_pointer, fibers[next].stack_pointer);
}

void kh_trap(const char* detail, KhPlace place) {
    KhEvent event = event_of(VERDICT, TRAP, current, "%s", detail);
    set_place(event.at, place);
    condemn(event);
}
}

#include "callbacks.h"
