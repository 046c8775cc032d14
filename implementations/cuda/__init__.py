"""CUDA C++ kernels (*.cu) and their host sides, which run on two devices: a GPU through CuPy, and the CPU device."""
