// cross_entropy, fused: each row of logits is read once, and log-probabilities are never written.
//
// With y = log_softmax(x), w the weights and s the smoothing, the loss of a row is - sum of q_c y_c, where
//
//     q_c = w_c ((1 - s) [c = label] + s / n)     for a label
//     q_c = w_c ((1 - s) p_c         + s / n)     for probabilities p
//
//     row        tile 0        tile 1        tile 2
//     forward    state ------> state ------> state        state: top, sum of exp(x - top), sum of q (x - top), sum of q
//     loss       - (sum of q (x - top) - log(total) * sum of q)
//     backward   gradient <--- gradient <--- gradient     the tile that was read last is still in registers: a row of
//                                                         one tile is read once
//
// A label without smoothing needs the logit at the label only: SPREAD is false, and the last two sums are left out.
#include "pairs.cuh"

constexpr int BAD_LABEL = 1, BAD_PROBABILITY = 2;

// one weight for each class, or 1 where there are none; then `first` is not read
template <typename T> struct Weights {
    const T* first;
    long long step;
    bool given;
    __device__ Wide<T> of(long long c) const { return given ? Wide<T>(first[c * step]) : Wide<T>(1); }
};

// what is summed up over a part of a row
template <typename A> struct State {
    Pair<A> pair;
    A dot, mass; // of q (x - top), and of q

    static __device__ State nothing() { return {Pair<A>::nothing(), A(0), A(0)}; }

    // the same dot beside a larger element; while all x are -inf, so is it, or it has no terms yet
    __device__ A dot_beside(A grown) const
    {
        return pair.top == -infinity<A>() ? dot : dot + (pair.top - Pair<A>::shift_for(grown)) * mass;
    }

    // x and q of one tile; both beyond the end: -inf and 0
    template <int ITEMS> __device__ void add(const A (&x)[ITEMS], const A (&q)[ITEMS], const bool (&inside)[ITEMS])
    {
        const A grown = larger(pair.top, folded<Max>(x));
        A terms[ITEMS];
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) terms[k] = inside[k] ? q[k] * (x[k] - Pair<A>::shift_for(grown)) : A(0);
        dot = dot_beside(grown) + folded<Sum>(terms);
        mass += folded<Sum>(q);
        pair.add(x);
    }

    template <typename Group> __device__ State of_all() const
    {
        const Pair<A> whole = pair.template of_all<Group>();
        return {whole, Group::template all<Sum>(dot_beside(whole.top)), Group::template all<Sum>(mass)};
    }
};

// the distribution of a row: a label, or probabilities
template <typename Target, typename T> struct Distribution;

template <typename T> struct Distribution<long long, T> {
    using A = Wide<T>;
    long long label;
    Weights<T> weights;
    A smoothing, sharpness; // s / n, and 1 - s
    bool ignored, wrong;

    __device__ Distribution(const long long* target, const Rows& rows, long long number, long long n, Weights<T> w,
        long long ignore_index, A smoothing_, A sharpness_)
        : label(target[rows.start(number)]), weights(w), smoothing(smoothing_), sharpness(sharpness_),
          ignored(label == ignore_index), wrong(!ignored && (label < 0 || label >= n))
    {
    }
    __device__ A counted() const { return weights.of(label); }
    __device__ A at_label() const { return sharpness * weights.of(label); }

    // q without what the label has beside the others; `inside` says which items are classes
    template <typename Group, int ITEMS>
    __device__ bool load(A (&q)[ITEMS], bool (&inside)[ITEMS], long long base, long long n) const
    {
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) {
            const long long c = Row<const T>::template index<Group>(base, k);
            inside[k] = c < n;
            q[k] = inside[k] && smoothing > A(0) ? smoothing * weights.of(c) : A(0);
        }
        return true;
    }
};

template <typename T> struct Distribution<T, T> {
    using A = Wide<T>;
    static constexpr long long label = -1; // which no class has
    Row<const T> row;
    Weights<T> weights;
    A smoothing, sharpness;
    static constexpr bool ignored = false, wrong = false;

    __device__ Distribution(const T* target, const Rows& rows, long long number, long long n, Weights<T> w, long long,
        A smoothing_, A sharpness_)
        : row(target, rows, number, n), weights(w), smoothing(smoothing_), sharpness(sharpness_)
    {
    }
    __device__ A counted() const { return A(1); }
    __device__ A at_label() const { return A(0); }

    // and whether all of them are probabilities
    template <typename Group, int ITEMS>
    __device__ bool load(A (&q)[ITEMS], bool (&inside)[ITEMS], long long base, long long n) const
    {
        bool fine = true;
        row.template load<Group>(q, base, A(0));
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) {
            const long long c = Row<const T>::template index<Group>(base, k);
            inside[k] = c < n;
            fine &= q[k] >= A(0);
            q[k] = inside[k] ? weights.of(c) * (sharpness * q[k] + smoothing) : A(0);
        }
        return fine;
    }
};

// the state of a whole row, in every thread of its group; x keeps the last tile
template <typename Group, bool SPREAD, int ITEMS, typename Target, typename T>
__device__ State<Wide<T>> state_of(
    const Row<const T>& row, const Distribution<Target, T>& target, Wide<T> (&x)[ITEMS], bool& fine)
{
    using A = Wide<T>;
    State<A> state = State<A>::nothing();
    for (long long base = 0; base < row.n; base += ITEMS * Group::size()) {
        row.template load<Group>(x, base, -infinity<A>());
        if constexpr (SPREAD) {
            A q[ITEMS];
            bool inside[ITEMS];
            fine &= target.template load<Group>(q, inside, base, row.n);
            state.add(x, q, inside);
        } else {
            state.pair.add(x);
        }
    }
    if constexpr (SPREAD) return state.template of_all<Group>();
    return {state.pair.template of_all<Group>(), A(0), A(0)};
}

// a row that does not count is taken for one without classes: its group goes on to every barrier
template <typename Target, bool SPREAD, typename Group, int ITEMS, typename T, typename A>
__device__ void loss_of_row(const T* x, const Rows& rows, long long number, long long n,
    const Distribution<Target, T>& target, A* losses, A* counted, int* flag)
{
    const bool skipped = target.ignored || target.wrong;
    const Row<const T> row(x, rows, number, skipped ? 0 : n);
    A last[ITEMS];
    bool fine = !target.wrong;
    const State<A> state = state_of<Group, SPREAD>(row, target, last, fine);
    if (!fine && n > 0) atomicOr(flag, target.wrong ? BAD_LABEL : BAD_PROBABILITY);
    if (Group::rank() != 0 || n == 0) return;
    A loss = 0;
    if (!skipped) {
        const A log_total = logarithm(state.pair.total);
        if (target.label >= 0) loss = -((A(row.at(target.label)) - state.pair.top) - log_total) * target.at_label();
        if (SPREAD) loss -= state.dot - log_total * state.mass;
    }
    losses[number] = loss;
    counted[number] = skipped ? A(0) : target.counted();
}

// Group: Block, or Column for rows that lie side by side, as the classes of images do; THREADS of a block, at most.
// Weights, where `weighted` says that there are none, are not read.
template <typename Target, bool SPREAD, typename Group, int THREADS, int ITEMS, typename T, typename A>
__global__ void __launch_bounds__(THREADS, ITEMS == 16 && !SPREAD ? 2 : 1)
cross_entropy(const T* x, Rows rows, long long count, long long n, const Target* target, Rows target_rows,
    const T* weight, long long weight_step, bool weighted, long long ignore_index, A smoothing, A sharpness, A* losses,
    A* counted, int* flag)
{
    const bool inside = Group::row() < count;
    const long long number = inside ? Group::row() : 0, length = inside ? n : 0;
    const Distribution<Target, T> q(target, target_rows, number, n, {weight, weight_step, weighted}, ignore_index,
        smoothing, sharpness);
    loss_of_row<Target, SPREAD, Group, ITEMS>(x, rows, number, length, q, losses, counted, flag);
}

// the answer from the sums of losses and of what counted
template <typename T, typename A> __global__ void cross_entropy_mean(const A* total, const A* counted, T* out)
{
    out[0] = T(total[0] / counted[0]);
}

// losses in the type of the logits
template <typename T, typename A> __global__ void cross_entropy_stored(const A* losses, long long count, T* out)
{
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count) out[i] = T(losses[i]);
}

// ---- backward: down * (softmax * sum of q - q), where down is the cotangent, divided as a mean is

template <typename Target, bool SPREAD, typename Group, int ITEMS, typename T, typename A>
__device__ void gradient_of_row(const T* x, const Rows& rows, long long number, long long n,
    const Distribution<Target, T>& target, A down, T* out, const Rows& out_rows)
{
    const bool skipped = target.ignored || target.wrong;
    const Row<const T> row(x, rows, number, skipped ? 0 : n);
    const Row<T> gradient(out, out_rows, number, n);
    const long long tile = ITEMS * Group::size(), last = (n - 1) / tile * tile;
    A y[ITEMS];
    bool fine = true;
    const State<A> state = state_of<Group, SPREAD>(row, target, y, fine);
    const A mass = skipped ? A(0) : state.mass + target.at_label(), scale = mass / state.pair.total;
    for (long long base = last; base >= 0; base -= tile) {
        if (base != last) row.template load<Group>(y, base, -infinity<A>());
        A q[ITEMS];
        bool inside[ITEMS];
        target.template load<Group>(q, inside, base, n);
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) {
            const bool hit = inside[k] && Row<T>::template index<Group>(base, k) == target.label;
            if (hit) q[k] += target.at_label();
            y[k] = skipped ? A(0) : down * (exponential(y[k] - state.pair.top) * scale - q[k]);
        }
        gradient.template store<Group>(y, base);
    }
}

template <typename Target, bool SPREAD, typename Group, int THREADS, int ITEMS, typename T, typename A>
__global__ void __launch_bounds__(THREADS)
cross_entropy_gradient(const T* g, Rows g_rows, const A* divisor, const T* x, Rows rows, long long count, long long n,
    const Target* target, Rows target_rows, const T* weight, long long weight_step, bool weighted,
    long long ignore_index, A smoothing, A sharpness, T* out, Rows out_rows)
{
    const bool inside = Group::row() < count;
    const long long number = inside ? Group::row() : 0, length = inside ? n : 0;
    const Distribution<Target, T> q(target, target_rows, number, n, {weight, weight_step, weighted}, ignore_index,
        smoothing, sharpness);
    const A down = A(g[g_rows.start(number)]) / divisor[0];
    gradient_of_row<Target, SPREAD, Group, ITEMS>(x, rows, number, length, q, down, out, out_rows);
}

// the weight of each label, 0 where it is ignored: what the mean divides by, before its sum
template <typename T, typename A>
__global__ void cross_entropy_counted(const long long* target, Rows target_rows, long long count, long long n,
    const T* weight, long long weight_step, bool weighted, long long ignore_index, A* counted)
{
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const Distribution<long long, T> q(target, target_rows, i, n, {weight, weight_step, weighted}, ignore_index, A(0),
        A(1));
    counted[i] = q.ignored || q.wrong ? A(0) : q.counted();
}
