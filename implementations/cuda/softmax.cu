// softmax in three steps, each with one element a thread: the largest element (max.cu), the sum of exp(x - largest),
// and the quotients. Maxima and sums are reduced by blocks, in sequential order; see blocks.cuh for its picture.
//
//     x         x0 ... x255         x256 ... x511       ...
//     max.cu    block 0: maximum    block 1: maximum    ...    -> top, on the host or by max.cu again
//     here      block 0: sum        block 1: sum        ...    -> total, on the host or by sum.cu again
//     here      exp(x0 - top) / total, ...
#include "blocks.cuh"
#include "rows.cuh"

// (e0+e128), (e1+e129), ..., then a quarter of a block away, ...; `tops` has one number for each row
template <typename T, typename A, typename Out>
__global__ void softmax_exp_sum(const T* x, Rows rows, const A* tops, long long n, int blocks, Out* out)
{
    const Place place(blocks);
    const A weight = place.i < n ? exponential(A(x[rows.at(place.row, place.i)]) - tops[place.row]) : A(0);
    const A total = sequential<Sum>(weight);
    if (threadIdx.x == 0) out[blockIdx.x] = Out(total);
}

template <typename T, typename A>
__global__ void softmax_quotients(
    const T* x, Rows rows, const A* tops, const A* totals, long long n, int blocks, T* y, Rows y_rows)
{
    const Place place(blocks);
    if (place.i >= n) return;
    const A weight = exponential(A(x[rows.at(place.row, place.i)]) - tops[place.row]);
    y[y_rows.at(place.row, place.i)] = T(weight / totals[place.row]);
}

// for logsumexp: an infinite maximum is shifted by 0, so that its row has no NaN of -inf - -inf
template <typename A> __global__ void softmax_shifts(const A* tops, long long count, A* shifts)
{
    const long long row = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (row >= count) return;
    const A top = tops[row];
    shifts[row] = top == infinity<A>() || top == -infinity<A>() ? A(0) : top;
}

template <typename T, typename A>
__global__ void softmax_logarithms(const A* tops, const A* totals, long long count, T* y)
{
    const long long row = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (row >= count) return;
    const A top = tops[row];
    const bool infinite = top == infinity<A>() || top == -infinity<A>();
    y[row] = T(infinite ? top : top + logarithm(totals[row]));
}
