// expand and where: one thread for each element of the answer, which is moved and not computed with.
//
// The thread's number is the flat index into the answer. It is taken apart, dimension by dimension, and put together
// with the strides of the operand, which are 0 along the dimensions that are repeated (Rows in rows.cuh):
//
//     x of shape (3, 1), expanded to (3, 4): strides (1, 0)
//     thread    0  1  2  3   4  5  6  7   8  9 10 11
//     index     0,0 ...      1,0 ...      2,0 ...
//     reads     x0 x0 x0 x0  x1 x1 x1 x1  x2 x2 x2 x2
//
// Index: int where the answer has fewer than 2^31 elements.
#include "numbers.cuh"
#include "rows.cuh"

template <typename T, typename Index> __global__ void expand(const T* x, Rows from, long long count, T* out)
{
    const Index i = static_cast<Index>(blockIdx.x) * static_cast<Index>(blockDim.x) + threadIdx.x;
    if (i < count) out[i] = x[from.offset<Index>(i, 0, from.outer)];
}

// three operands, each with a mapping of its own; what is not selected is not read
template <typename T, typename Index>
__global__ void where(
    const bool* condition, Rows of_condition, const T* x, Rows of_x, const T* y, Rows of_y, long long count, T* out)
{
    const Index i = static_cast<Index>(blockIdx.x) * static_cast<Index>(blockDim.x) + threadIdx.x;
    if (i >= count) return;
    if (condition[of_condition.offset<Index>(i, 0, of_condition.outer)])
        out[i] = x[of_x.offset<Index>(i, 0, of_x.outer)];
    else
        out[i] = y[of_y.offset<Index>(i, 0, of_y.outer)];
}
