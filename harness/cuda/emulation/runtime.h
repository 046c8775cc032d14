// What compiled CUDA sources and the runtime that runs them share. See runtime.cpp.
#pragma once
#include <cstddef>
#include <cstdint>

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
    constexpr operator uint3() const { return {x, y, z}; }
};

// the coordinates of the thread that runs; set at each switch
struct KhCoordinates {
    uint3 thread, block;
    dim3 block_dim, grid_dim;
};

enum KhWarpOperation {
    KH_SHFL_INDEX, KH_SHFL_UP, KH_SHFL_DOWN, KH_SHFL_XOR,
    KH_BALLOT, KH_MATCH_ANY, KH_MATCH_ALL,
    KH_REDUCE_ADD, KH_REDUCE_MIN_SIGNED, KH_REDUCE_MAX_SIGNED, KH_REDUCE_MIN_UNSIGNED, KH_REDUCE_MAX_UNSIGNED,
    KH_REDUCE_AND, KH_REDUCE_OR, KH_REDUCE_XOR,
    KH_SYNC_WARP,
};

enum KhBarrier { KH_BARRIER, KH_BARRIER_AND, KH_BARRIER_OR, KH_BARRIER_COUNT };

struct KhPlace {
    const char* file;
    int line;
};

#define KH_HERE KhPlace place = {__builtin_FILE(), __builtin_LINE()}
// a default argument: the place in the kernel's source, not in the header
#define KH_FROM const char *kh_file = __builtin_FILE(), int kh_line = __builtin_LINE()
#define KH_PLACE KhPlace{kh_file, kh_line}

extern "C" {
extern KhCoordinates kh_here;
extern unsigned char kh_dynamic_shared[];

int kh_barrier(int kind, int predicate, KhPlace place);
uint64_t kh_warp_operation(int kind, unsigned mask, uint64_t value, unsigned size, unsigned lane_or_delta, unsigned width,
                           KhPlace place);
unsigned kh_lane();
void kh_fence(int device_wide);
// around the plain read-modify-write by which the header builds an atomic
// `compares`: an atomicCAS
void kh_atomic(const volatile void* address, unsigned size, int compares, const void* return_address);
void kh_yield();
[[noreturn]] void kh_trap(const char* detail, KhPlace place);
}
