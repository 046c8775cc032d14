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
#include <new>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unordered_map>
#include <vector>

namespace {

constexpr int MAX_THREADS = 1024, WARP = 32, MAX_WARPS = MAX_THREADS / WARP;
constexpr size_t STACK = 128 << 10, GUARD_PAGE = 4096;
constexpr size_t MAX_DYNAMIC = 228 << 10;
constexpr int MAX_EVENTS = 24;
// atomic operations in a row after which another thread runs; how many there may be while nobody else can run, and at all
constexpr unsigned POLLS = 8, POLLS_ALONE = 512, POLLS_AT_ALL = 1 << 17;

enum Kind {
    DATA_RACE, DIVERGENT_BARRIER, DEADLOCK, WRONG_MASK, INACTIVE_LANE, OUT_OF_BOUNDS, MISALIGNED, UNWRITTEN_SHARED,
    UNWRITTEN_GLOBAL, INTEGER_OVERFLOW, DIVISION_BY_ZERO, ENDLESS_WAIT, TRAP, NOTE_SAME_VALUE, NOTE_EXITED, CRASH,
};

// verdict: ends the launch; suspicion: a verdict if the result depends on it; note: allowed, but worth saying;
// consequence: what would be a verdict, had the launch not read something undefined before
enum Severity { VERDICT, SUSPICION, NOTE, CONSEQUENCE };

extern "C" {
struct KhPoint {
    uint64_t pc;  // offset in the module; 0: file and line are given
    int line;
    char file[244];
    unsigned block[3], thread[3];
};

struct KhEvent {
    int severity, kind;
    KhPoint at, other;
    int has_other;
    char detail[300];
};

struct KhRegion {
    unsigned char* base;
    uint64_t bytes;
    uint64_t unwritten;  // the bit pattern of an element that was never written
    int element;         // its size in bytes; 0: everything is written
    int is_const;
    char name[64];
};

struct KhSymbol {
    uint64_t offset, bytes;  // in the module's thread-local block
    char name[96];
};

struct KhLaunch {
    void (*entry)(void**);
    void** arguments;
    unsigned grid[3], block[3];
    unsigned shared;
    int order;  // 0 forward, 1 reverse, 2 random
    int ahead;
    uint64_t seed, poison;
    int watched;  // an instrumented build: look at each access
    int leniency;  // consequences are such 0: after a suspicion, 1: never, 2: always
    int races;
    int region_count;
    KhRegion* regions;
    int symbol_count;
    KhSymbol* symbols;
    double seconds;
    // out
    int atomics, event_count;
    KhEvent events[MAX_EVENTS];
};
}

enum State : unsigned char { RUNNING, AT_BARRIER, AT_WARP_OPERATION, EXITED };

struct Fiber {
    void* stack_pointer;
    State state;
    KhPlace place;
    int kind;
    unsigned mask, argument, width, size;
    uint64_t value, result;
    unsigned accesses, polls, alone;
};

struct Access {
    uint32_t thread;  // 0: none; else number in the grid + 1
    uint32_t clock;
    uint32_t pc;
};

struct Cell {
    Access write;
    bool changed, atomic;
    unsigned char next;
    Access reads[4];
};

struct Shadow {
    std::vector<Cell> cells;
    std::vector<unsigned char> written;
};

using Clock = std::vector<uint32_t>;

KhLaunch* launch;
Fiber fibers[MAX_THREADS];
unsigned char* stacks;
uint32_t runnable[MAX_WARPS], exists[MAX_WARPS], exited[MAX_WARPS], in_operation[MAX_WARPS];
uint32_t runnable_warps;
int threads, warps, current, arrived, exits;
unsigned block_number, block_count;
int barrier_result, barrier_true, first_at_barrier;
void* main_stack_pointer;
uint64_t random_state;
bool active, ended;
uint32_t last_pc;  // of the last access that was watched
unsigned char *shared_base, *module_base, *module_end, *stacks_end;
size_t shared_bytes;

// ---- happens-before
std::vector<Clock> clocks, fences, block_fences;
// as `clocks`, where an atomic passes on all that came before it, fence or not; kept from the first volatile store on
std::vector<Clock> unfenced;
bool volatile_stores;
struct Sync {
    Clock device, block, unfenced;
    unsigned block_number;
};
std::unordered_map<uintptr_t, Sync> syncs;
Shadow shared_shadow, dynamic_shadow, module_shadow;
std::vector<Shadow> region_shadows;
struct {
    unsigned char* address;
    unsigned size;
    unsigned char old[16];
    Cell* cells;
    bool conflict;
    KhEvent event;
} pending;

// ---- switching

#if defined(__x86_64__)
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

// ---- events

void point(KhPoint& at, unsigned block, int thread) {
    const auto &g = kh_here.grid_dim, &d = kh_here.block_dim;
    at.block[0] = block % g.x, at.block[1] = block / g.x % g.y, at.block[2] = block / (g.x * g.y);
    at.thread[0] = thread % d.x, at.thread[1] = thread / d.x % d.y, at.thread[2] = thread / (d.x * d.y);
}

void set_place(KhPoint& at, KhPlace place) {
    at.pc = 0;
    at.line = place.line;
    snprintf(at.file, sizeof at.file, "%s", place.file);
}

void describe(KhEvent& event, int severity, int kind, int thread, const char* format, va_list arguments) {
    memset(&event, 0, sizeof event);
    event.severity = severity;
    event.kind = kind;
    point(event.at, block_number, thread);
    vsnprintf(event.detail, sizeof event.detail, format, arguments);
}

KhEvent event_of(int severity, int kind, int thread, const char* format, ...) {
    KhEvent event;
    va_list arguments;
    va_start(arguments, format);
    describe(event, severity, kind, thread, format, arguments);
    va_end(arguments);
    return event;
}

void keep(const KhEvent& event) {
    // one of each kind and line is enough, but a verdict always has room
    for (int i = 0; i < launch->event_count; i++) {
        const KhEvent& known = launch->events[i];
        if (known.kind == event.kind && known.at.pc == event.at.pc && known.at.line == event.at.line) return;
    }
    if (launch->event_count < MAX_EVENTS - (event.severity == VERDICT ? 0 : 1)) launch->events[launch->event_count++] = event;
}

[[noreturn]] void leave() {
    ended = true;
    void* unused;
    kh_switch(&unused, main_stack_pointer);
    __builtin_unreachable();
}

[[noreturn]] void condemn(const KhEvent& event) {
    keep(event);
    leave();
}

// a verdict, unless the launch has read something undefined before, from which this may come
void judge(KhEvent& event) {
    bool lenient = launch->leniency == 2;
    for (int i = 0; i < launch->event_count && launch->leniency == 0; i++) lenient |= launch->events[i].severity == SUSPICION;
    if (lenient) event.severity = CONSEQUENCE;
    keep(event);
    // an overflow can be lived with, to see what else there is
    if (event.severity == VERDICT || event.kind != INTEGER_OVERFLOW) leave();
}

[[noreturn]] void deadlock() {
    // one thread for each line that is waited at
    char text[300] = "";
    int first = -1, length = 0, second = -1;
    int lines[8], found = 0;
    for (int t = 0; t < threads; t++) {
        const Fiber& f = fibers[t];
        if (f.state == EXITED) continue;
        bool seen = false;
        for (int i = 0; i < found; i++) seen |= lines[i] == f.place.line * 2 + (f.state == AT_BARRIER);
        if (seen || found == 8) continue;
        lines[found++] = f.place.line * 2 + (f.state == AT_BARRIER);
        if (first < 0) first = t;
        else if (second < 0) second = t;
        if (f.state == AT_BARRIER)
            length += snprintf(text + length, sizeof text - length, "%sthread %d waits at the barrier of line %d", length ? "; " : "", t, f.place.line);
        else
            length += snprintf(text + length, sizeof text - length, "%sthread %d waits at the warp operation of line %d with mask %08x", length ? "; " : "", t, f.place.line, f.mask);
        if (length >= int(sizeof text)) break;
    }
    KhEvent event = event_of(VERDICT, DEADLOCK, first, "%s", text);
    set_place(event.at, fibers[first].place);
    if (second >= 0) {
        event.has_other = 1;
        point(event.other, block_number, second);
        set_place(event.other, fibers[second].place);
    }
    condemn(event);
}

void resolve_pending();
void judge_read();

void run_next() {
    int from = current, next = choose();
    if (next == from) return;
    if (next < 0) {
        if (exits == threads) {
            kh_switch(&fibers[from].stack_pointer, main_stack_pointer);
            return;
        }
        deadlock();
    }
    current = next;
    set_coordinates(next);
    kh_switch(&fibers[from].stack_pointer, fibers[next].stack_pointer);
}

// ---- vector clocks

Clock& clock_of(int thread) { return clocks[thread]; }
uint32_t number_of(int thread) { return block_number * threads + thread; }

void join(Clock& into, const Clock& from) {
    if (from.empty()) return;
    if (into.empty()) {
        into = from;
        return;
    }
    uint32_t *a = into.data();
    const uint32_t* b = from.data();
    for (size_t i = 0, n = into.size(); i < n; i++) a[i] = a[i] < b[i] ? b[i] : a[i];
}

void synchronise(const int* members, int count) {
    if (!launch->races || !count) return;
    static Clock all;
    all = clock_of(members[0]);
    for (int i = 1; i < count; i++) join(all, clock_of(members[i]));
    for (int i = 0; i < count; i++) {
        clock_of(members[i]) = all;
        clock_of(members[i])[number_of(members[i])]++;
    }
    // one member may count for what all have fenced: __threadfence is fence.sc, and the reader's fence comes after theirs
    for (auto* fenced : {&fences, &block_fences, &unfenced}) {
        all.clear();
        for (int i = 0; i < count; i++) join(all, (*fenced)[members[i]]);
        if (!all.empty())
            for (int i = 0; i < count; i++) (*fenced)[members[i]] = all;
    }
}

// ---- block barrier

void release_barrier() {
    static int members[MAX_THREADS];
    int count = 0, first = -1;
    for (int t = 0; t < threads; t++)
        if (fibers[t].state == AT_BARRIER) {
            members[count++] = t;
            if (first < 0) first = t;
        }
    const Fiber& one = fibers[first];
    if (exits) {
        KhEvent event = event_of(NOTE, NOTE_EXITED, first, "%d of %d threads had exited", exits, threads);
        set_place(event.at, one.place);
        keep(event);
    }
    barrier_result = one.kind == KH_BARRIER_AND ? barrier_true == count : one.kind == KH_BARRIER_OR ? barrier_true > 0 : barrier_true;
    synchronise(members, count);
    for (int i = 0; i < count; i++) {
        fibers[members[i]].result = barrier_result;
        can_run(members[i]);
    }
    arrived = barrier_true = 0;
}

// ---- warp operations

uint64_t poison_of(unsigned size) {
    return size == 8 ? launch->poison : launch->poison >> (64 - 8 * size);
}

uint64_t reduced(int kind, uint64_t a, uint64_t b) {
    const auto x = unsigned(a), y = unsigned(b);
    switch (kind) {
        case KH_REDUCE_ADD: return x + y;
        case KH_REDUCE_MIN_SIGNED: return unsigned(int(x) < int(y) ? int(x) : int(y));
        case KH_REDUCE_MAX_SIGNED: return unsigned(int(x) > int(y) ? int(x) : int(y));
        case KH_REDUCE_MIN_UNSIGNED: return x < y ? x : y;
        case KH_REDUCE_MAX_UNSIGNED: return x > y ? x : y;
        case KH_REDUCE_AND: return x & y;
        case KH_REDUCE_OR: return x | y;
        default: return x ^ y;
    }
}

void shuffle(Fiber* lanes, int lane, uint32_t members, int warp) {
    Fiber& f = lanes[lane];
    const int width = f.width, base = lane & ~(width - 1), inside = lane & (width - 1);
    int source = lane;
    switch (f.kind) {
        case KH_SHFL_INDEX: source = base + (f.argument & (width - 1)); break;
        case KH_SHFL_UP: source = inside >= int(f.argument) && int(f.argument) >= 0 ? lane - int(f.argument) : lane; break;
        case KH_SHFL_DOWN: source = f.argument < unsigned(width - inside) ? lane + int(f.argument) : lane; break;
        case KH_SHFL_XOR: {
            // past the own segment: a later segment keeps its value, an earlier one is read
            int other = lane ^ int(f.argument);
            source = other < 0 || other >= base + width || other >= WARP ? lane : other;
            break;
        }
    }
    if (members >> source & 1) {
        f.result = lanes[source].value;
        return;
    }
    f.result = poison_of(f.size);
    const bool absent = !(exists[warp] >> source & 1), gone = exited[warp] >> source & 1;
    KhEvent event = event_of(SUSPICION, INACTIVE_LANE, warp * WARP + lane, "lane %d reads lane %d, which %s (mask %08x)", lane, source,
                             absent ? "the block does not have" : gone ? "has exited" : "does not take part", f.mask);
    set_place(event.at, f.place);
    keep(event);
}

void compute(int warp, uint32_t members) {
    Fiber* lanes = fibers + warp * WARP;
    const int kind = lanes[__builtin_ctz(members)].kind;
    uint64_t common = 0;
    if (kind == KH_BALLOT)
        for (uint32_t left = members; left; left &= left - 1) common |= uint64_t(lanes[__builtin_ctz(left)].value != 0) << __builtin_ctz(left);
    if (kind >= KH_REDUCE_ADD && kind <= KH_REDUCE_XOR) {
        common = lanes[__builtin_ctz(members)].value;
        for (uint32_t left = members & (members - 1); left; left &= left - 1) common = reduced(kind, common, lanes[__builtin_ctz(left)].value);
    }
    if (kind == KH_MATCH_ALL) {
        bool same = true;
        for (uint32_t left = members; left; left &= left - 1) same &= lanes[__builtin_ctz(left)].value == lanes[__builtin_ctz(members)].value;
        common = same ? members : 0;
    }
    for (uint32_t left = members; left; left &= left - 1) {
        const int lane = __builtin_ctz(left);
        if (kind <= KH_SHFL_XOR) {
            shuffle(lanes, lane, members, warp);
        } else if (kind == KH_MATCH_ANY) {
            uint32_t equal = 0;
            for (uint32_t others = members; others; others &= others - 1)
                equal |= uint32_t(lanes[__builtin_ctz(others)].value == lanes[lane].value) << __builtin_ctz(others);
            lanes[lane].result = equal;
        } else {
            lanes[lane].result = common;
        }
    }
    if (kind == KH_SYNC_WARP) {
        int numbers[WARP], count = 0;
        for (uint32_t left = members; left; left &= left - 1) numbers[count++] = warp * WARP + __builtin_ctz(left);
        synchronise(numbers, count);
    }
    in_operation[warp] &= ~members;
    for (uint32_t left = members; left; left &= left - 1) can_run(warp * WARP + __builtin_ctz(left));
}

// completes the operation that `lane` waits in, if all have come
bool complete(int warp, int lane) {
    Fiber* lanes = fibers + warp * WARP;
    const Fiber& f = lanes[lane];
    const uint32_t wanted = f.mask & exists[warp] & ~exited[warp];
    if (wanted & ~in_operation[warp]) return false;
    for (uint32_t left = f.mask & exited[warp]; left; left &= left - 1) {
        const Fiber& g = lanes[__builtin_ctz(left)];
        if (g.place.line != f.place.line || g.mask == f.mask || g.kind != f.kind) continue;
        KhEvent event = event_of(VERDICT, WRONG_MASK, warp * WARP + lane, "lane %d names lane %d in its mask %08x, which did the same with mask %08x",
                                 lane, __builtin_ctz(left), f.mask, g.mask);
        set_place(event.at, f.place);
        condemn(event);
    }
    for (uint32_t left = wanted; left; left &= left - 1) {
        const int other = __builtin_ctz(left);
        const Fiber& g = lanes[other];
        if (g.mask == f.mask && g.kind == f.kind) continue;
        if (g.mask != f.mask && !(g.mask >> lane & 1)) return false;  // it is with others first
        KhEvent event = event_of(VERDICT, WRONG_MASK, warp * WARP + lane,
                                 g.mask == f.mask ? "lanes %d and %d of mask %08x are at different operations (%08x)"
                                                  : "lane %d waits for lane %d with mask %08x, which waits with mask %08x",
                                 lane, other, f.mask, g.mask);
        set_place(event.at, f.place);
        event.has_other = 1;
        point(event.other, block_number, warp * WARP + other);
        set_place(event.other, g.place);
        condemn(event);
    }
    compute(warp, wanted);
    return true;
}

void fiber_main() {
    launch->entry(launch->arguments);
    if (launch->watched) resolve_pending(), judge_read();
    const int thread = current, warp = thread / WARP;
    exits++;
    exited[warp] |= 1u << thread % WARP;
    waits(thread, EXITED);
    if (arrived && arrived + exits == threads) release_barrier();
    for (uint32_t left = in_operation[warp]; left; left &= left - 1)
        if (in_operation[warp] >> __builtin_ctz(left) & 1) complete(warp, __builtin_ctz(left));
    run_next();
    __builtin_unreachable();
}

// ---- watching memory

uint32_t offset_of(const void* pc) { return uint32_t(static_cast<const unsigned char*>(pc) - module_base) - 1; }

void set_pc(KhPoint& at, uint32_t pc) { at.pc = pc; }

bool before(const Access& access) {
    return clock_of(current)[access.thread - 1] >= access.clock;
}

void resolve_pending() {
    if (!pending.cells) return;
    const bool changed = memcmp(pending.address, pending.old, pending.size) != 0;
    for (unsigned i = 0; i < pending.size; i++) pending.cells[i].changed = changed;
    pending.cells = nullptr;
    if (!pending.conflict) return;
    if (changed) condemn(pending.event);
    pending.event.severity = NOTE;
    pending.event.kind = NOTE_SAME_VALUE;
    keep(pending.event);
}

KhEvent race(const Access& other, bool other_writes, bool writes, uint32_t pc, const char* name, uint64_t offset, unsigned size) {
    const bool same_block = (other.thread - 1) / threads == block_number;
    KhEvent event = event_of(VERDICT, DATA_RACE, current, "%s element %llu of %s (%u bytes each), and nothing orders this and the %s by thread %u of %s",
                             writes ? "writes" : "reads", (unsigned long long)(offset / size), name, size, other_writes ? "write" : "read",
                             (other.thread - 1) % threads, same_block ? "the same block" : "another block");
    set_pc(event.at, pc);
    event.has_other = 1;
    point(event.other, (other.thread - 1) / threads, (other.thread - 1) % threads);
    set_pc(event.other, other.pc);
    return event;
}

// A loop around atomicCAS begins with a plain read of what it compares with (CUDA C++ programming guide, atomic functions).
// Read too early, it is only compared in vain: a plain read is forgiven if the thread's next access compares.
struct {
    const volatile void* address;
    bool conflict;
    KhEvent event;
} last_read[MAX_THREADS];

void forgive_read(const volatile void* address, unsigned size);

void judge_read() {
    auto& read = last_read[current];
    const bool conflict = read.conflict;
    read.address = nullptr;
    read.conflict = false;
    if (conflict) condemn(read.event);
}

// `origin` is where the named variable begins in its shadow
void watch_races(Shadow& shadow, unsigned char* address, uint64_t offset, unsigned size, bool writes, bool atomic, uint32_t pc, const char* name, uint64_t origin = 0) {
    const uint32_t self = number_of(current) + 1, clock = clock_of(current)[self - 1];
    Cell* cells = shadow.cells.data() + offset;
    bool conflict = false;
    for (unsigned i = 0; i < size; i++) {
        Cell& cell = cells[i];
        if (cell.write.thread && cell.write.thread != self && !(cell.atomic && atomic) && !before(cell.write) && !conflict) {
            KhEvent event = race(cell.write, true, writes, pc, name, offset - origin + i, size);
            if (writes && !atomic) {
                conflict = true;
                pending.event = event;
            } else if (!writes && !cell.changed && !cell.atomic) {
                event.severity = NOTE;
                event.kind = NOTE_SAME_VALUE;
                keep(event);
            } else if (!writes && !atomic && cell.atomic) {
                last_read[current].conflict = true;
                last_read[current].event = event;
            } else {
                condemn(event);
            }
        }
        if (writes) {
            for (Access& read : cell.reads)
                if (read.thread && read.thread != self && !before(read) && !conflict) {
                    KhEvent event = race(read, false, true, pc, name, offset - origin + i, size);
                    if (atomic) condemn(event);
                    conflict = true;
                    pending.event = event;
                }
            cell.write = {self, clock, pc};
            cell.atomic = atomic;
            cell.changed = true;
        } else if (!atomic) {
            Access* slot = nullptr;
            for (Access& read : cell.reads)
                if (read.thread == self) slot = &read;
            if (!slot)
                for (Access& read : cell.reads)
                    if (!read.thread || before(read)) slot = &read;
            if (!slot) slot = &cell.reads[cell.next++ % 4];
            *slot = {self, clock, pc};
            last_read[current].address = address;
        }
    }
    if (writes && !atomic) {
        pending.address = address;
        pending.size = size;
        memcpy(pending.old, address, size);
        pending.cells = cells;
        pending.conflict = conflict;
    }
}

bool unwritten(const KhRegion& region, uint64_t offset) {
    uint64_t pattern = 0;
    memcpy(&pattern, region.base + offset / region.element * region.element, region.element);
    return pattern == region.unwritten;
}

Shadow* shadow_of(const unsigned char* address, uint64_t& offset) {
    for (int i = 0; i < launch->region_count; i++) {
        const KhRegion& region = launch->regions[i];
        if (address < region.base || address >= region.base + region.bytes) continue;
        offset = address - region.base;
        return &region_shadows[i];
    }
    if (address >= kh_dynamic_shared && address < kh_dynamic_shared + launch->shared) return offset = address - kh_dynamic_shared, &dynamic_shadow;
    if (address >= shared_base && address < shared_base + shared_bytes) return offset = address - shared_base, &shared_shadow;
    if (address >= module_base && address < module_end) return offset = address - module_base, &module_shadow;
    return nullptr;
}

void forgive_read(const volatile void* where, unsigned size) {
    auto& read = last_read[current];
    if (read.address != where) return;
    uint64_t offset = 0;
    Shadow* shadow = shadow_of(static_cast<const unsigned char*>(const_cast<const void*>(where)), offset);
    for (unsigned i = 0; shadow && i < size && offset + i < shadow->cells.size(); i++)
        for (Access& access : shadow->cells[offset + i].reads)
            if (access.thread == number_of(current) + 1) access.thread = 0;
    read.address = nullptr;
    read.conflict = false;
}

[[noreturn]] void out_of_bounds(unsigned char* address, unsigned size, bool writes, uint32_t pc) {
    // whose neighbour is it?
    const char* name = nullptr;
    uint64_t distance = ~0ull, extent = 0;
    bool behind = true;
    auto consider = [&](const unsigned char* base, uint64_t bytes, const char* candidate) {
        const bool after = address + size > base + bytes && address >= base;
        const uint64_t d = after ? uint64_t(address + size - (base + bytes)) : address < base ? uint64_t(base - address) : ~0ull;
        if (d < distance) distance = d, name = candidate, behind = after, extent = bytes;
    };
    for (int i = 0; i < launch->region_count; i++) consider(launch->regions[i].base, launch->regions[i].bytes, launch->regions[i].name);
    for (int i = 0; i < launch->symbol_count; i++) consider(shared_base + launch->symbols[i].offset, launch->symbols[i].bytes, launch->symbols[i].name);
    consider(kh_dynamic_shared, launch->shared, "the dynamic shared memory");
    KhEvent event;
    if (name && distance < (1ull << 30))
        event = event_of(VERDICT, OUT_OF_BOUNDS, current, "%s %u bytes, of which the %s lies %llu bytes %s %s (%llu bytes)", writes ? "writes" : "reads", size,
                         behind ? "last" : "first", (unsigned long long)(behind ? distance : distance), behind ? "past the end of" : "before", name, (unsigned long long)extent);
    else
        event = event_of(VERDICT, OUT_OF_BOUNDS, current, "%s %u bytes at %p, which is nowhere near an argument", writes ? "writes" : "reads", size, (void*)address);
    set_pc(event.at, pc);
    judge(event);
    __builtin_unreachable();
}

void watch_shared(Shadow& shadow, unsigned char* address, uint64_t offset, unsigned size, bool writes, bool atomic, uint32_t pc, const char* name, uint64_t origin) {
    for (unsigned i = 0; i < size; i++) {
        if (!shadow.written[offset + i] && !(writes && !atomic)) {
            KhEvent event = event_of(SUSPICION, UNWRITTEN_SHARED, current, "reads element %llu of %s (%u bytes each), which no thread of the block has written",
                                     (unsigned long long)((offset - origin + i) / size), name, size);
            set_pc(event.at, pc);
            keep(event);
            break;
        }
    }
    if (writes) memset(shadow.written.data() + offset, 1, size);
    if (launch->races) watch_races(shadow, address, offset, size, writes, atomic, pc, name, origin);
}

// a release publishes what the thread's last fence covers
void acquire_and_release(const volatile void* address) {
    Sync& sync = syncs[reinterpret_cast<uintptr_t>(address)];
    if (sync.block_number != block_number) sync.block.clear();
    sync.block_number = block_number;
    auto& clock = clock_of(current);
    join(clock, sync.device);
    join(clock, sync.block);
    join(sync.device, fences[current]);
    join(sync.block, block_fences[current]);
}

void pass_on_without_fence(const volatile void* address) {
    if (!volatile_stores) return;
    Sync& sync = syncs[reinterpret_cast<uintptr_t>(address)];
    join(sync.unfenced, clock_of(current));
    join(sync.unfenced, unfenced[current]);
    unfenced[current] = sync.unfenced;
    clock_of(current)[number_of(current)]++;
}

// Volatile accesses do not race. But a load that comes after another block's store by way of an atomic, and not by way of
// a fence before that atomic, may still read what was there before.
void watch_volatile_load(const Shadow& shadow, uint64_t offset, unsigned size, uint32_t pc, const char* name) {
    const Access& write = shadow.cells[offset].write;
    if (unfenced[current].empty() || !write.thread || (write.thread - 1) / threads == block_number) return;
    if (before(write) || unfenced[current][write.thread - 1] < write.clock) return;
    KhEvent event = race(write, true, false, pc, name, offset, size);
    snprintf(event.detail, sizeof event.detail,
             "reads element %llu of %s (%u bytes each), which another block wrote before an atomic, without a __threadfence in between",
             (unsigned long long)(offset / size), name, size);
    condemn(event);
}

void watch(void* where, unsigned size, bool writes, bool atomic, bool is_volatile, const void* return_address) {
    if (!active) return;
    auto* address = static_cast<unsigned char*>(where);
    if (address >= stacks && address < stacks_end) return;
    if (address >= reinterpret_cast<unsigned char*>(&kh_here) && address < reinterpret_cast<unsigned char*>(&kh_here + 1)) return;
    const uint32_t pc = last_pc = offset_of(return_address);
    resolve_pending();
    judge_read();
    if (++fibers[current].accesses == 1u << 28) {
        KhEvent event = event_of(VERDICT, ENDLESS_WAIT, current, "2^28 accesses without waiting for another thread");
        set_pc(event.at, pc);
        condemn(event);
    }
    for (int i = 0; i < launch->region_count; i++) {
        const KhRegion& region = launch->regions[i];
        if (address < region.base || address + size > region.base + region.bytes) continue;
        const uint64_t offset = address - region.base;
        auto& written = region_shadows[i].written;
        if (region.element && !writes && !written[offset] && unwritten(region, offset)) {
            KhEvent event = event_of(SUSPICION, UNWRITTEN_GLOBAL, current, "reads element %llu of %s, which nothing has written",
                                     (unsigned long long)(offset / region.element), region.name);
            set_pc(event.at, pc);
            keep(event);
        }
        if (writes && region.element) memset(written.data() + offset, 1, size);
        if (region.is_const || !launch->races) return;
        // a volatile access to global memory is a relaxed atomic (PTX memory model)
        if (is_volatile) {
            if (writes) volatile_stores = true;
            else watch_volatile_load(region_shadows[i], offset, size, pc, region.name);
            acquire_and_release(address);
        }
        watch_races(region_shadows[i], address, offset, size, writes, atomic || is_volatile, pc, region.name);
        return;
    }
    if (address >= kh_dynamic_shared && address < kh_dynamic_shared + MAX_DYNAMIC) {
        const uint64_t offset = address - kh_dynamic_shared;
        if (offset + size > launch->shared) out_of_bounds(address, size, writes, pc);
        watch_shared(dynamic_shadow, address, offset, size, writes, atomic, pc, "dynamic shared memory", 0);
        return;
    }
    if (address >= shared_base && address < shared_base + shared_bytes) {
        for (int i = 0; i < launch->symbol_count; i++) {
            const KhSymbol& symbol = launch->symbols[i];
            const auto* base = shared_base + symbol.offset;
            if (address < base || address + size > base + symbol.bytes) continue;
            watch_shared(shared_shadow, address, address - shared_base, size, writes, atomic, pc, symbol.name, symbol.offset);
            return;
        }
        out_of_bounds(address, size, writes, pc);
    }
    if (address >= module_base && address < module_end) {  // __device__ and __constant__ variables
        // few kernels have any, and the module is large
        if (launch->races && module_shadow.cells.empty()) module_shadow.cells.assign(module_end - module_base, Cell{});
        if (launch->races) watch_races(module_shadow, address, address - module_base, size, writes, atomic || is_volatile, pc, "a variable of the module");
        return;
    }
    out_of_bounds(address, size, writes, pc);
}

// ---- the parts of a launch

int find_module(dl_phdr_info* info, size_t, void*) {
    auto base = reinterpret_cast<unsigned char*>(info->dlpi_addr);
    unsigned char* end = base;
    bool ours = false;
    const ElfW(Phdr)* tls = nullptr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const auto& header = info->dlpi_phdr[i];
        if (header.p_type == PT_TLS) tls = &header;
        if (header.p_type != PT_LOAD) continue;
        auto* start = base + header.p_vaddr;
        if (start + header.p_memsz > end) end = start + header.p_memsz;
        auto* marker = reinterpret_cast<unsigned char*>(&kh_here);
        ours |= marker >= start && marker < start + header.p_memsz;
    }
    if (!ours) return 0;
    module_base = base;
    module_end = end;
    shared_base = tls ? static_cast<unsigned char*>(info->dlpi_tls_data) : nullptr;
    shared_bytes = tls ? tls->p_memsz : 0;
    return 1;
}

extern "C" void kh_touch_shared();

void fill(unsigned char* memory, size_t bytes, uint64_t word) {
    size_t whole = bytes / 8 * 8;
    for (size_t i = 0; i < whole; i += 8) memcpy(memory + i, &word, 8);
    memcpy(memory + whole, &word, bytes - whole);
}

void set_up_memory() {
    kh_touch_shared();
    dl_iterate_phdr(find_module, nullptr);
}

void start_block(unsigned number) {
    block_number = number;
    const auto& g = kh_here.grid_dim;
    kh_here.block = {number % g.x, number / g.x % g.y, number / (g.x * g.y)};
    fill(shared_base, shared_bytes, launch->poison);
    fill(kh_dynamic_shared, launch->shared, launch->poison);
    memset(runnable, 0, sizeof runnable);
    memset(exists, 0, sizeof exists);
    memset(exited, 0, sizeof exited);
    memset(in_operation, 0, sizeof in_operation);
    runnable_warps = 0;
    arrived = exits = barrier_true = 0;
    for (int t = 0; t < threads; t++) {
        fibers[t] = Fiber{};
        // stacks at equal offsets would fight for the same sets of the cache
        fibers[t].stack_pointer = fresh_stack(stacks + (t + 1) * STACK - size_t(t % 64) * 192);
        exists[t / WARP] |= 1u << t % WARP;
        can_run(t);
    }
    if (!launch->watched) return;
    for (auto& read : last_read) read.address = nullptr, read.conflict = false;
    shared_shadow.written.assign(shared_bytes, 0);
    dynamic_shadow.written.assign(launch->shared, 0);
    if (!launch->races) return;
    shared_shadow.cells.assign(shared_bytes, Cell{});
    dynamic_shadow.cells.assign(launch->shared, Cell{});
    for (int t = 0; t < threads; t++) {
        clocks[t].assign(size_t(block_count) * threads, 0);
        clocks[t][number_of(t)] = 1;
        fences[t].clear();
        block_fences[t].clear();
        unfenced[t].clear();
    }
}

void start_watching() {
    pending.cells = nullptr;
    last_pc = 0;
    region_shadows.assign(launch->region_count, Shadow{});
    for (int i = 0; i < launch->region_count; i++) {
        const KhRegion& region = launch->regions[i];
        region_shadows[i].written.assign(region.element ? region.bytes : 0, 0);
        if (launch->races && !region.is_const) region_shadows[i].cells.assign(region.bytes, Cell{});
    }
    syncs.clear();
    clocks.assign(launch->races ? threads : 0, {});
    fences.assign(launch->races ? threads : 0, {});
    block_fences.assign(launch->races ? threads : 0, {});
    unfenced.assign(launch->races ? threads : 0, {});
    volatile_stores = false;
    module_shadow.cells.clear();
}

stack_t alternative, previous_stack;
struct sigaction previous[4];
const int SIGNALS[4] = {SIGSEGV, SIGBUS, SIGFPE, SIGVTALRM};

void on_signal(int number, siginfo_t* information, void* context) {
    if (!active) return;
    active = false;
    uint64_t pc = 0;
#if defined(__x86_64__)
    pc = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    pc = static_cast<ucontext_t*>(context)->uc_mcontext.pc;
#endif
    KhEvent event;
    auto* address = static_cast<unsigned char*>(information->si_addr);
    if (number == SIGVTALRM)
        event = event_of(VERDICT, ENDLESS_WAIT, current, "the launch used up its %.0f seconds of processor time", launch->seconds);
    else if (number == SIGFPE)
        event = event_of(VERDICT, DIVISION_BY_ZERO, current, "an integer is divided by zero");
    else if (address >= stacks && address < stacks_end)
        event = event_of(VERDICT, CRASH, current, "its local variables and calls need more than %zu KiB", STACK >> 10);
    else
        event = event_of(VERDICT, OUT_OF_BOUNDS, current, "touches memory at %p, which is not mapped", (void*)address);
    const auto* at = reinterpret_cast<unsigned char*>(pc);
    // an instrumented build is mostly in here when the signal comes
    if (launch->watched && last_pc) set_pc(event.at, last_pc);
    else if (at >= module_base && at < module_end) set_pc(event.at, uint32_t(at - module_base));
    keep(event);
    ended = true;
    void* unused;
    kh_switch(&unused, main_stack_pointer);
}

void catch_signals() {
    static unsigned char memory[64 << 10];
    alternative.ss_sp = memory;
    alternative.ss_size = sizeof memory;
    alternative.ss_flags = 0;
    sigaltstack(&alternative, &previous_stack);
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    // the handler never returns: it leaves by switching to the stack of the launch
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int i = 0; i < 4; i++) sigaction(SIGNALS[i], &action, &previous[i]);
    itimerval timer = {};
    timer.it_value.tv_sec = long(launch->seconds);
    timer.it_value.tv_usec = long((launch->seconds - double(timer.it_value.tv_sec)) * 1e6);
    setitimer(ITIMER_VIRTUAL, &timer, nullptr);
}

void release_signals() {
    itimerval timer = {};
    setitimer(ITIMER_VIRTUAL, &timer, nullptr);
    for (int i = 0; i < 4; i++) sigaction(SIGNALS[i], &previous[i], nullptr);
    sigaltstack(&previous_stack, nullptr);
}

}  // namespace

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
    std::vector<unsigned> order(block_count);
    for (unsigned b = 0; b < block_count; b++) order[b] = launch->order == 1 ? block_count - 1 - b : b;
    if (launch->order == 2)
        for (unsigned b = block_count; b > 1; b--) std::swap(order[b - 1], order[random_number() % b]);
    ended = false;
    catch_signals();
    for (unsigned b = 0; b < block_count && !ended; b++) {
        start_block(order[b]);
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
    (device_wide ? fences : block_fences)[current] = clock;
    if (device_wide) block_fences[current] = clock;
    clock[number_of(current)]++;
}

void kh_atomic(const volatile void* address, unsigned size, int compares, const void* return_address) {
    launch->atomics++;
    if (!active) return;
    Fiber& f = fibers[current];
    if (launch->watched && launch->races && compares) forgive_read(address, size);
    if (++f.polls % POLLS == 0) {
        if (f.polls > POLLS_AT_ALL || f.alone > POLLS_ALONE / POLLS) {
            KhEvent event = event_of(VERDICT, ENDLESS_WAIT, current, "%u atomic operations in a row%s", f.polls,
                                     f.alone ? " while no other thread of the block can run: blocks wait for each other, or all others for this thread" : "");
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

// ---- what -fsanitize=thread calls

#define KH_ACCESS(size)                                                                                                     \
    void __tsan_read##size(void* a) { watch(a, size, false, false, false, __builtin_return_address(0)); }                    \
    void __tsan_write##size(void* a) { watch(a, size, true, false, false, __builtin_return_address(0)); }                    \
    void __tsan_unaligned_read##size(void* a) { watch(a, size, false, false, false, __builtin_return_address(0)); }          \
    void __tsan_unaligned_write##size(void* a) { watch(a, size, true, false, false, __builtin_return_address(0)); }          \
    void __tsan_volatile_read##size(void* a) { watch(a, size, false, false, true, __builtin_return_address(0)); }            \
    void __tsan_volatile_write##size(void* a) { watch(a, size, true, false, true, __builtin_return_address(0)); }            \
    void __tsan_unaligned_volatile_read##size(void* a) { watch(a, size, false, false, true, __builtin_return_address(0)); }  \
    void __tsan_unaligned_volatile_write##size(void* a) { watch(a, size, true, false, true, __builtin_return_address(0)); }
KH_ACCESS(1)
KH_ACCESS(2)
KH_ACCESS(4)
KH_ACCESS(8)
KH_ACCESS(16)

static void range(void* start, unsigned long size, bool writes, const void* pc) {
    auto* a = static_cast<unsigned char*>(start);
    for (unsigned long done = 0; done < size; done += 16) watch(a + done, unsigned(size - done < 16 ? size - done : 16), writes, false, false, pc);
}
void __tsan_read_range(void* a, unsigned long size) { range(a, size, false, __builtin_return_address(0)); }
void __tsan_write_range(void* a, unsigned long size) { range(a, size, true, __builtin_return_address(0)); }
void* __tsan_memcpy(void* to, const void* from, unsigned long size) {
    range(const_cast<void*>(from), size, false, __builtin_return_address(0));
    range(to, size, true, __builtin_return_address(0));
    if (active) resolve_pending();
    return memcpy(to, from, size);
}
void* __tsan_memmove(void* to, const void* from, unsigned long size) {
    range(const_cast<void*>(from), size, false, __builtin_return_address(0));
    range(to, size, true, __builtin_return_address(0));
    return memmove(to, from, size);
}
void* __tsan_memset(void* to, int value, unsigned long size) {
    range(to, size, true, __builtin_return_address(0));
    return memset(to, value, size);
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

// ---- what -fsanitize=alignment,bounds,signed-integer-overflow,integer-divide-by-zero calls

struct UbLocation {
    const char* file;
    unsigned line, column;
};
struct UbType {
    uint16_t kind, info;
    char name[];
};
struct UbMismatch {
    UbLocation location;
    const UbType* type;
    unsigned char log_alignment, check;
};
struct UbBounds {
    UbLocation location;
    const UbType *array, *index;
};
struct UbOverflow {
    UbLocation location;
    const UbType* type;
};

static void undefined(int kind, const UbLocation& location, const char* format, ...) {
    if (!active) return;
    KhEvent event;
    va_list arguments;
    va_start(arguments, format);
    describe(event, VERDICT, kind, current, format, arguments);
    va_end(arguments);
    set_place(event.at, {location.file, int(location.line)});
    judge(event);
}

void __ubsan_handle_type_mismatch_v1(UbMismatch* data, uintptr_t address) {
    const unsigned long alignment = 1ul << data->log_alignment;
    if (address & (alignment - 1)) undefined(MISALIGNED, data->location, "%s at an address that is no multiple of %lu", data->type->name, alignment);
}
void __ubsan_handle_out_of_bounds(UbBounds* data, uintptr_t index) {
    undefined(OUT_OF_BOUNDS, data->location, "index %lld of an array of type %s", (long long)index, data->array->name);
}
#define KH_OVERFLOW(operation, sign)                                                                               \
    void __ubsan_handle_##operation##_overflow(UbOverflow* data, uintptr_t a, uintptr_t b) {                          \
        undefined(INTEGER_OVERFLOW, data->location, "%lld %s %lld does not fit into %s", (long long)a, sign, (long long)b, data->type->name); \
    }
KH_OVERFLOW(add, "+")
void __ubsan_handle_sub_overflow(UbOverflow* data, uintptr_t a, uintptr_t b) {
    // (1 << lane) - 1 is how CUDA code makes the mask of lower lanes: in lane 31 an overflow by the letter, and right everywhere
    if (intptr_t(a) == INT32_MIN && b == 1) return;
    undefined(INTEGER_OVERFLOW, data->location, "%lld - %lld does not fit into %s", (long long)a, (long long)b, data->type->name);
}
KH_OVERFLOW(mul, "*")
void __ubsan_handle_negate_overflow(UbOverflow* data, uintptr_t) {
    undefined(INTEGER_OVERFLOW, data->location, "the negative of the smallest number does not fit into %s", data->type->name);
}
void __ubsan_handle_divrem_overflow(UbOverflow* data, uintptr_t, uintptr_t) {
    undefined(DIVISION_BY_ZERO, data->location, "%s is divided by zero, or its smallest number by -1", data->type->name);
}
}
