// Attention for heads of up to 128 columns: see attention_kernels.cuh.
#include "attention_kernels.cuh"

CROSSALIGN_ATTENTION(128)
