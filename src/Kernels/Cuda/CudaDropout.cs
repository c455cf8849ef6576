using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>Launches <c>dropout.cu</c>: a warp a row, four warps a block. A rate of zero is a copy.</summary>
internal static class CudaDropout
{
    // As in dropout.cu.
    private const int WarpsPerBlock = 4;
    private const int ThreadsPerBlock = 128;
    private const int AccessBytes = 16;

    public static void Run(in Tensor input, in Tensor output, in DropoutSite site)
    {
        CudaDevice device = (CudaDevice)input.Device;
        if (!site.IsActive)
        {
            if (input.Address != output.Address)
            {
                device.Copy(input, output);
            }

            return;
        }

        int n = input.Shape[0];
        KernelArguments arguments = default;
        arguments.Add(input);
        arguments.Add(output);
        arguments.Add(site.TokenKeys);
        arguments.AddLiveRows(input, output);
        arguments.Add(n);
        arguments.Add(input.Shape[1]);
        AddKey(ref arguments, site);
        arguments.Add((site.Site << 10) | DropoutSite.MaxHeads);

        // k 2^-24 >= rate for whole k just if k >= ceil(rate 2^24); the product is exact in double.
        arguments.Add((uint)Math.Ceiling(site.Rate * (double)(1 << 24)));
        arguments.Add((float)(1 / (1 - (double)site.Rate)));
        arguments.Add(CudaKernels.IsWide(input.Shape[1], AccessBytes / input.DType.ByteSize(), input, output));
        device.Launch(
            CudaKernels.Get(device, "dropout", input.DType == DType.Float32 ? "dropout_f32" : "dropout_bf16"),
            CudaKernels.Blocks(n, WarpsPerBlock),
            ThreadsPerBlock,
            ref arguments);
    }

    /// <summary>The two arguments that <c>dropout_key</c> of <c>philox.cuh</c> takes.</summary>
    public static void AddKey(ref KernelArguments arguments, in DropoutSite site)
    {
        arguments.Add(site.StoredKey);
        arguments.Add(site.Key);
    }
}
