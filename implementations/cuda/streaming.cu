// sum, as fast as memory goes: several elements a thread, 16 bytes a load, one launch, and the same order every time.
//
//     tile 0 (4096 elements)   tile 1     ...   tile S     tile S+1   ...      S blocks share a row: each takes every
//     block 0                  block 1    ...   block 0    block 1    ...      S-th tile
//
//     thread t of a block:     total = (its 16 elements of one tile, folded) + (those of the next) + ...
//     a block:                 the threads' totals by warp shuffles, one partial for the block
//     the last block to end:   the S partials of the row in the same way, in a fixed order, whichever block this is
#include "groups.cuh"

// for each thread in a tile: as many as stay in its registers
template <typename T> constexpr int ITEMS = sizeof(T) == 8 ? 8 : 16;

template <typename Group, typename T>
__device__ Wide<T> sum_of_tiles(const Row<const T>& row, long long first, long long step)
{
    using A = Wide<T>;
    A total = 0, items[ITEMS<T>];
    for (long long base = first; base < row.n; base += step) {
        row.template load<Group>(items, base, A(0));
        total += folded<Sum>(items);
    }
    return total;
}

// short rows, and many: each has a warp or a block to itself
template <typename Group, typename T, typename Out>
__global__ void sum_rows(const T* x, Rows rows, long long count, long long n, Out* out)
{
    if (Group::row() >= count) return; // whole warps only
    const Row<const T> row(x, rows, Group::row(), n);
    const Wide<T> total = Group::template all<Sum>(sum_of_tiles<Group>(row, 0, ITEMS<T> * Group::size()));
    if (Group::rank() == 0) out[Group::row()] = Out(total);
}

// rows that lie side by side: 32 for each block
template <typename T, typename Out>
__global__ void __launch_bounds__(1024)
sum_columns(const T* x, Rows rows, long long count, long long n, Out* out)
{
    const bool inside = Column::row() < count;
    const Row<const T> row(x, rows, inside ? Column::row() : 0, inside ? n : 0);
    const Wide<T> total = Column::all<Sum>(sum_of_tiles<Column>(row, 0, ITEMS<T> * Column::size()));
    if (inside && Column::rank() == 0) out[Column::row()] = Out(total);
}

// long rows: `splits` blocks for each; `done` counts, from 0, how many of them have ended
template <typename T, typename A, typename Out>
__global__ void __launch_bounds__(256, 4)
sum_streaming(const T* x, Rows rows, long long n, int splits, A* partials, int* done, Out* out)
{
    const long long number = blockIdx.x / splits;
    const int part = blockIdx.x % splits;
    const Row<const T> row(x, rows, number, n);
    const long long tile = ITEMS<T> * blockDim.x;
    A total = Block::all<Sum>(sum_of_tiles<Block>(row, part * tile, splits * tile));

    __shared__ bool last;
    if (threadIdx.x == 0) {
        partials[blockIdx.x] = total;
        __threadfence(); // the partial is seen by whoever sees the count
        last = atomicAdd(&done[number], 1) == splits - 1;
        __threadfence(); // and the others' partials are read after the count
    }
    __syncthreads();
    if (!last) return;

    total = 0;
    for (int k = threadIdx.x; k < splits; k += blockDim.x) total += partials[number * splits + k];
    total = Block::all<Sum>(total);
    if (threadIdx.x == 0) out[number] = Out(total);
}

// sums that become means, and cotangents that become shares: `from` maps the number of an element to its place
template <typename T, typename Out>
__global__ void quotients(const T* x, Rows from, long long count, double divisor, Out* out)
{
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count) out[i] = Out(Wide<T>(x[from.start(i)]) / Wide<T>(divisor));
}
