// CUDA C++ for a CPU: included before a .cu file, so that g++ or clang++ compiles it. What is missing here is missing
// on purpose or not yet there; a source that needs it does not compile, and the row says so.
#pragma once
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <type_traits>

#include "runtime.h"

// NVRTC has none of these: a source that uses them must not pass here either
#undef INFINITY
#undef NAN
#undef HUGE_VAL
#undef HUGE_VALF
#undef M_PI

#define __CUDACC__ 1
#define __CUDA_ARCH__ 900
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __constant__
#define __managed__
#define __restrict__ __restrict
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __maxnreg__(n)
#define __grid_constant__

#define __shared__ thread_local
// what `extern __shared__ T name[];` is rewritten to
#define KH_DYNAMIC_SHARED(name, ...) __VA_ARGS__(&name)[] = reinterpret_cast<__VA_ARGS__(&)[]>(kh_dynamic_shared)

#define threadIdx (kh_here.thread)
#define blockIdx (kh_here.block)
#define blockDim (kh_here.block_dim)
#define gridDim (kh_here.grid_dim)
static constexpr int warpSize = 32;

// ---- vector types

#define KH_VECTOR(T, name, a1, a2, a3, a4)                                                      \
    struct name##1 { T x; };                                                                    \
    struct alignas(a2) name##2 { T x, y; };                                                     \
    struct name##3 { T x, y, z; };                                                              \
    struct alignas(a4) name##4 { T x, y, z, w; };                                               \
    inline name##1 make_##name##1(T x) { return {x}; }                                          \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                  \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                          \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
KH_VECTOR(signed char, char, 1, 2, 1, 4)
KH_VECTOR(unsigned char, uchar, 1, 2, 1, 4)
KH_VECTOR(short, short, 2, 4, 2, 8)
KH_VECTOR(unsigned short, ushort, 2, 4, 2, 8)
KH_VECTOR(int, int, 4, 8, 4, 16)
KH_VECTOR(long long, longlong, 8, 16, 8, 16)
KH_VECTOR(unsigned long long, ulonglong, 8, 16, 8, 16)
KH_VECTOR(float, float, 4, 8, 4, 16)
KH_VECTOR(double, double, 8, 16, 8, 16)
struct uint1 { unsigned x; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline uint1 make_uint1(unsigned x) { return {x}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// ---- synchronisation

inline void __syncthreads(KH_FROM) { kh_barrier(KH_BARRIER, 0, KH_PLACE); }
inline int __syncthreads_and(int predicate, KH_FROM) { return kh_barrier(KH_BARRIER_AND, predicate, KH_PLACE); }
inline int __syncthreads_or(int predicate, KH_FROM) { return kh_barrier(KH_BARRIER_OR, predicate, KH_PLACE); }
inline int __syncthreads_count(int predicate, KH_FROM) { return kh_barrier(KH_BARRIER_COUNT, predicate, KH_PLACE); }
inline void __syncwarp(unsigned mask = 0xffffffffu, KH_FROM) { kh_warp_operation(KH_SYNC_WARP, mask, 0, 4, 0, 32, KH_PLACE); }
inline void __threadfence() { kh_fence(1); }
inline void __threadfence_system() { kh_fence(1); }
inline void __threadfence_block() { kh_fence(0); }
inline void __nanosleep(unsigned) { kh_yield(); }
[[noreturn]] inline void __trap(KH_FROM) { kh_trap("__trap()", KH_PLACE); }
#undef assert
#define assert(condition) ((condition) ? void() : kh_trap("assert(" #condition ")", KhPlace{__FILE__, __LINE__}))

// ---- warp operations

template <class T>
uint64_t kh_bits(T value) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value, "a warp operation moves up to 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    return bits;
}
template <class T>
T kh_value(uint64_t bits) {
    T value;
    memcpy(static_cast<void*>(&value), &bits, sizeof value);
    return value;
}
// fewer bytes than a register are moved as they are: sizes 1, 2, 4, 8
#define KH_SHUFFLE(name, kind)                                                                                        \
    template <class T>                                                                                                \
    T name(unsigned mask, T value, unsigned lane, int width = 32, KH_FROM) {                                          \
        return kh_value<T>(kh_warp_operation(kind, mask, kh_bits(value), sizeof(T), lane, unsigned(width), KH_PLACE)); \
    }
KH_SHUFFLE(__shfl_sync, KH_SHFL_INDEX)
KH_SHUFFLE(__shfl_up_sync, KH_SHFL_UP)
KH_SHUFFLE(__shfl_down_sync, KH_SHFL_DOWN)
KH_SHUFFLE(__shfl_xor_sync, KH_SHFL_XOR)

inline unsigned __ballot_sync(unsigned mask, int predicate, KH_FROM) {
    return unsigned(kh_warp_operation(KH_BALLOT, mask, predicate != 0, 4, 0, 32, KH_PLACE));
}
inline int __any_sync(unsigned mask, int predicate, KH_FROM) { return __ballot_sync(mask, predicate, kh_file, kh_line) != 0; }
inline int __all_sync(unsigned mask, int predicate, KH_FROM) { return __ballot_sync(mask, !predicate, kh_file, kh_line) == 0; }
inline int __uni_sync(unsigned mask, int predicate, KH_FROM) {
    return unsigned(kh_warp_operation(KH_MATCH_ALL, mask, predicate != 0, 4, 0, 32, KH_PLACE)) != 0;
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value, KH_FROM) {
    return unsigned(kh_warp_operation(KH_MATCH_ANY, mask, kh_bits(value), sizeof(T), 0, 32, KH_PLACE));
}
template <class T>
unsigned __match_all_sync(unsigned mask, T value, int* all, KH_FROM) {
    const auto same = unsigned(kh_warp_operation(KH_MATCH_ALL, mask, kh_bits(value), sizeof(T), 0, 32, KH_PLACE));
    *all = same != 0;
    return same;
}
// whichever lanes happen to run together: here one alone, which CUDA allows
inline unsigned __activemask() { return 1u << kh_lane(); }
inline unsigned __lane_id() { return kh_lane(); }
#define KH_REDUCE(name, T, kind) \
    inline T name(unsigned mask, T value, KH_FROM) { return T(kh_warp_operation(kind, mask, unsigned(value), 4, 0, 32, KH_PLACE)); }
KH_REDUCE(__reduce_add_sync, unsigned, KH_REDUCE_ADD)
KH_REDUCE(__reduce_add_sync, int, KH_REDUCE_ADD)
KH_REDUCE(__reduce_min_sync, unsigned, KH_REDUCE_MIN_UNSIGNED)
KH_REDUCE(__reduce_min_sync, int, KH_REDUCE_MIN_SIGNED)
KH_REDUCE(__reduce_max_sync, unsigned, KH_REDUCE_MAX_UNSIGNED)
KH_REDUCE(__reduce_max_sync, int, KH_REDUCE_MAX_SIGNED)
KH_REDUCE(__reduce_and_sync, unsigned, KH_REDUCE_AND)
KH_REDUCE(__reduce_or_sync, unsigned, KH_REDUCE_OR)
KH_REDUCE(__reduce_xor_sync, unsigned, KH_REDUCE_XOR)

// ---- atomics: fibers switch only where they wait, so a plain read and write is one

template <class T>
struct KhSame { using type = T; };
template <class T>
using KhExactly = typename KhSame<T>::type;
template <class T>
using KhOnlyIn = typename std::enable_if<std::is_arithmetic<T>::value>::type;

// in no build instrumented: the runtime is told of the whole operation
#define KH_UNWATCHED __attribute__((no_sanitize("thread"), no_sanitize("undefined"), noinline))
#define KH_ATOMIC(name, expression)                                      \
    template <class T, class = KhOnlyIn<T>>                                       \
    KH_UNWATCHED T name(T* address, KhExactly<T> value) {                         \
        kh_atomic(address, sizeof(T), 0, __builtin_return_address(0));                                   \
        const T old = *address;                                                   \
        *address = expression;                                                    \
        return old;                                                               \
    }                                                                             \
    template <class T, class = KhOnlyIn<T>>                                       \
    T name##_block(T* address, KhExactly<T> value) { return name(address, value); } \
    template <class T, class = KhOnlyIn<T>>                                       \
    T name##_system(T* address, KhExactly<T> value) { return name(address, value); }
KH_ATOMIC(atomicAdd, T(old + value))
KH_ATOMIC(atomicSub, T(old - value))
KH_ATOMIC(atomicMin, (value < old ? value : old))
KH_ATOMIC(atomicMax, (value > old ? value : old))
KH_ATOMIC(atomicAnd, (old & value))
KH_ATOMIC(atomicOr, (old | value))
KH_ATOMIC(atomicXor, (old ^ value))
KH_ATOMIC(atomicExch, value)
KH_ATOMIC(atomicInc, (old >= value ? 0 : old + 1))
KH_ATOMIC(atomicDec, (old == 0 || old > value ? value : old - 1))
template <class T>
KH_UNWATCHED T atomicCAS(T* address, KhExactly<T> compare, KhExactly<T> value) {
    kh_atomic(address, sizeof(T), 1, __builtin_return_address(0));
    const T old = *address;
    if (old == compare) *address = value;
    return old;
}

// ---- loads and stores with a hint about caches

#define KH_LOAD(name) \
    template <class T> inline T name(const T* address) { return *address; }
#define KH_STORE(name) \
    template <class T> inline void name(T* address, KhExactly<T> value) { *address = value; }
KH_LOAD(__ldg) KH_LOAD(__ldcg) KH_LOAD(__ldca) KH_LOAD(__ldcs) KH_LOAD(__ldlu) KH_LOAD(__ldcv)
KH_STORE(__stwb) KH_STORE(__stcg) KH_STORE(__stcs) KH_STORE(__stwt)

// ---- numbers

#define KH_CAST(name, From, To) \
    inline To name(From value) { To result; static_assert(sizeof value == sizeof result, ""); memcpy(&result, &value, sizeof result); return result; }
KH_CAST(__int_as_float, int, float)
KH_CAST(__uint_as_float, unsigned, float)
KH_CAST(__float_as_int, float, int)
KH_CAST(__float_as_uint, float, unsigned)
KH_CAST(__longlong_as_double, long long, double)
KH_CAST(__double_as_longlong, double, long long)
inline double __hiloint2double(int high, int low) { return __longlong_as_double((long long)(unsigned long long)(unsigned(low)) | ((long long)high << 32)); }
inline int __double2hiint(double value) { return int(__double_as_longlong(value) >> 32); }
inline int __double2loint(double value) { return int(__double_as_longlong(value)); }

template <class A, class B, class = typename std::enable_if<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value>::type>
inline auto max(A a, B b) -> typename std::common_type<A, B>::type {
    using T = typename std::common_type<A, B>::type;
    // of a number and NaN, the number: fmax for floating types, as in CUDA
    if constexpr (std::is_floating_point<T>::value) return std::fmax(T(a), T(b));
    else return T(a) < T(b) ? T(b) : T(a);
}
template <class A, class B, class = typename std::enable_if<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value>::type>
inline auto min(A a, B b) -> typename std::common_type<A, B>::type {
    using T = typename std::common_type<A, B>::type;
    if constexpr (std::is_floating_point<T>::value) return std::fmin(T(a), T(b));
    else return T(b) < T(a) ? T(b) : T(a);
}
using std::isfinite;
using std::isinf;
using std::isnan;
using std::signbit;
using std::abs;

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float rcbrtf(float x) { return 1.0f / std::cbrt(x); }
inline float sinpif(float x) { return float(std::sin(3.141592653589793 * x)); }
inline float cospif(float x) { return float(std::cos(3.141592653589793 * x)); }
inline float normcdff(float x) { return float(0.5 * std::erfc(-double(x) * 0.70710678118654752)); }
inline float saturate(float x) { return x < 0 || x != x ? 0.0f : x > 1 ? 1.0f : x; }
inline float __saturatef(float x) { return saturate(x); }
// glibc declares functions of these names, so they are macros. exp as the GPU does it: 2 to a rounded power
inline float kh_expf(float x) { return std::exp2(x * 1.4426950408889634f); }
inline float kh_exp10f(float x) { return std::exp2(x * 3.3219280948873623f); }
inline float kh_logf(float x) { return std::log2(x) * 0.6931471805599453f; }
inline float kh_log10f(float x) { return std::log2(x) * 0.3010299956639812f; }
inline float kh_log2f(float x) { return std::log2(x); }
inline float kh_powf(float x, float y) { return std::exp2(y * std::log2(x)); }
inline float kh_sinf(float x) { return std::sin(x); }
inline float kh_cosf(float x) { return std::cos(x); }
inline float kh_tanf(float x) { return std::tan(x); }
#define __expf kh_expf
#define __exp10f kh_exp10f
#define __logf kh_logf
#define __log10f kh_log10f
#define __log2f kh_log2f
#define __powf kh_powf
#define __sinf kh_sinf
#define __cosf kh_cosf
#define __tanf kh_tanf
inline float __tanhf_(float x) { return std::tanh(x); }
inline float __fdividef(float x, float y) { return x / y; }
#define KH_ROUNDED(T, prefix)                                                    \
    inline T prefix##add_rn(T a, T b) { return a + b; }                          \
    inline T prefix##sub_rn(T a, T b) { return a - b; }                          \
    inline T prefix##mul_rn(T a, T b) { return a * b; }                          \
    inline T prefix##div_rn(T a, T b) { return a / b; }                          \
    inline T prefix##rcp_rn(T a) { return 1 / a; }                               \
    inline T prefix##sqrt_rn(T a) { return std::sqrt(a); }
KH_ROUNDED(float, __f)
KH_ROUNDED(double, __d)
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline float __frsqrt_rn(float x) { return float(1.0 / std::sqrt(double(x))); }
inline int __float2int_rn(float x) { return int(std::nearbyint(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline int __float2int_rd(float x) { return int(std::floor(x)); }
inline int __float2int_ru(float x) { return int(std::ceil(x)); }
inline unsigned __float2uint_rn(float x) { return unsigned(std::nearbyint(x)); }
inline unsigned __float2uint_rz(float x) { return unsigned(x); }
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }
inline float __ll2float_rn(long long x) { return float(x); }
inline float __double2float_rn(double x) { return float(x); }
inline double __int2double_rn(int x) { return double(x); }
inline double __ll2double_rn(long long x) { return double(x); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
    unsigned result = 0;
    for (int i = 0; i < 32; i++) result |= (x >> i & 1) << (31 - i);
    return result;
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    const uint64_t both = uint64_t(y) << 32 | x;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) result |= unsigned(both >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
    return result;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) { return unsigned((uint64_t(high) << 32 | low) << (shift & 31) >> 32); }
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) { return unsigned((uint64_t(high) << 32 | low) >> (shift & 31)); }
inline int __mul24(int a, int b) { return int((unsigned(a) << 8 >> 8) * (unsigned(b) << 8 >> 8)); }
inline int __mulhi(int a, int b) { return int(((long long)a * b) >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline unsigned __usad(unsigned a, unsigned b, unsigned c) { return (a > b ? a - b : b - a) + c; }
inline long long clock64() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}
#define clock() int(clock64())  // the C library has a function of this name

// ---- how the generated entries call a kernel

template <class... A, size_t... I>
KH_UNWATCHED void kh_call_with(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<typename std::remove_reference<A>::type*>(arguments[I])...);
}
template <class... A>
KH_UNWATCHED void kh_call(void (*kernel)(A...), void** arguments) {
    kh_call_with(kernel, arguments, std::index_sequence_for<A...>{});
}
template <class... A>
inline int kh_sizes(void (*)(A...), int* sizes) {
    int number = 0;
    ((sizes[number++] = int(sizeof(A))), ...);
    return number;
}
