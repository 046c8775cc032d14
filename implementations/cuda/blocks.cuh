// Three orders in which the threads of a block combine one value each; thread 0 gets the result.
//
// The number of threads is a multiple of 32, up to 1024. The pictures show 8 threads; time runs downwards.
#pragma once
#include "numbers.cuh"

constexpr int MOST_THREADS = 1024;
constexpr unsigned ALL_LANES = 0xffffffffu;

// Neighbours first: thread t is at work if it is a multiple of twice the stride, so the working threads are spread over
// all warps, and soon every warp drags 31 idle lanes along.
//
//     x0    x1    x2    x3    x4    x5    x6    x7
//     |____/      |____/      |____/      |____/        stride 1
//     |__________/            |__________/              stride 2
//     |______________________/                          stride 4
//     ((x0+x1)+(x2+x3))+((x4+x5)+(x6+x7))
template <typename Combine, typename A> __device__ A interleaved(A value)
{
    __shared__ A slot[MOST_THREADS];
    const unsigned t = threadIdx.x;
    slot[t] = value;
    __syncthreads();
    for (unsigned stride = 1; stride < blockDim.x; stride *= 2) {
        if (t % (2 * stride) == 0 && t + stride < blockDim.x) slot[t] = Combine::of(slot[t], slot[t + stride]);
        __syncthreads();
    }
    return slot[0];
}

// The far half onto the near half: the working threads are the first ones, so whole warps go idle, and neighbouring
// threads touch neighbouring banks of the shared memory.
//
//     thread   0          1          2          3          4     5     6     7
//              x0         x1         x2         x3         x4    x5    x6    x7
//     half 4   x0+x4      x1+x5      x2+x6      x3+x7      .     .     .     .
//     half 2   +(x2+x6)   +(x3+x7)   .          .          .     .     .     .
//     half 1   +thread 1  .          .          .          .     .     .     .
//     ((x0+x4)+(x2+x6))+((x1+x5)+(x3+x7))
//
// Of an odd number the middle one waits for the next step.
template <typename Combine, typename A> __device__ A sequential(A value)
{
    __shared__ A slot[MOST_THREADS];
    const unsigned t = threadIdx.x;
    slot[t] = value;
    __syncthreads();
    for (unsigned active = blockDim.x; active > 1;) {
        const unsigned half = (active + 1) / 2;
        if (t + half < active) slot[t] = Combine::of(slot[t], slot[t + half]);
        __syncthreads();
        active = half;
    }
    return slot[0];
}

// Halves inside each warp, from register to register: no shared memory, no barrier. Then the first warp does the same
// over the warps' results, which are all that goes through shared memory.
//
//     warp 0 of 32 lanes              warp 1                     ...  warp 7
//     x0  x1 ... x16 ... x31          x32 ...    x63                  x224 ...  x255
//     |___________/                   |_______/                       |_______/     __shfl_down by 16, 8, 4, 2, 1
//     |                               |                               |
//     of_warp[0]                      of_warp[1]                 ...  of_warp[7]    one barrier
//     |______________________________/________________________________/             warp 0: the same again
template <typename Combine, typename A> __device__ A warp_shuffle(A value)
{
    __shared__ A of_warp[32];
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (unsigned offset = 16; offset > 0; offset /= 2)
        value = Combine::of(value, __shfl_down_sync(ALL_LANES, value, offset));
    if (lane == 0) of_warp[warp] = value;
    __syncthreads();
    if (warp == 0) {
        value = lane < blockDim.x / 32 ? of_warp[lane] : Combine::template neutral<A>();
        for (unsigned offset = 16; offset > 0; offset /= 2)
            value = Combine::of(value, __shfl_down_sync(ALL_LANES, value, offset));
    }
    return value;
}
