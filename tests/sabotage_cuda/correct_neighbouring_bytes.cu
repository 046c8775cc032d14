// Threads that store to neighbouring bytes, and halves of a word, of one array: none of them touches another's.

__global__ void twin(const int* x, unsigned char* bytes, short* halves) {
    __shared__ unsigned char staged[128];
    __shared__ bool even[128];
    const int t = threadIdx.x;
    staged[t] = static_cast<unsigned char>(x[t] & 255);
    even[t] = x[t] % 2 == 0;
    bytes[2 * t] = staged[t];
    bytes[2 * t + 1] = even[t] ? 1 : 0;
    __syncthreads();
    halves[t] = static_cast<short>(staged[127 - t] + (even[127 - t] ? 1000 : 0));
}
