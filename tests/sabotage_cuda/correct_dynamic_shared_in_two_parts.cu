// Largest element of each row and its column: values and columns in two parts of the dynamic shared memory.

__global__ void twin(const float* x, float* largest, int* where, int cols) {
    extern __shared__ float values[];
    int* columns = reinterpret_cast<int*>(values + blockDim.x);
    const int t = threadIdx.x;
    float value = __int_as_float(0xff800000);
    int column = -1;
    for (int col = t; col < cols; col += blockDim.x) {
        const float other = x[blockIdx.x * cols + col];
        if (other > value) value = other, column = col;
    }
    values[t] = value;
    columns[t] = column;
    for (int width = blockDim.x / 2; width > 0; width /= 2) {
        __syncthreads();
        if (t >= width) continue;
        const bool right = values[t + width] > values[t];
        const bool equal_and_before = values[t + width] == values[t] && columns[t + width] < columns[t];
        if (right || equal_and_before) {
            values[t] = values[t + width];
            columns[t] = columns[t + width];
        }
    }
    if (t == 0) {
        largest[blockIdx.x] = values[0];
        where[blockIdx.x] = columns[0];
    }
}
