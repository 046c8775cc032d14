// The type that is computed in, and the few functions on it that every kernel needs.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

// half types are widened as they are read: a sum of more than 2048 ones stands still in float16
template <typename T> struct Widened { using type = float; };
template <> struct Widened<double> { using type = double; };
template <typename T> using Wide = typename Widened<T>::type;

// NVRTC has no math.h, hence no INFINITY
template <typename A> __device__ A infinity();
template <> __device__ inline float infinity<float>() { return __int_as_float(0x7f800000); }
template <> __device__ inline double infinity<double>() { return __longlong_as_double(0x7ff0000000000000LL); }

__device__ inline float exponential(float x) { return expf(x); }
__device__ inline double exponential(double x) { return exp(x); }
__device__ inline float logarithm(float x) { return logf(x); }
__device__ inline double logarithm(double x) { return log(x); }

// a NaN wins on either side; fmaxf would swallow it
template <typename A> __device__ A larger(A a, A b) { return a > b || a != a ? a : b; }

// ways to combine two values, with the value that changes nothing
struct Sum {
    template <typename A> static __device__ A of(A a, A b) { return a + b; }
    template <typename A> static __device__ A neutral() { return A(0); }
};
struct Max {
    template <typename A> static __device__ A of(A a, A b) { return larger(a, b); }
    template <typename A> static __device__ A neutral() { return -infinity<A>(); }
};
