namespace CrossAlign.Kernels.Cpu.Simd;

/// <summary>
/// A register of float32 lanes, so that an operation is written once and compiled for every width: <see cref="Float512"/>,
/// <see cref="Float256"/>, <see cref="Float128"/> and <see cref="FloatScalar"/>. All members inline to one or a few instructions.
/// </summary>
/// <typeparam name="TSelf">The implementing type.</typeparam>
internal unsafe interface ISimdFloat<TSelf>
    where TSelf : unmanaged, ISimdFloat<TSelf>
{
    /// <summary>The number of lanes.</summary>
    static abstract int Count { get; }

    static abstract TSelf Zero { get; }

    static abstract TSelf Broadcast(float value);

    /// <summary>Reads <see cref="Count"/> floats, unaligned.</summary>
    static abstract TSelf Load(float* source);

    /// <summary>Reads the first <paramref name="count"/> lanes (1 to Count); the others are zero and their memory is not touched.</summary>
    static abstract TSelf LoadPartial(float* source, int count);

    static abstract void Store(TSelf value, float* destination);

    /// <summary>Writes the first <paramref name="count"/> lanes (1 to Count) and no more.</summary>
    static abstract void StorePartial(TSelf value, float* destination, int count);

    /// <summary>Reads Count bfloat16 values and widens them.</summary>
    static abstract TSelf LoadBFloat16(ushort* source);

    /// <summary>Rounds to nearest even and writes Count bfloat16 values; a NaN stays a NaN.</summary>
    static abstract void StoreBFloat16(TSelf value, ushort* destination);

    static abstract TSelf operator +(TSelf left, TSelf right);

    static abstract TSelf operator -(TSelf left, TSelf right);

    static abstract TSelf operator *(TSelf left, TSelf right);

    static abstract TSelf operator /(TSelf left, TSelf right);

    /// <summary><c>a * b + c</c>, rounded once where the processor fuses (all tiers but Vector128 without FMA).</summary>
    static abstract TSelf MultiplyAdd(TSelf a, TSelf b, TSelf c);

    static abstract TSelf Max(TSelf left, TSelf right);

    static abstract TSelf Min(TSelf left, TSelf right);

    static abstract TSelf Sqrt(TSelf value);

    static abstract TSelf Abs(TSelf value);

    /// <summary>The magnitude of one number with the sign of another.</summary>
    static abstract TSelf CopySign(TSelf magnitude, TSelf sign);

    /// <summary>To the nearest whole number, ties to even.</summary>
    static abstract TSelf Round(TSelf value);

    /// <summary><c>value * 2^exponent</c> for whole exponents that keep the result normal; -126 to 127.</summary>
    static abstract TSelf ScaleByPowerOfTwo(TSelf value, TSelf exponent);

    /// <summary>The whole number e with <c>|value| = m 2^e</c>, 1 &lt;= m &lt; 2, of a normal number; of others it means nothing.</summary>
    static abstract TSelf Exponent(TSelf value);

    /// <summary>Lane by lane <c>left &lt; right ? ifTrue : ifFalse</c>; a NaN compares false.</summary>
    static abstract TSelf SelectLess(TSelf left, TSelf right, TSelf ifTrue, TSelf ifFalse);

    /// <summary>The sum of all lanes in double, in a fixed order.</summary>
    static abstract double Sum(TSelf value);

    /// <summary>The largest lane; NaN if a lane is NaN.</summary>
    static abstract float MaxLane(TSelf value);
}
