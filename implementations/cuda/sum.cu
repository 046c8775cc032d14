// sum: one element a thread; each block leaves one partial sum of its row. Pictures of the orders: blocks.cuh.
//
// x      elements, at the places that `rows` tells, n in each row
// blocks how many blocks of threads a row has; the grid has that many for each row
// out    one number for each block: partial sums, or the answer where a row has one block
#include "blocks.cuh"
#include "rows.cuh"

template <typename T> __device__ Wide<T> term(const T* x, const Rows& rows, long long n, Place place)
{
    return place.i < n ? Wide<T>(x[rows.at(place.row, place.i)]) : Wide<T>(0);
}

// ((x0+x1)+(x2+x3))+...
template <typename T, typename Out>
__global__ void sum_interleaved(const T* x, Rows rows, long long n, int blocks, Out* out)
{
    const Wide<T> total = interleaved<Sum>(term(x, rows, n, Place(blocks)));
    if (threadIdx.x == 0) out[blockIdx.x] = Out(total);
}

// (x0+x128), (x1+x129), ..., then a quarter of a block away, ...
template <typename T, typename Out>
__global__ void sum_sequential(const T* x, Rows rows, long long n, int blocks, Out* out)
{
    const Wide<T> total = sequential<Sum>(term(x, rows, n, Place(blocks)));
    if (threadIdx.x == 0) out[blockIdx.x] = Out(total);
}

// (x0+x16), (x1+x17), ... inside each warp, then the same over the warps
template <typename T, typename Out>
__global__ void sum_warp_shuffle(const T* x, Rows rows, long long n, int blocks, Out* out)
{
    const Wide<T> total = warp_shuffle<Sum>(term(x, rows, n, Place(blocks)));
    if (threadIdx.x == 0) out[blockIdx.x] = Out(total);
}
