using System.Globalization;
using System.Runtime.InteropServices;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>
/// A kernel of a few lines of PTX on the emulated device. Ready for the body: %r1 the thread, %r2 the block, %rd1 and %rd2 the input's and
/// output's addresses, %rd3 and %rd4 those of the thread's own word in them, and <c>tile</c>, an array in shared memory.
/// </summary>
internal sealed class PtxBench : IDisposable
{
    private readonly CudaModule _module;

    public PtxBench(string body, EmulationOptions? options = null, int sharedByteCount = 1024)
    {
        Device = CudaDevice.Emulate(options ?? new EmulationOptions());
        _module = Device.LoadModule("bench", Wrap(body, sharedByteCount));
    }

    public CudaDevice Device { get; }

    public EmulatedDriver Emulation => Device.Emulation!;

    public static string Wrap(string body, int sharedByteCount = 1024, string version = "7.0", string target = "sm_80") => string.Create(
        CultureInfo.InvariantCulture,
        $$"""
        .version {{version}}
        .target {{target}}
        .address_size 64
        .visible .entry bench(
            .param .u64 bench_param_0,
            .param .u64 bench_param_1
        )
        {
            .reg .pred %p<16>;
            .reg .b16 %rs<16>;
            .reg .b32 %r<64>;
            .reg .f32 %f<64>;
            .reg .f64 %fd<16>;
            .reg .b64 %rd<32>;
            .shared .align 16 .b8 tile[{{sharedByteCount}}];
            .shared .align 16 .b8 unused[16];
            ld.param.u64 %rd1, [bench_param_0];
            ld.param.u64 %rd2, [bench_param_1];
            mov.u32 %r1, %tid.x;
            mov.u32 %r2, %ctaid.x;
            mul.wide.u32 %rd5, %r1, 4;
            add.s64 %rd3, %rd1, %rd5;
            add.s64 %rd4, %rd2, %rd5;
            shl.b32 %r3, %r1, 2;
            {{body}}
            ret;
        }
        """);

    /// <summary>Runs the kernel and returns the output, as many words as asked for.</summary>
    public uint[] Run(ReadOnlySpan<uint> input, int outputCount, int threads = 32, int blocks = 1)
    {
        Tensor source = Device.NewTensor(DType.Int32, new Shape(Math.Max(input.Length, 1)));
        Tensor output = Device.NewTensor(DType.Int32, new Shape(outputCount));
        source.Rows(0, input.Length).CopyFrom(MemoryMarshal.Cast<uint, int>(input));
        KernelArguments arguments = default;
        arguments.Add(source);
        arguments.Add(output);
        Device.Launch(_module.Kernel("bench"), blocks, threads, ref arguments);
        uint[] result = Array.ConvertAll(output.ToArray<int>(), v => (uint)v);
        source.Memory.Dispose();
        output.Memory.Dispose();
        return result;
    }

    /// <summary>What one instruction makes of values, a lane each: <c>%r10</c> to <c>%r12</c> (also %f10 to %f12) in, <c>%r20</c> or <c>%f20</c> out.</summary>
    public static uint[] Evaluate(string instruction, uint[] a, uint[]? b = null, uint[]? c = null, EmulationOptions? options = null)
    {
        bool single = instruction.Contains("%f20", StringComparison.Ordinal);
        string body = $"""
            ld.global.u32 %r10, [%rd3];
            ld.global.u32 %r11, [%rd3+128];
            ld.global.u32 %r12, [%rd3+256];
            mov.b32 %f10, %r10;
            mov.b32 %f11, %r11;
            mov.b32 %f12, %r12;
            {instruction}
            {(single ? "mov.b32 %r20, %f20;" : string.Empty)}
            st.global.u32 [%rd4], %r20;
            """;
        using PtxBench bench = new(body, options);
        uint[] input = new uint[96];
        a.CopyTo(input, 0);
        b?.CopyTo(input, 32);
        c?.CopyTo(input, 64);
        return bench.Run(input, 32)[..a.Length];
    }

    public void Dispose()
    {
        _module.Dispose();
        Device.Dispose();
    }
}
