/* Exports the entry points of the CUDA driver and of cuBLAS that the program binds, and forwards each through a table of function pointers
   that the test puts in place: so the LibraryImport binding itself, its symbol names, parameter order and calling convention, runs
   against the emulated device. Built by the test; never on a load path of the program. */
#include <stddef.h>
#include <string.h>

typedef void (*entry)(void);
enum { COUNT = 52 };
static entry table[COUNT];

__attribute__((visibility("default"))) int crossalign_forward(entry *entries, int count)
{
    if (count != COUNT)
    {
        return COUNT;
    }

    for (int i = 0; i < count; i++)
    {
        table[i] = entries[i];
    }

    return 0;
}

#define FORWARD(INDEX, NAME, PARAMETERS, ARGUMENTS) \
    __attribute__((visibility("default"))) int NAME PARAMETERS { return ((int (*) PARAMETERS)table[INDEX])ARGUMENTS; }

FORWARD(0, cuInit, (unsigned flags), (flags))
FORWARD(1, cuDriverGetVersion, (int *version), (version))
FORWARD(2, cuDeviceGetCount, (int *count), (count))
FORWARD(3, cuDeviceGet, (int *device, int ordinal), (device, ordinal))
FORWARD(4, cuDeviceGetName, (char *name, int byteCount, int device), (name, byteCount, device))
FORWARD(5, cuDeviceTotalMem_v2, (size_t *byteCount, int device), (byteCount, device))
FORWARD(6, cuDeviceGetAttribute, (int *value, int attribute, int device), (value, attribute, device))
FORWARD(7, cuDevicePrimaryCtxRetain, (void **context, int device), (context, device))
FORWARD(8, cuDevicePrimaryCtxRelease_v2, (int device), (device))
FORWARD(9, cuDevicePrimaryCtxReset_v2, (int device), (device))
FORWARD(10, cuCtxSetCurrent, (void *context), (context))
FORWARD(11, cuCtxSynchronize, (void), ())
FORWARD(12, cuMemGetInfo_v2, (size_t *freeByteCount, size_t *totalByteCount), (freeByteCount, totalByteCount))
FORWARD(13, cuModuleLoadData, (void **module, char *image), (module, image))
FORWARD(14, cuModuleUnload, (void *module), (module))
FORWARD(15, cuModuleGetFunction, (void **function, void *module, char *name), (function, module, name))
FORWARD(16, cuFuncSetAttribute, (void *function, int attribute, int value), (function, attribute, value))
FORWARD(17, cuFuncGetAttribute, (int *value, int attribute, void *function), (value, attribute, function))
FORWARD(18, cuOccupancyMaxActiveBlocksPerMultiprocessor, (int *blockCount, void *function, int threadsPerBlock, size_t dynamicSharedByteCount), (blockCount, function, threadsPerBlock, dynamicSharedByteCount))
FORWARD(19, cuLaunchKernel, (void *function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedByteCount, void *stream, void **parameters, void **extra), (function, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedByteCount, stream, parameters, extra))
FORWARD(20, cuMemAlloc_v2, (unsigned long long *address, size_t byteCount), (address, byteCount))
FORWARD(21, cuMemFree_v2, (unsigned long long address), (address))
FORWARD(22, cuMemAllocHost_v2, (void **address, size_t byteCount), (address, byteCount))
FORWARD(23, cuMemFreeHost, (void *address), (address))
FORWARD(24, cuMemcpyHtoDAsync_v2, (unsigned long long destination, void *source, size_t byteCount, void *stream), (destination, source, byteCount, stream))
FORWARD(25, cuMemcpyDtoHAsync_v2, (void *destination, unsigned long long source, size_t byteCount, void *stream), (destination, source, byteCount, stream))
FORWARD(26, cuMemcpyDtoDAsync_v2, (unsigned long long destination, unsigned long long source, size_t byteCount, void *stream), (destination, source, byteCount, stream))
FORWARD(27, cuMemsetD8Async, (unsigned long long destination, unsigned char value, size_t byteCount, void *stream), (destination, value, byteCount, stream))
FORWARD(28, cuStreamCreate, (void **stream, unsigned flags), (stream, flags))
FORWARD(29, cuStreamDestroy_v2, (void *stream), (stream))
FORWARD(30, cuStreamSynchronize, (void *stream), (stream))
FORWARD(31, cuStreamWaitEvent, (void *stream, void *event, unsigned flags), (stream, event, flags))
FORWARD(32, cuStreamBeginCapture_v2, (void *stream, int mode), (stream, mode))
FORWARD(33, cuStreamEndCapture, (void *stream, void **graph), (stream, graph))
#ifdef DRIVER_OF_CUDA_11_0
/* Such a driver has no call with flags. */
__attribute__((visibility("default"))) int cuGraphInstantiate_v2(void **executable, void *graph, void **errorNode, char *log, size_t logByteCount)
{
    if (errorNode != NULL || log != NULL || logByteCount != 0)
    {
        return 1;
    }

    return ((int (*)(void **, void *, unsigned long long))table[34])(executable, graph, 0);
}
#else
FORWARD(34, cuGraphInstantiateWithFlags, (void **executable, void *graph, unsigned long long flags), (executable, graph, flags))
#endif
FORWARD(35, cuGraphLaunch, (void *executable, void *stream), (executable, stream))
FORWARD(36, cuGraphExecDestroy, (void *executable), (executable))
FORWARD(37, cuGraphDestroy, (void *graph), (graph))
FORWARD(38, cuEventCreate, (void **event, unsigned flags), (event, flags))
FORWARD(39, cuEventRecord, (void *event, void *stream), (event, stream))
FORWARD(40, cuEventSynchronize, (void *event), (event))
FORWARD(41, cuEventElapsedTime, (float *elapsedMs, void *start, void *end), (elapsedMs, start, end))
FORWARD(42, cuEventDestroy_v2, (void *event), (event))
FORWARD(43, cuGetErrorName, (int error, char **name), (error, name))
FORWARD(44, cublasCreate_v2, (void **handle), (handle))
FORWARD(45, cublasDestroy_v2, (void *handle), (handle))
FORWARD(46, cublasGetVersion_v2, (void *handle, int *version), (handle, version))
FORWARD(47, cublasSetStream_v2, (void *handle, void *stream), (handle, stream))
FORWARD(48, cublasSetWorkspace_v2, (void *handle, unsigned long long workspace, size_t byteCount), (handle, workspace, byteCount))
FORWARD(49, cublasSetMathMode, (void *handle, int mode), (handle, mode))
FORWARD(50, cublasGemmEx, (void *handle, int transposeA, int transposeB, int m, int n, int k, void *alpha, unsigned long long a, int typeA, int lda, unsigned long long b, int typeB, int ldb, void *beta, unsigned long long c, int typeC, int ldc, int computeType, int algorithm), (handle, transposeA, transposeB, m, n, k, alpha, a, typeA, lda, b, typeB, ldb, beta, c, typeC, ldc, computeType, algorithm))
FORWARD(51, cublasGemmStridedBatchedEx, (void *handle, int transposeA, int transposeB, int m, int n, int k, void *alpha, unsigned long long a, int typeA, int lda, long long strideA, unsigned long long b, int typeB, int ldb, long long strideB, void *beta, unsigned long long c, int typeC, int ldc, long long strideC, int batchCount, int computeType, int algorithm), (handle, transposeA, transposeB, m, n, k, alpha, a, typeA, lda, strideA, b, typeB, ldb, strideB, beta, c, typeC, ldc, strideC, batchCount, computeType, algorithm))

/* Named ranges (NVTX) have no emulated side: what the binding hands over is kept for the test to look at. Each thread has its own, as with
   the real library: tests of other classes push theirs meanwhile. */
static __thread int ranges;
static __thread int depth;
static __thread char last_range[128];

__attribute__((visibility("default"))) int nvtxRangePushA(const char *name)
{
    strncpy(last_range, name, sizeof last_range - 1);
    ranges++;
    return depth++;
}

__attribute__((visibility("default"))) int nvtxRangePop(void) { return --depth; }

__attribute__((visibility("default"))) int crossalign_ranges(int *open, const char **last)
{
    *open = depth;
    *last = last_range;
    return ranges;
}
