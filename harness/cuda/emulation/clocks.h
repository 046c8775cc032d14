// What happened before what: vector clocks over all threads of a launch.
#pragma once

namespace {

// ---- vector clocks

Clock& clock_of(int thread) { return clocks[thread]; }
uint32_t number_of(int thread) { return block_slot * threads + thread; }

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

}  // namespace
