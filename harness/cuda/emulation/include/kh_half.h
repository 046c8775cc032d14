// What __half and __nv_bfloat16 have in common: the formats differ in the bits of exponent and fraction only.
#pragma once

// round to nearest even, from double so that no value is rounded twice (float fits into double exactly)
template <int E, int M>
inline unsigned short kh_narrow(double x) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    const auto sign = (unsigned short)(bits >> 63 << 15);
    bits &= ~0ull >> 1;
    constexpr int bias = (1 << (E - 1)) - 1;
    if (bits > 0x7ffull << 52) return sign | 0x7fff;  // NaN, as the GPU makes it
    int exponent = int(bits >> 52) - 1023;
    if (exponent < -bias - M - 1) return sign;
    if (exponent > bias) return sign | ((1 << E) - 1) << M;
    const int shift = 52 - M + (exponent < 1 - bias ? 1 - bias - exponent : 0);
    const uint64_t significand = (bits & (~0ull >> 12)) | 1ull << 52;
    uint64_t kept = significand >> shift;
    const uint64_t rest = significand & ((1ull << shift) - 1), half = 1ull << (shift - 1);
    kept += rest > half || (rest == half && (kept & 1));
    // adding the exponent above the fraction lets a carry become the next exponent, and the last of them infinity
    const unsigned field = exponent < 1 - bias ? unsigned(kept) : unsigned(kept) + (unsigned(exponent + bias - 1) << M);
    return sign | (unsigned short)field;
}
template <int E, int M>
inline float kh_widen(unsigned short bits) {
    constexpr int bias = (1 << (E - 1)) - 1;
    const int exponent = bits >> M & ((1 << E) - 1), fraction = bits & ((1 << M) - 1);
    float value;
    if (exponent == (1 << E) - 1) value = fraction ? __builtin_nanf("") : __builtin_inff();
    else if (exponent == 0) value = std::ldexp(float(fraction), 1 - bias - M);
    else value = std::ldexp(float(fraction | 1 << M), exponent - bias - M);
    return bits >> 15 ? -value : value;
}

#define KH_HALF_TYPE(H, H2, E, M)                                                                                    \
    struct H {                                                                                                       \
        unsigned short bits;                                                                                         \
        H() = default;                                                                                               \
        H(float x) : bits(kh_narrow<E, M>(x)) {}                                                                     \
        H(double x) : bits(kh_narrow<E, M>(x)) {}                                                                    \
        H(int x) : bits(kh_narrow<E, M>(x)) {}                                                                       \
        H(unsigned x) : bits(kh_narrow<E, M>(x)) {}                                                                  \
        H(long long x) : bits(kh_narrow<E, M>(double(x))) {}                                                         \
        operator float() const { return kh_widen<E, M>(bits); }                                                      \
        static H from_bits(unsigned short bits) { H x; x.bits = bits; return x; }                                    \
    };                                                                                                               \
    struct alignas(4) H2 { H x, y; };                                                                                \
    inline H operator+(H a, H b) { return H(float(a) + float(b)); }                                                  \
    inline H operator-(H a, H b) { return H(float(a) - float(b)); }                                                  \
    inline H operator*(H a, H b) { return H(float(a) * float(b)); }                                                  \
    inline H operator/(H a, H b) { return H(float(a) / float(b)); }                                                  \
    inline H operator-(H a) { return H::from_bits(a.bits ^ 0x8000); }                                                \
    inline H& operator+=(H& a, H b) { return a = a + b; }                                                            \
    inline H& operator-=(H& a, H b) { return a = a - b; }                                                            \
    inline H& operator*=(H& a, H b) { return a = a * b; }                                                            \
    inline H& operator/=(H& a, H b) { return a = a / b; }                                                            \
    inline bool operator<(H a, H b) { return float(a) < float(b); }                                                  \
    inline bool operator>(H a, H b) { return float(a) > float(b); }                                                  \
    inline bool operator<=(H a, H b) { return float(a) <= float(b); }                                                \
    inline bool operator>=(H a, H b) { return float(a) >= float(b); }                                                \
    inline bool operator==(H a, H b) { return float(a) == float(b); }                                                \
    inline bool operator!=(H a, H b) { return float(a) != float(b); }                                                \
    inline H __hadd(H a, H b) { return a + b; }                                                                      \
    inline H __hsub(H a, H b) { return a - b; }                                                                      \
    inline H __hmul(H a, H b) { return a * b; }                                                                      \
    inline H __hdiv(H a, H b) { return a / b; }                                                                      \
    inline H __hneg(H a) { return -a; }                                                                              \
    inline H __habs(H a) { return H::from_bits(a.bits & 0x7fff); }                                                   \
    /* the product of two halves is exact in double; the sum then rounds once but for a double rounding of it */     \
    inline H __hfma(H a, H b, H c) { return H(double(float(a)) * double(float(b)) + double(float(c))); }             \
    inline bool __hisnan(H a) { const float x = a; return x != x; }                                                  \
    inline int __hisinf(H a) { const float x = a; return x == __builtin_inff() ? 1 : x == -__builtin_inff() ? -1 : 0; } \
    inline bool __hgt(H a, H b) { return a > b; }                                                                    \
    inline bool __hge(H a, H b) { return a >= b; }                                                                   \
    inline bool __hlt(H a, H b) { return a < b; }                                                                    \
    inline bool __hle(H a, H b) { return a <= b; }                                                                   \
    inline bool __heq(H a, H b) { return a == b; }                                                                   \
    inline bool __hne(H a, H b) { return a != b; }                                                                   \
    inline H __hmax(H a, H b) { return H(std::fmax(float(a), float(b))); }                                           \
    inline H __hmin(H a, H b) { return H(std::fmin(float(a), float(b))); }                                           \
    inline H __hmax_nan(H a, H b) { return __hisnan(a) ? a : __hisnan(b) ? b : __hmax(a, b); }                       \
    inline H __hmin_nan(H a, H b) { return __hisnan(a) ? a : __hisnan(b) ? b : __hmin(a, b); }                       \
    inline H hexp(H a) { return H(std::exp(float(a))); }                                                             \
    inline H hexp2(H a) { return H(std::exp2(float(a))); }                                                           \
    inline H hlog(H a) { return H(std::log(float(a))); }                                                             \
    inline H hsqrt(H a) { return H(std::sqrt(float(a))); }                                                           \
    inline H hrcp(H a) { return H(1.0f / float(a)); }                                                                \
    inline H hrsqrt(H a) { return H(1.0f / std::sqrt(float(a))); }                                                   \
    inline H2 operator+(H2 a, H2 b) { return {a.x + b.x, a.y + b.y}; }                                               \
    inline H2 operator-(H2 a, H2 b) { return {a.x - b.x, a.y - b.y}; }                                               \
    inline H2 operator*(H2 a, H2 b) { return {a.x * b.x, a.y * b.y}; }                                               \
    inline H2 operator/(H2 a, H2 b) { return {a.x / b.x, a.y / b.y}; }                                               \
    inline H2& operator+=(H2& a, H2 b) { return a = a + b; }                                                         \
    inline H2 __hadd2(H2 a, H2 b) { return a + b; }                                                                  \
    inline H2 __hsub2(H2 a, H2 b) { return a - b; }                                                                  \
    inline H2 __hmul2(H2 a, H2 b) { return a * b; }                                                                  \
    inline H2 __hfma2(H2 a, H2 b, H2 c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; }                   \
    inline H2 __hmax2(H2 a, H2 b) { return {__hmax(a.x, b.x), __hmax(a.y, b.y)}; }                                   \
    inline H2 __hmin2(H2 a, H2 b) { return {__hmin(a.x, b.x), __hmin(a.y, b.y)}; }                                   \
    inline H2 h2exp(H2 a) { return {hexp(a.x), hexp(a.y)}; }                                                         \
    inline H2 h2exp2(H2 a) { return {hexp2(a.x), hexp2(a.y)}; }                                                      \
    KH_UNWATCHED inline H atomicAdd(H* address, H value) {                                                           \
        kh_atomic(address, sizeof(H), 0, __builtin_return_address(0));                                                                            \
        const H old = *address;                                                                                      \
        *address = old + value;                                                                                      \
        return old;                                                                                                  \
    }                                                                                                                \
    KH_UNWATCHED inline H2 atomicAdd(H2* address, H2 value) {                                                        \
        kh_atomic(address, sizeof(H2), 0, __builtin_return_address(0));                                                                           \
        const H2 old = *address;                                                                                     \
        *address = old + value;                                                                                      \
        return old;                                                                                                  \
    }
