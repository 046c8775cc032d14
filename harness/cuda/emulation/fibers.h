// Threads as fibers: their stacks, the switch between two of them, and whose turn it is.
#pragma once

namespace {

// ---- switching

#if defined(__x86_64__) && !defined(KH_PORTABLE)
extern "C" void kh_switch(void** from, void* to);
asm(R"(
.text
.hidden kh_switch
.globl kh_switch
kh_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");

void fiber_main();

void* fresh_stack(unsigned char* top) {
    auto* words = reinterpret_cast<uint64_t*>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t(15));
    *--words = 0;  // where a return address would be: keeps the frame aligned as after a call
    *--words = reinterpret_cast<uint64_t>(&fiber_main);
    for (int i = 0; i < 6; i++) *--words = 0;
    return words;
}
#else
// slower, one system call a switch, but on every processor
void fiber_main();
ucontext_t contexts[MAX_THREADS + 1];

void kh_switch(void** from, void* to) {
    auto* here = from == &main_stack_pointer ? &contexts[MAX_THREADS] : &contexts[(Fiber*)((char*)from - offsetof(Fiber, stack_pointer)) - fibers];
    *from = here;
    swapcontext(here, static_cast<ucontext_t*>(to));
}

void* fresh_stack(unsigned char* top) {
    int number = (top - 1 - stacks) / STACK;
    ucontext_t* context = &contexts[number];
    getcontext(context);
    context->uc_stack.ss_sp = stacks + size_t(number) * STACK + GUARD_PAGE;
    context->uc_stack.ss_size = STACK - GUARD_PAGE;
    context->uc_link = nullptr;
    makecontext(context, reinterpret_cast<void (*)()>(fiber_main), 0);
    return context;
}
#endif

uint64_t random_number() {  // xorshift64*
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 2685821657736338717ull;
}

unsigned nth_bit(uint32_t bits, unsigned n) {
    while (n--) bits &= bits - 1;
    return __builtin_ctz(bits);
}

uint3 coordinates[MAX_THREADS];

void set_coordinates(int thread) { kh_here.thread = coordinates[thread]; }

int choose() {
    if (!runnable_warps) return -1;
    if (launch->order == 2 && !launch->ahead) {
        unsigned warp = nth_bit(runnable_warps, random_number() % __builtin_popcount(runnable_warps));
        return warp * WARP + nth_bit(runnable[warp], random_number() % __builtin_popcount(runnable[warp]));
    }
    const bool reverse = launch->order == 1;
    int warp = current / WARP, lane = current % WARP;
    if (launch->ahead) {
        uint32_t lanes = runnable[warp];
        if (!lanes) {
            warp = launch->order == 2 ? nth_bit(runnable_warps, random_number() % __builtin_popcount(runnable_warps))
                   : reverse          ? 31 - __builtin_clz(runnable_warps)
                                      : __builtin_ctz(runnable_warps);
            lanes = runnable[warp];
        }
        return warp * WARP + (reverse ? 31 - __builtin_clz(lanes) : __builtin_ctz(lanes));
    }
    if (!reverse) {
        uint32_t later = lane == 31 ? 0 : runnable[warp] & (~0u << (lane + 1));
        if (later) return warp * WARP + __builtin_ctz(later);
        uint32_t after = warp == 31 ? 0 : runnable_warps & (~0u << (warp + 1));
        warp = __builtin_ctz(after ? after : runnable_warps);
        return warp * WARP + __builtin_ctz(runnable[warp]);
    }
    uint32_t earlier = runnable[warp] & ((1u << lane) - 1);
    if (earlier) return warp * WARP + 31 - __builtin_clz(earlier);
    uint32_t before = runnable_warps & ((1u << warp) - 1);
    warp = 31 - __builtin_clz(before ? before : runnable_warps);
    return warp * WARP + 31 - __builtin_clz(runnable[warp]);
}

void can_run(int thread) {
    fibers[thread].state = RUNNING;
    runnable[thread / WARP] |= 1u << thread % WARP;
    runnable_warps |= 1u << thread / WARP;
}

void waits(int thread, State state) {
    fibers[thread].state = state;
    if (!(runnable[thread / WARP] &= ~(1u << thread % WARP))) runnable_warps &= ~(1u << thread / WARP);
}

}  // namespace
