using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace CrossAlign.Models.Data.Album;

/// <summary>
/// Draws with <c>@resvg/resvg-js</c> in child processes (see <c>render.cjs</c>). The library aborts its process on a few drawings: that
/// drawing is given up and a new process goes on behind it.
/// </summary>
internal sealed class NodeIconRenderer : IIconRenderer
{
    private const int LargestSide = 1024;
    private static readonly byte[] s_greeting = "draw"u8.ToArray();

    private readonly Func<IRenderChild> _start;

    /// <summary>Prepares to draw.</summary>
    /// <param name="packagesFolder">Where the packages are and <c>render.cjs</c> lies beside <c>node_modules</c>.</param>
    /// <exception cref="UserErrorException">Node.js is not there.</exception>
    internal NodeIconRenderer(string packagesFolder)
    {
        string node = ExternalProgram.Find("node");
        string script = Path.Combine(packagesFolder, "render.cjs");
        _start = () => new NodeRenderChild(node, script);
    }

    /// <summary>Draws with children of another kind.</summary>
    /// <param name="start">Starts one.</param>
    internal NodeIconRenderer(Func<IRenderChild> start) => _start = start;

    /// <inheritdoc/>
    public void Render(IReadOnlyList<string> documents, Action<int, RenderedIcon?> drawn, CancellationToken cancellationToken)
    {
        int next = 0;
        while (next < documents.Count)
        {
            cancellationToken.ThrowIfCancellationRequested();
            next = RenderFrom(documents, next, drawn, cancellationToken);
            if (next < documents.Count)
            {
                drawn(next++, null);
            }
        }
    }

    /// <summary>Draws until the end or until the process dies.</summary>
    /// <returns>The first document that was not answered.</returns>
    private int RenderFrom(IReadOnlyList<string> documents, int first, Action<int, RenderedIcon?> drawn, CancellationToken cancellationToken)
    {
        using IRenderChild child = _start();
        using CancellationTokenRegistration stop = cancellationToken.Register(child.Stop);
        Stream answers = child.Answers;
        byte[] greeting = new byte[s_greeting.Length];
        if (answers.ReadAtLeast(greeting, greeting.Length, throwOnEndOfStream: false) < greeting.Length || !greeting.AsSpan().SequenceEqual(s_greeting))
        {
            cancellationToken.ThrowIfCancellationRequested();
            child.Stop();
            throw new UserErrorException(
                "the drawings cannot be rendered: Node.js did not load @resvg/resvg-js",
                "check that Node.js is 18 or newer and this processor is one the package has a build for")
            {
                Details = child.ReadErrors().Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries),
            };
        }

        Task writing = Task.Run(() => Feed(child.Jobs, documents, first), CancellationToken.None);
        int next = first;
        try
        {
            byte[] header = new byte[8];
            while (next < documents.Count && answers.ReadAtLeast(header, header.Length, throwOnEndOfStream: false) == header.Length)
            {
                int width = BinaryPrimitives.ReadInt32LittleEndian(header);
                int height = BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(4));
                if (width is < 0 or > LargestSide || height is < 0 or > LargestSide)
                {
                    throw new UserErrorException(
                        string.Create(CultureInfo.InvariantCulture, $"the renderer answered with a picture of {width} x {height} pixels"), "run again");
                }

                byte[] pixels = new byte[4 * width * height];
                if (answers.ReadAtLeast(pixels, pixels.Length, throwOnEndOfStream: false) < pixels.Length)
                {
                    break;
                }

                drawn(next++, pixels.Length == 0 ? null : new(width, height, pixels));
            }
        }
        finally
        {
            child.Stop();
            writing.GetAwaiter().GetResult();
        }

        cancellationToken.ThrowIfCancellationRequested();
        return next;
    }

    private static void Feed(Stream jobs, IReadOnlyList<string> documents, int first)
    {
        try
        {
            byte[] length = new byte[4];
            for (int i = first; i < documents.Count; i++)
            {
                byte[] document = Encoding.UTF8.GetBytes(documents[i]);
                BinaryPrimitives.WriteInt32LittleEndian(length, document.Length);
                jobs.Write(length);
                jobs.Write(document);
            }

            jobs.Flush();
            jobs.Close();
        }
        catch (IOException)
        {
            // The process died on a drawing; the reader sees the end of its answers and starts another one.
        }
    }
}
