// __half on a CPU: stored as 16 bits, computed in float and rounded to nearest even.
#pragma once
#include "kh_half.h"

KH_HALF_TYPE(__half, __half2, 5, 10)
typedef __half half;
typedef __half2 half2;
typedef unsigned short __half_raw_bits;

inline __half __float2half(float x) { return __half(x); }
inline __half __float2half_rn(float x) { return __half(x); }
inline float __half2float(__half x) { return float(x); }
inline __half __double2half(double x) { return __half(x); }
inline __half __int2half_rn(int x) { return __half(double(x)); }
inline int __half2int_rn(__half x) { return int(std::nearbyint(float(x))); }
inline int __half2int_rz(__half x) { return int(float(x)); }
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline __half __ushort_as_half(unsigned short bits) { return __half::from_bits(bits); }
inline short __half_as_short(__half x) { return short(x.bits); }
inline __half __short_as_half(short bits) { return __half::from_bits((unsigned short)bits); }
inline __half2 __float2half2_rn(float x) { return {__half(x), __half(x)}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__half(x), __half(y)}; }
inline __half2 __float22half2_rn(float2 x) { return {__half(x.x), __half(x.y)}; }
inline float2 __half22float2(__half2 x) { return {float(x.x), float(x.y)}; }
inline __half2 __half2half2(__half x) { return {x, x}; }
inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline __half2 make_half2(__half x, __half y) { return {x, y}; }
inline __half __low2half(__half2 x) { return x.x; }
inline __half __high2half(__half2 x) { return x.y; }
inline float __low2float(__half2 x) { return float(x.x); }
inline float __high2float(__half2 x) { return float(x.y); }
