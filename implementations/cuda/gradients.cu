// Gradients of max and of the softmax family: one block for each row, which is read as often as it takes.
//
// g      the cotangent: of the shape of x, or, where the answer has one number for each row, at g_rows.start(row)
// out    the gradient, contiguous, of the shape of x
#include "pairs.cuh"

constexpr int ITEMS = 8; // for each thread in a tile

// the cotangent in equal shares to the largest elements
template <typename T>
__global__ void max_gradient(const T* g, Rows g_rows, const T* x, Rows rows, long long n, T* out, Rows out_rows)
{
    using A = Wide<T>;
    const long long number = blockIdx.x;
    A top = -infinity<A>();
    for (long long i = threadIdx.x; i < n; i += blockDim.x) top = larger(top, A(x[rows.at(number, i)]));
    top = Block::all<Max>(top);
    A hits = 0;
    for (long long i = threadIdx.x; i < n; i += blockDim.x) hits += A(x[rows.at(number, i)]) == top;
    const A share = A(g[g_rows.start(number)]) / Block::all<Sum>(hits);
    for (long long i = threadIdx.x; i < n; i += blockDim.x)
        out[out_rows.at(number, i)] = T(A(x[rows.at(number, i)]) == top ? share : A(0));
}

// softmax y of one tile
template <typename A, typename T>
__device__ void probabilities(A (&y)[ITEMS], const Row<const T>& row, long long base, const Pair<A>& pair)
{
    row.template load<Block>(y, base, -infinity<A>());
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) y[k] = exponential(y[k] - pair.top) / pair.total;
}

// y (g - sum of g y)
template <typename T>
__global__ void __launch_bounds__(256, 2)
softmax_gradient(const T* g, Rows g_rows, const T* x, Rows rows, long long n, T* out, Rows out_rows)
{
    using A = Wide<T>;
    const Row<const T> row(x, rows, blockIdx.x, n), cotangent(g, g_rows, blockIdx.x, n);
    const Row<T> gradient(out, out_rows, blockIdx.x, n);
    const long long tile = ITEMS * blockDim.x;
    const Pair<A> pair = pair_of_tiles<Block, ITEMS>(row, 0, tile).template of_all<Block>();
    A y[ITEMS], down[ITEMS], sum = 0;
    for (long long base = 0; base < n; base += tile) {
        probabilities(y, row, base, pair);
        cotangent.template load<Block>(down, base, A(0));
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) down[k] *= y[k];
        sum += folded<Sum>(down);
    }
    sum = Block::all<Sum>(sum);
    for (long long base = 0; base < n; base += tile) {
        probabilities(y, row, base, pair);
        cotangent.template load<Block>(down, base, A(0));
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) y[k] *= down[k] - sum;
        gradient.template store<Block>(y, base);
    }
}

// g - y (sum of g)
template <typename T>
__global__ void __launch_bounds__(256, 2)
log_softmax_gradient(const T* g, Rows g_rows, const T* x, Rows rows, long long n, T* out, Rows out_rows)
{
    using A = Wide<T>;
    const Row<const T> row(x, rows, blockIdx.x, n), cotangent(g, g_rows, blockIdx.x, n);
    const Row<T> gradient(out, out_rows, blockIdx.x, n);
    const long long tile = ITEMS * blockDim.x;
    const Pair<A> pair = pair_of_tiles<Block, ITEMS>(row, 0, tile).template of_all<Block>();
    A y[ITEMS], down[ITEMS], sum = 0;
    for (long long base = 0; base < n; base += tile) {
        cotangent.template load<Block>(down, base, A(0));
        sum += folded<Sum>(down);
    }
    sum = Block::all<Sum>(sum);
    for (long long base = 0; base < n; base += tile) {
        probabilities(y, row, base, pair);
        cotangent.template load<Block>(down, base, A(0));
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) y[k] = down[k] - y[k] * sum;
        gradient.template store<Block>(y, base);
    }
}

// g y, with one g for each row
template <typename T>
__global__ void __launch_bounds__(256, 2)
logsumexp_gradient(const T* g, Rows g_rows, const T* x, Rows rows, long long n, T* out, Rows out_rows)
{
    using A = Wide<T>;
    const Row<const T> row(x, rows, blockIdx.x, n);
    const Row<T> gradient(out, out_rows, blockIdx.x, n);
    const long long tile = ITEMS * blockDim.x;
    const Pair<A> pair = pair_of_tiles<Block, ITEMS>(row, 0, tile).template of_all<Block>();
    const A down = A(g[g_rows.start(blockIdx.x)]);
    A y[ITEMS];
    for (long long base = 0; base < n; base += tile) {
        probabilities(y, row, base, pair);
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) y[k] *= down;
        gradient.template store<Block>(y, base);
    }
}
