namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>PTX text that the emulated device cannot take: a syntax that it does not know or an instruction that it does not have.</summary>
/// <param name="line">The line of the text, from 1.</param>
/// <param name="message">What is wrong; names the instruction.</param>
/// <param name="inner">What was thrown where no check had foreseen it, or null.</param>
internal sealed class PtxException(int line, string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The line of the PTX text, from 1.</summary>
    public int Line { get; } = line;
}
