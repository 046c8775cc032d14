// Maxima up a binary tree, one block a leaf: the second child to arrive at a node goes on with both children's values.
// The flag is exchanged without a fence, so the value of the first child need not be there yet.

template <bool fence>
__device__ void climb(const int* leaves, int* values, int* arrived) {
    if (threadIdx.x != 0) return;
    int node = gridDim.x - 1 + blockIdx.x;  // nodes of a heap: the leaves come last
    values[node] = leaves[blockIdx.x];  // BUG
    while (node > 0) {
        const int parent = (node - 1) / 2;
        if (fence) __threadfence();
        if (atomicExch(&arrived[parent], 1) == 0) return;
        if (fence) __threadfence();
        values[parent] = max(values[2 * parent + 1], values[2 * parent + 2]);  // BUG
        node = parent;
    }
}

__global__ void planted(const int* leaves, int* values, int* arrived) { climb<false>(leaves, values, arrived); }

__global__ void twin(const int* leaves, int* values, int* arrived) { climb<true>(leaves, values, arrived); }
