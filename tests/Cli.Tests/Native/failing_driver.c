/* A CUDA driver that takes every call and does nothing, but for the one that FAILING_CALL names, which returns FAILING_RESULT: what a person
   meets on a machine whose driver or GPU fails. Built by the test; never on a load path of the program. */
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static long next = 1;
static unsigned long long address = 1 << 20;

static int result(const char *call)
{
    const char *failing = getenv("FAILING_CALL");
    return failing != NULL && strcmp(failing, call) == 0 ? atoi(getenv("FAILING_RESULT")) : 0;
}

static int handle(const char *call, void **made)
{
    *made = (void *)next++;
    return result(call);
}

EXPORT int cuInit(unsigned flags) { return flags != 0 ? 1 : result("cuInit"); }
EXPORT int cuDriverGetVersion(int *version) { const char *old = getenv("FAILING_VERSION"); *version = old != NULL ? atoi(old) : 12040; return 0; }
EXPORT int cuDeviceGetCount(int *count) { *count = getenv("FAILING_COUNT") == NULL; return 0; }
EXPORT int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
EXPORT int cuDeviceGetName(char *name, int size, int device) { (void)device; strncpy(name, "Failing GPU", size); return 0; }
EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = (size_t)1 << 33; return 0; }
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    const char *major = getenv("FAILING_MAJOR");
    (void)device;
    *value = attribute == 75 ? (major != NULL ? atoi(major) : 8) : attribute == 76 ? 0 : attribute == 97 ? 163 * 1024 : attribute == 6 ? 65535 : 108;
    return 0;
}

EXPORT int cuDevicePrimaryCtxRetain(void **context, int device) { (void)device; return handle("cuDevicePrimaryCtxRetain", context); }
EXPORT int cuDevicePrimaryCtxRelease_v2(int device) { (void)device; return 0; }
EXPORT int cuCtxSetCurrent(void *context) { (void)context; return 0; }
EXPORT int cuModuleLoadData(void **module, const char *image) { (void)image; return handle("cuModuleLoadData", module); }
EXPORT int cuModuleUnload(void *module) { (void)module; return 0; }
EXPORT int cuModuleGetFunction(void **function, void *module, const char *name) { (void)module; (void)name; return handle("cuModuleGetFunction", function); }
EXPORT int cuFuncSetAttribute(void *function, int attribute, int value) { (void)function; (void)attribute; (void)value; return 0; }
EXPORT int cuLaunchKernel(
    void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream, void **parameters, void **extra)
{
    (void)f; (void)gx; (void)gy; (void)gz; (void)bx; (void)by; (void)bz; (void)shared; (void)stream; (void)parameters; (void)extra;
    return result("cuLaunchKernel");
}

EXPORT int cuMemAlloc_v2(unsigned long long *taken, size_t bytes) { *taken = address; address += (bytes + 511) / 512 * 512; return result("cuMemAlloc_v2"); }
EXPORT int cuMemFree_v2(unsigned long long freed) { (void)freed; return 0; }
EXPORT int cuMemAllocHost_v2(void **taken, size_t bytes) { *taken = calloc(1, bytes); return 0; }
EXPORT int cuMemFreeHost(void *freed) { free(freed); return 0; }
EXPORT int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *stream) { (void)to; (void)from; (void)bytes; (void)stream; return 0; }
EXPORT int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *stream) { (void)from; (void)stream; memset(to, 0, bytes); return 0; }
EXPORT int cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, size_t bytes, void *stream) { (void)to; (void)from; (void)bytes; (void)stream; return 0; }
EXPORT int cuMemsetD8Async(unsigned long long to, unsigned char value, size_t bytes, void *stream) { (void)to; (void)value; (void)bytes; (void)stream; return 0; }
EXPORT int cuStreamCreate(void **stream, unsigned flags) { (void)flags; return handle("cuStreamCreate", stream); }
EXPORT int cuStreamDestroy_v2(void *stream) { (void)stream; return 0; }
EXPORT int cuStreamSynchronize(void *stream) { (void)stream; return result("cuStreamSynchronize"); }
EXPORT int cuGetErrorName(int error, const char **name)
{
    switch (error)
    {
        case 2: *name = "CUDA_ERROR_OUT_OF_MEMORY"; break;
        case 209: *name = "CUDA_ERROR_NO_BINARY_FOR_GPU"; break;
        case 222: *name = "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"; break;
        case 700: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
        case 701: *name = "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"; break;
        default: return 1;
    }

    return 0;
}
