using System.Runtime.InteropServices;
using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda.Native;

namespace CrossAlign.Kernels.Tests;

/// <summary>Operations on a CUDA device are named ranges where NVTX is present: the forwarding library of the tests stands for it.</summary>
public sealed class CudaNamedRangesTests(CudaBackend backend) : IClassFixture<CudaBackend>
{
    [Fact]
    public unsafe void AnOperationIsARangeOfItsName()
    {
        Tensor x = backend.Upload(DType.Float32, new Shape(1, 4), [1, 2, 3, 4]);
        Residual.Add(x, x, x);
        Assert.Equal([2f, 4, 6, 8], backend.Download(x));
        if (CudaLibraries.NvtxSource is not { } source || !NativeLibrary.TryGetExport(NativeLibrary.Load(source), "crossalign_ranges", out nint export))
        {
            // A real GPU, with or without the real library, which tells nobody but a profiler: that the operation ran is all there is to see.
            return;
        }

        int open;
        byte* last;
        Assert.True(((delegate* unmanaged[Cdecl]<int*, byte**, int>)export)(&open, &last) > 0);
        Assert.Equal(0, open);
        Assert.Equal("Residual.Add", Marshal.PtrToStringUTF8((nint)last));
    }
}
