// What was seen in a launch, and how it ends.
#pragma once

namespace {

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
    kh_switch(&fibers[current].stack_pointer, main_stack_pointer);
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

}  // namespace
