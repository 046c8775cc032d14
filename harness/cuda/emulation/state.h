// What the parts of the runtime know of the launch that runs.
#pragma once

namespace {

constexpr int MAX_THREADS = 1024, WARP = 32, MAX_WARPS = MAX_THREADS / WARP;
constexpr size_t STACK = 128 << 10, GUARD_PAGE = 4096;
constexpr size_t MAX_DYNAMIC = 228 << 10;
constexpr int MAX_EVENTS = 24;
// atomic operations in a row after which another thread runs; how many there may be while nobody else can run, and at all
constexpr unsigned POLLS = 8, POLLS_ALONE = 512, POLLS_AT_ALL = 1 << 15;

enum Kind {
    DATA_RACE, DIVERGENT_BARRIER, DEADLOCK, WRONG_MASK, INACTIVE_LANE, OUT_OF_BOUNDS, MISALIGNED, UNWRITTEN_SHARED,
    UNWRITTEN_GLOBAL, INTEGER_OVERFLOW, DIVISION_BY_ZERO, ENDLESS_WAIT, TRAP, NOTE_SAME_VALUE, NOTE_EXITED, CRASH,
    OTHER_BLOCK,
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
    unsigned chosen_count;  // 0: all blocks
    const unsigned* chosen;
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

// what is known of each byte of some memory; pages come when they are touched
struct Shadow {
    static constexpr size_t PAGE = 1024;
    std::vector<std::unique_ptr<Cell[]>> pages;
    std::vector<unsigned char> written;

    void forget(size_t bytes) {
        pages.clear();
        pages.resize((bytes + PAGE - 1) / PAGE);
    }
    Cell& cell(uint64_t offset) {
        auto& page = pages[offset / PAGE];
        if (!page) page.reset(new Cell[PAGE]());
        return page[offset % PAGE];
    }
};

using Clock = std::vector<uint32_t>;

// the clock of a thread: what it knows of others is shared with those that it has met, and never changed; its own entry there
// is out of date
struct ThreadClock {
    std::shared_ptr<const Clock> others;
    uint32_t own, number;

    uint32_t operator[](size_t thread) const { return thread == number ? own : (*others)[thread]; }
    Clock whole() const {
        Clock all = *others;
        all[number] = own;
        return all;
    }
};

KhLaunch* launch;
Fiber fibers[MAX_THREADS];
unsigned char* stacks;
uint32_t runnable[MAX_WARPS], exists[MAX_WARPS], exited[MAX_WARPS], in_operation[MAX_WARPS];
uint32_t runnable_warps;
int threads, warps, current, arrived, exits;
unsigned block_number, block_slot, block_count, blocks_left;  // the slot is the place among the blocks that run
std::vector<unsigned> running;
int barrier_result, barrier_true, first_at_barrier;
void* main_stack_pointer;
uint64_t random_state;
bool active, ended;
uint32_t last_pc;  // of the last access that was watched
unsigned char *shared_base, *module_base, *module_end, *stacks_end;
size_t shared_bytes;

// ---- happens-before
std::vector<ThreadClock> clocks;
std::vector<Clock> fences, block_fences;
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
    Shadow* shadow;
    uint64_t offset;
    bool conflict;
    KhEvent event;
} pending;

}  // namespace
