// What happened before what: vector clocks over all threads of a launch.
#pragma once

namespace {

// ---- vector clocks

ThreadClock& clock_of(int thread) { return clocks[thread]; }
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

void join(ThreadClock& into, const Clock& from) {
    if (from.empty()) return;
    bool is_news = false;
    for (size_t i = 0, n = from.size(); i < n; i++) is_news |= from[i] > (*into.others)[i] && i != into.number;
    if (!is_news) return;
    auto others = std::make_shared<Clock>(*into.others);
    join(*others, from);
    into.others = std::move(others);
}

void join(Clock& into, const ThreadClock& from) { join(into, from.whole()); }

void synchronise(const int* members, int count) {
    if (!launch->races || !count) return;
    // what members know of others is joined once for all that share it, mostly since they last met; of itself each knows most
    auto common = std::make_shared<Clock>(*clock_of(members[0]).others);
    const Clock* joined = clock_of(members[0]).others.get();
    for (int i = 1; i < count; i++) {
        const Clock* next = clock_of(members[i]).others.get();
        if (next != joined) join(*common, *next);
        joined = next;
    }
    for (int i = 0; i < count; i++) {
        const ThreadClock& clock = clock_of(members[i]);
        uint32_t& known = (*common)[clock.number];
        if (known < clock.own) known = clock.own;
    }
    for (int i = 0; i < count; i++) {
        ThreadClock& clock = clock_of(members[i]);
        clock.others = common;
        clock.own++;
    }
    Clock all;
    // one member may count for what all have fenced: __threadfence is fence.sc, and the reader's fence comes after theirs
    for (auto* fenced : {&fences, &block_fences, &unfenced}) {
        all.clear();
        for (int i = 0; i < count; i++) join(all, (*fenced)[members[i]]);
        if (!all.empty())
            for (int i = 0; i < count; i++) (*fenced)[members[i]] = all;
    }
}

}  // namespace
