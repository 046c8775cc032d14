// Block barriers and warp operations: who waits for whom, and what they get.
#pragma once

namespace {

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
        KhEvent event = event_of(VERDICT, g.mask == f.mask ? DEADLOCK : WRONG_MASK, warp * WARP + lane,
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

}  // namespace
