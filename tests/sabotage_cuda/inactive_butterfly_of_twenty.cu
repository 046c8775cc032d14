// Largest of 20 channels, one warp a pixel. The butterfly's partners of lanes 4 to 19 are lanes that take no part.

constexpr int CHANNELS = 20;

__global__ void planted(const float* x, int* brightest) {
    const int lane = threadIdx.x;
    if (lane >= CHANNELS) return;
    const unsigned mask = (1u << CHANNELS) - 1;
    float value = x[blockIdx.x * CHANNELS + lane];
    int channel = lane;
    for (int offset = 16; offset > 0; offset /= 2) {
        const float other = __shfl_xor_sync(mask, value, offset);           // BUG
        const int other_channel = __shfl_xor_sync(mask, channel, offset);  // BUG
        if (other > value || (other == value && other_channel < channel)) value = other, channel = other_channel;
    }
    if (lane == 0) brightest[blockIdx.x] = channel;
}

__global__ void twin(const float* x, int* brightest) {
    const int lane = threadIdx.x;
    float value = lane < CHANNELS ? x[blockIdx.x * CHANNELS + lane] : __int_as_float(0xff800000);
    int channel = lane;
    for (int offset = 16; offset > 0; offset /= 2) {
        const float other = __shfl_xor_sync(0xffffffffu, value, offset);
        const int other_channel = __shfl_xor_sync(0xffffffffu, channel, offset);
        if (other > value || (other == value && other_channel < channel)) value = other, channel = other_channel;
    }
    if (lane == 0) brightest[blockIdx.x] = channel;
}
