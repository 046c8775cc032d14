// argmax: one element a thread; each block leaves the largest element of its part of a row, and where it stands.
//
//     thread   0             1             2             3             4        5        6        7
//              (x0, 0)       (x1, 1)       (x2, 2)       (x3, 3)       (x4, 4)  (x5, 5)  (x6, 6)  (x7, 7)
//     half 4   best of 0, 4  best of 1, 5  best of 2, 6  best of 3, 7  .        .        .        .
//     half 2   with thread 2 with thread 3 .             .             .        .        .        .
//     half 1   with thread 1 .             .             .             .        .        .        .
//
// Better is: larger, or NaN beside a number; of equals the one that stands first. So the order does not matter, and the
// blocks' pairs are reduced again in the same way.
#include "blocks.cuh"
#include "rows.cuh"

template <typename A> struct Candidate {
    A value;
    long long place;

    __device__ bool before(const Candidate& other) const
    {
        const bool nan = value != value, other_nan = other.value != other.value;
        if (nan != other_nan) return nan;
        return value > other.value || ((nan || value == other.value) && place < other.place);
    }
};

// thread 0 gets the best; the number of threads is a multiple of 32
template <typename A> __device__ Candidate<A> best_of_block(Candidate<A> mine)
{
    __shared__ A value[MOST_THREADS];
    __shared__ long long place[MOST_THREADS];
    const unsigned t = threadIdx.x;
    value[t] = mine.value;
    place[t] = mine.place;
    __syncthreads();
    for (unsigned active = blockDim.x; active > 1;) {
        const unsigned half = (active + 1) / 2;
        if (t + half < active) {
            const Candidate<A> other = {value[t + half], place[t + half]};
            if (other.before(mine)) mine = other;
            value[t] = mine.value;
            place[t] = mine.place;
        }
        __syncthreads();
        active = half;
    }
    return mine;
}

template <typename T, typename A>
__global__ void argmax_sequential(const T* x, Rows rows, long long n, int blocks, A* values, long long* places)
{
    const Place at(blocks);
    // beyond the end: the row's last element once more, which is no better than itself and stands no earlier
    const long long i = at.i < n ? at.i : n - 1;
    const Candidate<A> mine = best_of_block(Candidate<A>{A(x[rows.at(at.row, i)]), i});
    if (threadIdx.x == 0) {
        values[blockIdx.x] = mine.value;
        places[blockIdx.x] = mine.place;
    }
}

// the same on the n pairs that the blocks of each row left
template <typename A>
__global__ void argmax_of_pairs(
    const A* candidates, const long long* stand, long long n, int blocks, A* values, long long* places)
{
    const Place at(blocks);
    const long long i = at.row * n + (at.i < n ? at.i : n - 1);
    const Candidate<A> mine = best_of_block(Candidate<A>{candidates[i], stand[i]});
    if (threadIdx.x == 0) {
        values[blockIdx.x] = mine.value;
        places[blockIdx.x] = mine.place;
    }
}
