// Where the rows of an array lie: any rank, any strides, any reduced dimensions.
#pragma once

// An array seen as rows of n elements. Row r, and element i of a row, are counted in the order of the indices; both
// are taken apart over the dimensions that they stand for, the last one first:
//
//     x of shape (2, 3, 4), reduced along dim 1         outer dims (2, 4), strides (12, 1)     row 6 = (1, 2)
//                                                       inner dims (3),    strides (4)
//     element 2 of row 6 lies at  1 * 12 + 2 * 1  +  2 * 4
//
// The host joins neighbouring dimensions that lie evenly and drops those of length 1. What is left has lengths of at
// least 2, so 40 dimensions are enough for 2^40 elements. Strides count elements, and may be 0 or negative.
struct Rows {
    static constexpr int MOST = 40;
    int outer, inner;
    long long size[MOST], stride[MOST];

    __device__ long long start(long long row) const { return offset(row, 0, outer); }
    __device__ long long element(long long i) const { return offset(i, outer, outer + inner); }
    __device__ long long at(long long row, long long i) const { return start(row) + element(i); }

    // Index: int where all indices fit, since a division of 64-bit numbers takes four times as long
    template <typename Index = long long> __device__ long long offset(Index index, int first, int end) const
    {
        long long sum = 0;
        for (int d = end - 1; d > first; --d) {
            const Index length = static_cast<Index>(size[d]);
            const Index rest = index / length;
            sum += (index - rest * length) * stride[d];
            index = rest;
        }
        return sum + index * stride[first];
    }
};

// `blocks` blocks of threads work on each row, one element a thread
struct Place {
    long long row, i;

    __device__ explicit Place(int blocks)
        : row(blockIdx.x / blocks), i(static_cast<long long>(blockIdx.x % blocks) * blockDim.x + threadIdx.x)
    {
    }
};
