// A softmax in one reading: the largest element so far, and the sum of exp(x - largest) so far.
//
// (Milakov and Gimelshein, arXiv 1805.02867.) When a larger element comes, the sum is rescaled once for a whole chunk:
//
//     chunk       3  1  4        1  5  9
//     top        4              9
//     total      e^(3-4) + e^(1-4) + e^(4-4)
//                               total * e^(4-9)  +  e^(1-9) + e^(5-9) + e^(9-9)
#pragma once
#include "groups.cuh"

template <typename A> struct Pair {
    A top, total;

    static __device__ Pair nothing() { return {-infinity<A>(), A(0)}; }

    template <int ITEMS> __device__ void add(const A (&x)[ITEMS])
    {
        const A grown = larger(top, folded<Max>(x));
        const A shift = shift_for(grown);
        A weights[ITEMS];
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) weights[k] = exponential(x[k] - shift);
        total = total * exponential(top - shift) + folded<Sum>(weights);
        top = grown;
    }

    __device__ void add(const Pair& other)
    {
        const A grown = larger(top, other.top);
        total = total * exponential(top - shift_for(grown)) + other.total * exponential(other.top - shift_for(grown));
        top = grown;
    }

    // what the total would be beside a larger element
    __device__ A total_beside(A grown) const { return total * exponential(top - shift_for(grown)); }

    // where all is -inf so far there is nothing to add or to rescale, but -inf - -inf would be NaN
    static __device__ A shift_for(A top) { return top == -infinity<A>() ? A(0) : top; }

    // of a whole group; every thread gets it
    template <typename Group> __device__ Pair of_all() const
    {
        const A grown = Group::template all<Max>(top);
        return {grown, Group::template all<Sum>(total_beside(grown))};
    }
};

// tiles of a row from the one that begins at `first`, every `step` elements
template <typename Group, int ITEMS, typename T>
__device__ Pair<Wide<T>> pair_of_tiles(const Row<const T>& row, long long first, long long step)
{
    using A = Wide<T>;
    Pair<A> pair = Pair<A>::nothing();
    for (long long base = first; base < row.n; base += step) {
        A x[ITEMS];
        row.template load<Group>(x, base, -infinity<A>());
        pair.add(x);
    }
    return pair;
}
