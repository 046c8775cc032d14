// softmax, log_softmax and logsumexp, as fast as memory goes: a row is read once to reduce it, and, where there is
// something to write for each element, stays in registers where it fits, or is read once more.
//
//     n <= 1024           online_by_warps    a warp for each row, which is in its registers: no barrier
//     n <= 8192           online_by_blocks   a block for each row, which is in its registers (double: half as many)
//     beyond              online_twice       a block for each row, reduced as a running pair and read once more
//     side by side        online_by_columns  a lane for each row, where rows lie side by side and their elements apart
//     beyond, few rows    online_pairs       several blocks for each row, each of which leaves a pair (top, total),
//                         online_shares      and then combines all pairs of its row, and writes its share
//
//     row        tile 0      tile 1      tile 2      ...
//     read       pair -----> pair -----> pair -----> ...    to the right: one rescaling for each tile
//     write      y <-------- y <-------- y <-------- ...    to the left: what was read last is still in the cache
//
//     block      0           1           0           ...    where two blocks share a row
#include "pairs.cuh"

// what is kept of x until the sum is known, and what becomes of it then
struct Softmax {
    template <typename A> static __device__ A kept(A shifted, A weight) { return weight; }
    template <typename A> static __device__ A factor(A total) { return A(1) / total; }
    template <typename A> static __device__ A answer(A kept, A factor) { return kept * factor; }
};
struct LogSoftmax {
    template <typename A> static __device__ A kept(A shifted, A weight) { return shifted; }
    template <typename A> static __device__ A factor(A total) { return logarithm(total); }
    template <typename A> static __device__ A answer(A kept, A factor) { return kept - factor; }
};

// a tile of a row whose pair is known: read, and written
template <typename Law, typename Group, int ITEMS, typename T, typename A>
__device__ void write_tile(const Row<const T>& row, const Row<T>& out, long long base, A top, A factor)
{
    A x[ITEMS];
    row.template load<Group>(x, base, A(0));
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
        const A shifted = x[k] - top;
        x[k] = Law::answer(Law::kept(shifted, exponential(shifted)), factor);
    }
    out.template store<Group>(x, base);
}

// the whole row in the registers of a group: the largest element first, so that nothing is rescaled
template <typename Law, typename Group, int ITEMS, typename T>
__device__ void in_registers(const T* x, const Rows& rows, long long n, T* y, const Rows& y_rows)
{
    using A = Wide<T>;
    A kept[ITEMS], weights[ITEMS];
    Row<const T>(x, rows, Group::row(), n).template load<Group>(kept, 0, -infinity<A>());
    const A top = Group::template all<Max>(folded<Max>(kept));
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
        const A shifted = kept[k] - top;
        weights[k] = exponential(shifted);
        kept[k] = Law::kept(shifted, weights[k]);
    }
    const A factor = Law::factor(Group::template all<Sum>(folded<Sum>(weights)));
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) kept[k] = Law::answer(kept[k], factor);
    Row<T>(y, y_rows, Group::row(), n).template store<Group>(kept, 0);
}

template <typename Law, int ITEMS, typename T>
__global__ void __launch_bounds__(128, 4)
online_by_warps(const T* x, Rows rows, long long count, long long n, T* y, Rows y_rows)
{
    if (Warp::row() < count) in_registers<Law, Warp, ITEMS>(x, rows, n, y, y_rows); // whole warps only
}

template <typename Law, int ITEMS, typename T>
__global__ void __launch_bounds__(512, ITEMS == 8 ? 1 : 2)
online_by_blocks(const T* x, Rows rows, long long n, T* y, Rows y_rows)
{
    in_registers<Law, Block, ITEMS>(x, rows, n, y, y_rows);
}

// a group for each row, which is read to reduce it, and again to write
template <typename Law, typename Group, int ITEMS, typename T>
__device__ void in_two_readings(const Row<const T>& row, const Row<T>& out)
{
    const long long tile = ITEMS * Group::size();
    const auto pair = pair_of_tiles<Group, ITEMS>(row, 0, tile).template of_all<Group>();
    const auto factor = Law::factor(pair.total);
    for (long long base = (row.n - 1) / tile * tile; base >= 0; base -= tile)
        write_tile<Law, Group, ITEMS>(row, out, base, pair.top, factor);
}

template <typename Law, int ITEMS, typename T>
__global__ void __launch_bounds__(1024)
online_twice(const T* x, Rows rows, long long n, T* y, Rows y_rows)
{
    const long long number = Block::row();
    in_two_readings<Law, Block, ITEMS>(Row<const T>(x, rows, number, n), Row<T>(y, y_rows, number, n));
}

// 32 rows side by side for each block
template <typename Law, int ITEMS, typename T>
__global__ void __launch_bounds__(1024)
online_by_columns(const T* x, Rows rows, long long count, long long n, T* y, Rows y_rows)
{
    const bool inside = Column::row() < count;
    const long long number = inside ? Column::row() : 0, length = inside ? n : 0;
    in_two_readings<Law, Column, ITEMS>(Row<const T>(x, rows, number, length), Row<T>(y, y_rows, number, length));
}

// `splits` blocks for each row: what each of them has seen
template <int ITEMS, typename T, typename A>
__global__ void __launch_bounds__(256)
online_pairs(const T* x, Rows rows, long long n, int splits, A* tops, A* totals)
{
    const Row<const T> row(x, rows, blockIdx.x / splits, n);
    const long long tile = ITEMS * blockDim.x, part = blockIdx.x % splits;
    const Pair<A> pair = pair_of_tiles<Block, ITEMS>(row, part * tile, splits * tile).template of_all<Block>();
    if (threadIdx.x == 0) {
        tops[blockIdx.x] = pair.top;
        totals[blockIdx.x] = pair.total;
    }
}

// the pair of a row, from those of its parts; every thread of the block gets it
template <typename A>
__device__ Pair<A> pair_of_parts(const A* tops, const A* totals, long long number, int splits)
{
    Pair<A> pair = Pair<A>::nothing();
    for (int k = threadIdx.x; k < splits; k += blockDim.x)
        pair.add(Pair<A>{tops[number * splits + k], totals[number * splits + k]});
    return pair.template of_all<Block>();
}

// the same blocks as in online_pairs, and the same tiles, the last one first
template <typename Law, int ITEMS, typename T, typename A>
__global__ void __launch_bounds__(256) online_shares(
    const T* x, Rows rows, long long n, int splits, const A* tops, const A* totals, T* y, Rows y_rows)
{
    const long long number = blockIdx.x / splits, part = blockIdx.x % splits;
    const Row<const T> row(x, rows, number, n);
    const Row<T> out(y, y_rows, number, n);
    const Pair<A> pair = pair_of_parts(tops, totals, number, splits);
    const A factor = Law::factor(pair.total);
    const long long tile = ITEMS * blockDim.x, last = (n - 1) / tile;
    for (long long number_of_tile = last - (last - part) % splits; number_of_tile >= part; number_of_tile -= splits)
        write_tile<Law, Block, ITEMS>(row, out, number_of_tile * tile, pair.top, factor);
}

// an infinite maximum is the answer itself, whatever is added to it
template <typename A> __device__ A logsumexp_of(const Pair<A>& pair)
{
    const bool infinite = pair.top == infinity<A>() || pair.top == -infinity<A>();
    return infinite ? pair.top : pair.top + logarithm(pair.total);
}

template <typename Group, int ITEMS, typename T>
__device__ void logsumexp(const Row<const T>& row, T* y)
{
    const auto pair = pair_of_tiles<Group, ITEMS>(row, 0, ITEMS * Group::size()).template of_all<Group>();
    if (y && Group::rank() == 0) y[Group::row()] = T(logsumexp_of(pair));
}

template <int ITEMS, typename T>
__global__ void __launch_bounds__(128, 4)
logsumexp_by_warps(const T* x, Rows rows, long long count, long long n, T* y)
{
    if (Warp::row() < count) logsumexp<Warp, ITEMS>(Row<const T>(x, rows, Warp::row(), n), y);
}

template <int ITEMS, typename T>
__global__ void __launch_bounds__(512, ITEMS == 8 ? 1 : 2)
logsumexp_by_blocks(const T* x, Rows rows, long long n, T* y)
{
    logsumexp<Block, ITEMS>(Row<const T>(x, rows, Block::row(), n), y);
}

template <int ITEMS, typename T>
__global__ void __launch_bounds__(1024)
logsumexp_by_columns(const T* x, Rows rows, long long count, long long n, T* y)
{
    const bool inside = Column::row() < count;
    const long long number = inside ? Column::row() : 0;
    logsumexp<Column, ITEMS>(Row<const T>(x, rows, number, inside ? n : 0), inside ? y : nullptr);
}

// one block for each row: the pairs that online_pairs left
template <typename T, typename A>
__global__ void logsumexp_of_pairs(const A* tops, const A* totals, int splits, T* y)
{
    const Pair<A> pair = pair_of_parts(tops, totals, blockIdx.x, splits);
    if (threadIdx.x == 0) y[blockIdx.x] = T(logsumexp_of(pair));
}
