// The part of cooperative groups that works inside one block: the block, tiles of a warp, the lanes that run together.
#pragma once

namespace cooperative_groups {

struct thread_block {
    void sync(KH_FROM) const { kh_barrier(KH_BARRIER, 0, KH_PLACE); }
    unsigned thread_rank() const { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }
    unsigned size() const { return blockDim.x * blockDim.y * blockDim.z; }
    unsigned num_threads() const { return size(); }
    dim3 group_index() const { return {blockIdx.x, blockIdx.y, blockIdx.z}; }
    dim3 thread_index() const { return {threadIdx.x, threadIdx.y, threadIdx.z}; }
    dim3 dim_threads() const { return blockDim; }
    dim3 group_dim() const { return blockDim; }
};
inline thread_block this_thread_block() { return {}; }

struct grid_group {
    // without sync(): blocks run one after another here, so a kernel that needs it does not compile
    unsigned long long thread_rank() const {
        const unsigned long long block = blockIdx.x + (unsigned long long)gridDim.x * (blockIdx.y + (unsigned long long)gridDim.y * blockIdx.z);
        return block * thread_block{}.size() + thread_block{}.thread_rank();
    }
    unsigned long long size() const { return (unsigned long long)gridDim.x * gridDim.y * gridDim.z * thread_block{}.size(); }
    unsigned long long num_threads() const { return size(); }
    dim3 group_dim() const { return gridDim; }
};
inline grid_group this_grid() { return {}; }

// lanes of one warp, by their mask
struct kh_lanes {
    unsigned mask;
    unsigned rank, count;
    unsigned thread_rank() const { return rank; }
    unsigned size() const { return count; }
    unsigned num_threads() const { return count; }
    void sync(KH_FROM) const { __syncwarp(mask, kh_file, kh_line); }
    int any(int predicate, KH_FROM) const { return __any_sync(mask, predicate, kh_file, kh_line); }
    int all(int predicate, KH_FROM) const { return __all_sync(mask, predicate, kh_file, kh_line); }
};

template <unsigned Size, class Parent = thread_block>
struct thread_block_tile : kh_lanes {
    static_assert(Size && Size <= 32 && (Size & (Size - 1)) == 0, "a tile has a power of two of lanes, up to 32");
    explicit thread_block_tile(int) : kh_lanes{} {
        const unsigned lane = kh_lane(), first = lane & ~(Size - 1);
        mask = (Size == 32 ? ~0u : (1u << Size) - 1) << first;
        rank = lane - first;
        count = Size;
    }
    unsigned meta_group_rank() const { return thread_block{}.thread_rank() / Size; }
    unsigned meta_group_size() const { return (thread_block{}.size() + Size - 1) / Size; }
    template <class T> T shfl(T value, unsigned lane, KH_FROM) const { return __shfl_sync(mask, value, lane, Size, kh_file, kh_line); }
    template <class T> T shfl_up(T value, unsigned delta, KH_FROM) const { return __shfl_up_sync(mask, value, delta, Size, kh_file, kh_line); }
    template <class T> T shfl_down(T value, unsigned delta, KH_FROM) const { return __shfl_down_sync(mask, value, delta, Size, kh_file, kh_line); }
    template <class T> T shfl_xor(T value, unsigned lanes, KH_FROM) const { return __shfl_xor_sync(mask, value, lanes, Size, kh_file, kh_line); }
    unsigned ballot(int predicate, KH_FROM) const { return __ballot_sync(mask, predicate, kh_file, kh_line) >> (kh_lane() & ~(Size - 1)); }
    template <class T> unsigned match_any(T value, KH_FROM) const { return __match_any_sync(mask, value, kh_file, kh_line) >> (kh_lane() & ~(Size - 1)); }
};
template <unsigned Size>
inline thread_block_tile<Size> tiled_partition(const thread_block&) { return thread_block_tile<Size>(0); }
template <unsigned Size, unsigned Outer, class Parent>
inline thread_block_tile<Size> tiled_partition(const thread_block_tile<Outer, Parent>&) {
    static_assert(Size <= Outer, "a part is no larger than the whole");
    return thread_block_tile<Size>(0);
}

struct coalesced_group : kh_lanes {
    template <class T> T shfl(T value, unsigned source, KH_FROM) const {
        unsigned left = mask;
        while (source--) left &= left - 1;
        return __shfl_sync(mask, value, unsigned(__builtin_ctz(left)), 32, kh_file, kh_line);
    }
    template <class T> T shfl_down(T value, unsigned delta, KH_FROM) const { return shfl(value, rank + delta < count ? rank + delta : rank, kh_file, kh_line); }
    template <class T> T shfl_up(T value, unsigned delta, KH_FROM) const { return shfl(value, rank >= delta ? rank - delta : rank, kh_file, kh_line); }
    unsigned ballot(int predicate, KH_FROM) const {
        const unsigned votes = __ballot_sync(mask, predicate, kh_file, kh_line);
        unsigned packed = 0, position = 0;
        for (unsigned left = mask; left; left &= left - 1, position++) packed |= (votes >> __builtin_ctz(left) & 1) << position;
        return packed;
    }
};
inline coalesced_group kh_coalesced(unsigned mask) {
    coalesced_group group;
    group.mask = mask;
    group.rank = unsigned(__builtin_popcount(mask & ((1u << kh_lane()) - 1)));
    group.count = unsigned(__builtin_popcount(mask));
    return group;
}
inline coalesced_group coalesced_threads() { return kh_coalesced(__activemask()); }
// of the lanes of a tile, those that agree
template <unsigned Size, class Parent>
inline coalesced_group binary_partition(const thread_block_tile<Size, Parent>& tile, bool predicate, KH_FROM) {
    const unsigned votes = __ballot_sync(tile.mask, predicate, kh_file, kh_line);
    return kh_coalesced((predicate ? votes : ~votes) & tile.mask);
}

template <class Group>
inline void sync(const Group& group, KH_FROM) { group.sync(kh_file, kh_line); }

template <class T> struct plus { T operator()(T a, T b) const { return a + b; } };
template <class T> struct less { T operator()(T a, T b) const { return b < a ? b : a; } };
template <class T> struct greater { T operator()(T a, T b) const { return a < b ? b : a; } };
template <class T> struct bit_and { T operator()(T a, T b) const { return a & b; } };
template <class T> struct bit_or { T operator()(T a, T b) const { return a | b; } };
template <class T> struct bit_xor { T operator()(T a, T b) const { return a ^ b; } };

// by halves over a tile: each lane gets the result
template <unsigned Size, class Parent, class T, class Operation>
inline T reduce(const thread_block_tile<Size, Parent>& tile, T value, Operation operation, KH_FROM) {
    for (unsigned distance = Size / 2; distance; distance /= 2) value = operation(value, tile.shfl_xor(value, distance, kh_file, kh_line));
    return value;
}
// by rank: the lanes that came together need not be a power of two
template <class T, class Operation>
inline T reduce(const coalesced_group& group, T value, Operation operation, KH_FROM) {
    T all = group.shfl(value, 0, kh_file, kh_line);
    for (unsigned rank = 1; rank < group.size(); rank++) all = operation(all, group.shfl(value, rank, kh_file, kh_line));
    return all;
}

}  // namespace cooperative_groups
