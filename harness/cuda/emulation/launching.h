// The parts of a launch: its memory, its blocks, the signals that end it.
#pragma once

namespace {

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

void start_block(unsigned slot) {
    const unsigned number = running[slot];
    block_slot = slot;
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
    shared_shadow.forget(shared_bytes);
    dynamic_shadow.forget(launch->shared);
    const auto nothing = std::make_shared<const Clock>(running.size() * threads, 0);
    for (int t = 0; t < threads; t++) {
        clocks[t] = {nothing, 1, number_of(t)};
        fences[t].clear();
        block_fences[t].clear();
        unfenced[t].clear();
    }
}

void start_watching() {
    pending.shadow = nullptr;
    last_pc = 0;
    region_shadows.clear();
    region_shadows.resize(launch->region_count);
    for (int i = 0; i < launch->region_count; i++) {
        const KhRegion& region = launch->regions[i];
        region_shadows[i].written.assign(region.element ? region.bytes : 0, 0);
        if (launch->races && !region.is_const) region_shadows[i].forget(region.bytes);
    }
    syncs.clear();
    clocks.assign(launch->races ? threads : 0, {});
    fences.assign(launch->races ? threads : 0, {});
    block_fences.assign(launch->races ? threads : 0, {});
    unfenced.assign(launch->races ? threads : 0, {});
    volatile_stores = false;
    if (launch->races) module_shadow.forget(module_end - module_base);
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
    kh_switch(&fibers[current].stack_pointer, main_stack_pointer);
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
