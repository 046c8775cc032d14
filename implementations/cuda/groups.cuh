// What the fast kernels share: groups of threads that have a row in common, and tiles of a row in their registers.
#pragma once
#include "numbers.cuh"
#include "rows.cuh"

// Every lane gets the result, and all get the same bits: lane i and lane i^16 exchange, then i^8, ...
template <typename Combine, typename A> __device__ A across_the_warp(A value)
{
    for (unsigned bit = 16; bit > 0; bit /= 2) value = Combine::of(value, __shfl_xor_sync(0xffffffffu, value, bit));
    return value;
}

// One row for each warp, as many rows in a block as it has warps: short rows, and no barrier.
struct Warp {
    static __device__ long long row()
    {
        return static_cast<long long>(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
    }
    static __device__ int rank() { return threadIdx.x % 32; }
    static __device__ int size() { return 32; }
    template <typename Combine, typename A> static __device__ A all(A value)
    {
        return across_the_warp<Combine>(value);
    }
};

// One row for each block.
struct Block {
    static __device__ long long row() { return blockIdx.x; }
    static __device__ int rank() { return threadIdx.x; }
    static __device__ int size() { return blockDim.x; }
    template <typename Combine, typename A> static __device__ A all(A value)
    {
        __shared__ A of_warp[32];
        const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        value = across_the_warp<Combine>(value);
        __syncthreads(); // the results of the call before this one have been read
        if (lane == 0) of_warp[warp] = value;
        __syncthreads();
        return across_the_warp<Combine>(lane < blockDim.x / 32 ? of_warp[lane] : Combine::template neutral<A>());
    }
};

// Rows whose elements lie apart, but which lie side by side themselves: 32 of them for each block, one for each lane,
// so that a warp reads one element of 32 neighbouring rows at once. The warps share the elements of their rows.
//
//              row 0   row 1   ...   row 31
//     warp 0   x0      x0      ...   x0         128 bytes of float
//     warp 1   x1      x1      ...   x1
//     ...                                       (packs as below: warp 0 has x0 to x3, warp 1 has x4 to x7)
//     warp 0   x32     x32     ...   x32
//
// A lane beyond the last row goes along with no elements, since every thread of the block meets the barriers.
struct Column {
    static __device__ long long row() { return static_cast<long long>(blockIdx.x) * 32 + threadIdx.x % 32; }
    static __device__ int rank() { return threadIdx.x / 32; }
    static __device__ int size() { return blockDim.x / 32; }
    template <typename Combine, typename A> static __device__ A all(A value)
    {
        __shared__ A of_thread[1024];
        __syncthreads(); // the results of the call before this one have been read
        of_thread[threadIdx.x] = value;
        __syncthreads();
        value = of_thread[threadIdx.x % 32];
        for (unsigned t = threadIdx.x % 32 + 32; t < blockDim.x; t += 32) value = Combine::of(value, of_thread[t]);
        return value;
    }
};

// T without const
template <typename T> struct Plain { using type = T; };
template <typename T> struct Plain<const T> { using type = T; };

// what one instruction moves
template <typename T> struct alignas(16) Pack {
    static constexpr int LENGTH = 16 / sizeof(T);
    T value[LENGTH];
};

// One row. It is read and written in tiles of ITEMS elements for each thread of a group. A thread has packs of
// neighbours, and the packs of neighbouring threads lie side by side, so that a warp moves 512 bytes at once; with
// packs of 4 (float) and 8 items in a group of 32 threads:
//
//     element   0 1 2 3   4 5 6 7   ...   124 .. 127   128 ..     ...  252 .. 255 | next tile
//     thread    0         1         ...   31           0          ...  31         | 0
//     item      0 1 2 3   0 1 2 3   ...   0 1 2 3      4 5 6 7    ...  4 5 6 7    | 0 1 2 3
//
// The elements of a row lie at one distance (`inner` is 1). Where that is not 1, or a row does not begin at a multiple
// of 16 bytes, the same elements go one by one: slower, but in the same places, so that the answer has the same bits.
template <typename T> struct Row {
    using Element = typename Plain<T>::type;
    using Whole = Pack<Element>;
    T* first;
    long long step, n;
    bool packed;

    __device__ Row(T* x, const Rows& rows, long long number, long long length)
        : first(x + rows.start(number)), step(rows.stride[rows.outer]), n(length),
          packed(step == 1 && reinterpret_cast<size_t>(first) % 16 == 0)
    {
    }

    __device__ T& at(long long i) const { return first[i * step]; }

    // the element that item k of a thread stands for, in the tile that begins at `base`
    template <typename Group> static __device__ long long index(long long base, int k)
    {
        constexpr int PACK = 16 / sizeof(T);
        return base + static_cast<long long>(k / PACK * Group::size() + Group::rank()) * PACK + k % PACK;
    }

    template <typename Group, typename A, int ITEMS>
    __device__ void load(A (&items)[ITEMS], long long base, A beyond_the_end) const
    {
        // all packs are on their way before the first is widened
        Whole packs[ITEMS / Whole::LENGTH];
#pragma unroll
        for (int k = 0; k < ITEMS; k += Whole::LENGTH) {
            const long long i = index<Group>(base, k);
            Whole& pack = packs[k / Whole::LENGTH];
            if (packed && i + Whole::LENGTH <= n) {
                pack = *reinterpret_cast<const Whole*>(first + i);
            } else {
#pragma unroll
                for (int j = 0; j < Whole::LENGTH; ++j) {
                    pack.value[j] = Element(beyond_the_end);
                    if (i + j < n) pack.value[j] = at(i + j);
                }
            }
        }
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) items[k] = A(packs[k / Whole::LENGTH].value[k % Whole::LENGTH]);
    }

    template <typename Group, typename A, int ITEMS>
    __device__ void store(const A (&items)[ITEMS], long long base) const
    {
#pragma unroll
        for (int k = 0; k < ITEMS; k += Whole::LENGTH) {
            const long long i = index<Group>(base, k);
            if (packed && i + Whole::LENGTH <= n) {
                Whole pack;
#pragma unroll
                for (int j = 0; j < Whole::LENGTH; ++j) pack.value[j] = T(items[k + j]);
                *reinterpret_cast<Whole*>(first + i) = pack;
            } else {
#pragma unroll
                for (int j = 0; j < Whole::LENGTH; ++j)
                    if (i + j < n) at(i + j) = T(items[k + j]);
            }
        }
    }
};

// x0, x1, ..., x15 in a thread's registers: halves onto halves, as in `sequential`
template <typename Combine, typename A, int ITEMS> __device__ A folded(const A (&items)[ITEMS])
{
    A half[ITEMS];
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) half[k] = items[k];
#pragma unroll
    for (int width = ITEMS / 2; width > 0; width /= 2)
#pragma unroll
        for (int k = 0; k < width; ++k) half[k] = Combine::of(half[k], half[k + width]);
    return half[0];
}
