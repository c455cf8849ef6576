using System.Diagnostics;

namespace CrossAlign.Models.Data.Album;

/// <summary>A process that speaks the protocol of <c>render.cjs</c> and may die at any time.</summary>
internal interface IRenderChild : IDisposable
{
    /// <summary>Takes documents; throws <see cref="IOException"/> when the process is gone.</summary>
    Stream Jobs { get; }

    /// <summary>Gives pictures; ends when the process is gone.</summary>
    Stream Answers { get; }

    /// <summary>Ends the process; one that has ended is left alone.</summary>
    void Stop();

    /// <summary>What it wrote to standard error, once it has ended.</summary>
    string ReadErrors();
}

/// <summary>Node.js running <c>render.cjs</c>.</summary>
internal sealed class NodeRenderChild : IRenderChild
{
    private readonly Process _process;
    private readonly Task<string> _errors;

    /// <summary>Starts it.</summary>
    /// <exception cref="UserErrorException">It does not start.</exception>
    internal NodeRenderChild(string node, string script)
    {
        _process = ExternalProgram.Start(node, [script], Path.GetDirectoryName(script)!);
        _errors = _process.StandardError.ReadToEndAsync(CancellationToken.None);
    }

    /// <inheritdoc/>
    public Stream Jobs => _process.StandardInput.BaseStream;

    /// <inheritdoc/>
    public Stream Answers => _process.StandardOutput.BaseStream;

    /// <inheritdoc/>
    public void Stop() => ExternalProgram.Stop(_process);

    /// <inheritdoc/>
    public string ReadErrors() => _errors.GetAwaiter().GetResult();

    /// <inheritdoc/>
    public void Dispose() => _process.Dispose();
}
