namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// The functions of the special function unit. The approximate ones are computed in double and then moved within the error that the PTX
/// ISA manual allows, as the launch's <see cref="Arithmetic"/> says; what is exact there is exact here.
/// </summary>
internal static class SpecialFunctions
{
    // PTX ISA 7.0, tables of floating-point instructions: maximum relative errors, and 1 unit in the last place for rcp.approx.
    private const double Ex2Error = 1.0 / (1 << 22);
    private const double Lg2Error = 1.0 / (1 << 22);
    private const double RsqrtError = 1.0 / 5_534_417;
    private const double RcpError = 1.0 / (1 << 23);
    private const double SqrtError = 1.0 / (1 << 22);
    private const double DivError = 1.0 / (1 << 22);
    private const double TanhError = 1.0 / (1 << 11);

    internal readonly struct Ex2 : IUnaryLane<float, float>
    {
        public static float Apply(float a, PtxOp op, Warp warp) =>
            Flush(Vary(Math.Pow(2, FlushIn(a, op)), Ex2Error, a, warp), op);
    }

    internal readonly struct Lg2 : IUnaryLane<float, float>
    {
        public static float Apply(float a, PtxOp op, Warp warp)
        {
            double exact = Math.Log2(FlushIn(a, op));

            // Near 1 the bound is absolute.
            return a is > 0.5f and < 2f && exact != 0
                ? (float)(exact + (Scatter(a, warp) * Lg2Error))
                : Flush(Vary(exact, Lg2Error, a, warp), op);
        }
    }

    internal readonly struct Rsqrt : IUnaryLane<float, float>
    {
        public static float Apply(float a, PtxOp op, Warp warp) => Flush(Vary(1 / Math.Sqrt(FlushIn(a, op)), RsqrtError, a, warp), op);
    }

    internal readonly struct RcpApprox : IUnaryLane<float, float>
    {
        public static float Apply(float a, PtxOp op, Warp warp) => Flush(Vary(1.0 / FlushIn(a, op), RcpError, a, warp), op);
    }

    internal readonly struct SqrtApprox : IUnaryLane<float, float>
    {
        public static float Apply(float a, PtxOp op, Warp warp) => Flush(Vary(Math.Sqrt(FlushIn(a, op)), SqrtError, a, warp), op);
    }

    internal readonly struct TanhApprox : IUnaryLane<float, float>
    {
        public static float Apply(float a, PtxOp op, Warp warp) => Vary(Math.Tanh(a), TanhError, a, warp);
    }

    internal readonly struct SqrtExact : IUnaryLane<float, float>
    {
        public static float Apply(float a, PtxOp op, Warp warp) => MathF.Sqrt(a);
    }

    internal readonly struct RcpExact : IUnaryLane<float, float>
    {
        public static float Apply(float a, PtxOp op, Warp warp) => 1f / a;
    }

    internal readonly struct SqrtDouble : IUnaryLane<double, double>
    {
        public static double Apply(double a, PtxOp op, Warp warp) => Math.Sqrt(a);
    }

    internal readonly struct RcpDouble : IUnaryLane<double, double>
    {
        public static double Apply(double a, PtxOp op, Warp warp) => 1 / a;
    }

    /// <summary>div.approx and div.full: 2 units in the last place.</summary>
    public static unsafe void DivideApprox(Warp warp, PtxOp op)
    {
        float* a = (float*)(warp.R + op.A);
        float* b = (float*)(warp.R + op.B);
        float* d = (float*)(warp.R + op.D);
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = System.Numerics.BitOperations.TrailingZeroCount(m);
            d[lane] = Vary((double)a[lane] / b[lane], DivError, b[lane], warp);
        }
    }

    private static double FlushIn(float a, PtxOp op) => op.Immediate != 0 && Math.Abs(a) < 1.17549435e-38f ? a < 0 || float.IsNegative(a) ? -0.0 : 0.0 : a;

    private static float Flush(float a, PtxOp op) => op.Immediate != 0 && Math.Abs(a) < 1.17549435e-38f ? 0 * a : a;

    // Exact results (powers of two, infinities, zero) stay what they are: no device is known to miss ex2(0) = 1.
    private static float Vary(double exact, double error, float operand, Warp warp)
    {
        float nearest = (float)exact;
        return exact == nearest || !double.IsFinite(exact) || warp.Block.Launch.Arithmetic == Arithmetic.Sequential
            ? nearest
            : (float)(exact * (1 + (Scatter(operand, warp) * error)));
    }

    // Between -1 and 1, a function of the operand as on hardware; rounding the result to float32 afterwards costs 2^-24, left free here.
    private static double Scatter(float operand, Warp warp)
    {
        const double share = 0.74;
        switch (warp.Block.Launch.Arithmetic)
        {
            case Arithmetic.Sequential:
                return 0;
            case Arithmetic.TruncatedBy4:
                return share;
            case Arithmetic.TruncatedBy8:
                return -share;
            default:
                uint hash = (BitConverter.SingleToUInt32Bits(operand) ^ (uint)warp.Block.Launch.Seed) * 0x9E3779B1;
                hash ^= hash >> 15;
                hash *= 0x85EBCA77;
                return share * ((hash >> 8) / (double)(1 << 23) - 1);
        }
    }
}
