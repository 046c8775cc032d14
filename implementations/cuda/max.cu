// max: one element a thread; each block leaves the largest element of its part of a row. Pictures of the orders:
// blocks.cuh.
//
// x      elements, at the places that `rows` tells, n in each row
// blocks how many blocks of threads a row has; the grid has that many for each row
// out    one number for each block: partial maxima, or the answer where a row has one block
//
// The largest is the same in every order; what differs is how the threads work together. A NaN is handed on.
#include "blocks.cuh"
#include "rows.cuh"

template <typename T> __device__ Wide<T> term(const T* x, const Rows& rows, long long n, Place place)
{
    return place.i < n ? Wide<T>(x[rows.at(place.row, place.i)]) : -infinity<Wide<T>>();
}

// neighbours at stride 1, 2, 4, ...
template <typename T, typename Out>
__global__ void max_interleaved(const T* x, Rows rows, long long n, int blocks, Out* out)
{
    const Wide<T> top = interleaved<Max>(term(x, rows, n, Place(blocks)));
    if (threadIdx.x == 0) out[blockIdx.x] = Out(top);
}

// x0 and x128, x1 and x129, ..., then a quarter of a block away, ...
template <typename T, typename Out>
__global__ void max_sequential(const T* x, Rows rows, long long n, int blocks, Out* out)
{
    const Wide<T> top = sequential<Max>(term(x, rows, n, Place(blocks)));
    if (threadIdx.x == 0) out[blockIdx.x] = Out(top);
}

// x0 and x16, x1 and x17, ... inside each warp, then the same over the warps
template <typename T, typename Out>
__global__ void max_warp_shuffle(const T* x, Rows rows, long long n, int blocks, Out* out)
{
    const Wide<T> top = warp_shuffle<Max>(term(x, rows, n, Place(blocks)));
    if (threadIdx.x == 0) out[blockIdx.x] = Out(top);
}
