// A list of the best values, guarded by a lock. A thread whose value is already there returns and keeps the lock.

__global__ void planted(const int* x, int* lock, int* best, int* count) {
    if (threadIdx.x % 32 != 0) return;
    const int value = x[threadIdx.x / 32];
    while (atomicCAS(lock, 0, 1) != 0) {  // BUG
    }
    __threadfence();
    for (int k = 0; k < *count; ++k)
        if (best[k] == value) return;
    best[*count] = value;
    ++*count;
    __threadfence();
    atomicExch(lock, 0);
}

__global__ void twin(const int* x, int* lock, int* best, int* count) {
    if (threadIdx.x % 32 != 0) return;
    const int value = x[threadIdx.x / 32];
    while (atomicCAS(lock, 0, 1) != 0) {
    }
    __threadfence();
    bool known = false;
    for (int k = 0; k < *count; ++k) known = known || best[k] == value;
    if (!known) {
        best[*count] = value;
        ++*count;
    }
    __threadfence();
    atomicExch(lock, 0);
}
