// all of it is in cuda_cpu.h
#pragma once
