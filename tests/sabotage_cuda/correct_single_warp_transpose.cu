// A warp transposes 32 x 32 elements through a padded tile with __syncwarp alone: no other warp touches its tile.

__global__ void twin(const int* x, int* y) {
    __shared__ int tiles[2][32][33];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int first = (blockIdx.x * 2 + warp) * 1024;
    for (int row = 0; row < 32; ++row) tiles[warp][row][lane] = x[first + row * 32 + lane];
    __syncwarp();
    for (int row = 0; row < 32; ++row) y[first + row * 32 + lane] = tiles[warp][lane][row];
}
