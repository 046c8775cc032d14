// Every access of an instrumented build: races, bounds, what was not written.
#pragma once

namespace {

// ---- watching memory

uint32_t offset_of(const void* pc) { return uint32_t(static_cast<const unsigned char*>(pc) - module_base) - 1; }

void set_pc(KhPoint& at, uint32_t pc) { at.pc = pc; }

bool before(const Access& access) {
    return clock_of(current)[access.thread - 1] >= access.clock;
}

void resolve_pending() {
    if (!pending.shadow) return;
    const bool changed = memcmp(pending.address, pending.old, pending.size) != 0;
    for (unsigned i = 0; i < pending.size; i++) pending.shadow->cell(pending.offset + i).changed = changed;
    pending.shadow = nullptr;
    if (!pending.conflict) return;
    if (changed) condemn(pending.event);
    pending.event.severity = NOTE;
    pending.event.kind = NOTE_SAME_VALUE;
    keep(pending.event);
}

KhEvent race(const Access& other, bool other_writes, bool writes, uint32_t pc, const char* name, uint64_t offset, unsigned size) {
    const unsigned slot = (other.thread - 1) / threads;
    const bool same_block = slot == block_slot;
    KhEvent event = event_of(VERDICT, DATA_RACE, current, "%s element %llu of %s (%u bytes each), and nothing orders this and the %s by thread %u of %s",
                             writes ? "writes" : "reads", (unsigned long long)(offset / size), name, size, other_writes ? "write" : "read",
                             (other.thread - 1) % threads, same_block ? "the same block" : "another block");
    set_pc(event.at, pc);
    event.has_other = 1;
    point(event.other, running[slot], (other.thread - 1) % threads);
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
    bool conflict = false;
    for (unsigned i = 0; i < size; i++) {
        Cell& cell = shadow.cell(offset + i);
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
        pending.shadow = &shadow;
        pending.offset = offset;
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
    for (unsigned i = 0; shadow && i < size; i++)
        for (Access& access : shadow->cell(offset + i).reads)
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
    clock_of(current).own++;
}

// Volatile accesses do not race. But a load that comes after another block's store by way of an atomic, and not by way of
// a fence before that atomic, may still read what was there before.
void watch_volatile_load(Shadow& shadow, uint64_t offset, unsigned size, uint32_t pc, const char* name) {
    const Access& write = shadow.cell(offset).write;
    if (unfenced[current].empty() || !write.thread || (write.thread - 1) / threads == block_slot) return;
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
        if (launch->races) watch_races(module_shadow, address, address - module_base, size, writes, atomic || is_volatile, pc, "a variable of the module");
        return;
    }
    out_of_bounds(address, size, writes, pc);
}

}  // namespace
