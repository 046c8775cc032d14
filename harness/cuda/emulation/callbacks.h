// What the compiler calls in an instrumented build: names and arguments are those of the sanitizers of g++ and clang++.
#pragma once

extern "C" {

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
    // clang++ leaves the upper bits of an operand at zero
    long long value(uintptr_t operand) const {
        const unsigned unused = 64 - (1u << (type->info >> 1));
        return (long long)(operand << unused) >> unused;
    }
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
        undefined(INTEGER_OVERFLOW, data->location, "%lld %s %lld does not fit into %s", data->value(a), sign, data->value(b), data->type->name); \
    }
KH_OVERFLOW(add, "+")
void __ubsan_handle_sub_overflow(UbOverflow* data, uintptr_t a, uintptr_t b) {
    // (1 << lane) - 1 is how CUDA code makes the mask of lower lanes: in lane 31 an overflow by the letter, and right everywhere
    if (data->value(a) == INT32_MIN && b == 1) return;
    undefined(INTEGER_OVERFLOW, data->location, "%lld - %lld does not fit into %s", data->value(a), data->value(b), data->type->name);
}
KH_OVERFLOW(mul, "*")
void __ubsan_handle_negate_overflow(UbOverflow* data, uintptr_t) {
    undefined(INTEGER_OVERFLOW, data->location, "the negative of the smallest number does not fit into %s", data->type->name);
}
void __ubsan_handle_divrem_overflow(UbOverflow* data, uintptr_t, uintptr_t) {
    undefined(DIVISION_BY_ZERO, data->location, "%s is divided by zero, or its smallest number by -1", data->type->name);
}
}
