using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>
/// The shipped kernels with words and characters taken away, doubled, exchanged or thrown in, by fixed seeds: each loads or is refused by a
/// check that was made for it.
/// </summary>
public sealed class PtxMutationTests
{
    private static readonly char[] s_characters = [.. ".,;:{}[]()<>@!%+-|\"0f \n$"];

    [Fact]
    public void EveryShippedModuleLoads()
    {
        string[] files = [.. Directory.EnumerateFiles(Folder, "*.ptx").Order(StringComparer.Ordinal)];
        Assert.NotEmpty(files);
        Assert.All(files, f => Assert.NotEmpty(PtxLoader.Load(File.ReadAllText(f), 80).Kernels));
    }

    [Theory]
    [InlineData("layernorm")]
    [InlineData("attention_32")]
    [InlineData("similarity_cross_entropy")]
    [InlineData("adamw")]
    public void AMutatedKernelLoadsOrIsRefused(string stem)
    {
        string kernel = ShortestKernel(File.ReadAllText(Path.Combine(Folder, $"{stem}.ptx")));
        int refused = 0;
        for (ulong seed = 0; seed < 100; seed++)
        {
            string mutant = Mutate(kernel, new CounterRandom(seed, 0x97, 0));
            try
            {
                PtxLoader.Load(mutant, 80);
            }
            catch (PtxException e)
            {
                refused++;
                Assert.True(e.InnerException is null, $"seed {seed}: {e.InnerException}");
                Assert.False(string.IsNullOrEmpty(e.Message));
            }
        }

        Assert.InRange(refused, 20, 100);
    }

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "kernels-cu", "ptx");

    // The head of the module and its shortest kernel, so that a mutation is likely to hit something.
    private static string ShortestKernel(string text)
    {
        string[] kernels = text.Split(".visible .entry");
        Assert.True(kernels.Length > 1);
        string shortest = kernels.Skip(1).MinBy(k => k.Length)!;
        int section = shortest.IndexOf(".file", StringComparison.Ordinal);
        return $"{kernels[0]}.visible .entry{(section < 0 ? shortest : shortest[..section])}";
    }

    private static string Mutate(string text, CounterRandom random)
    {
        int changes = 1 + random.Next(3);
        for (int i = 0; i < changes; i++)
        {
            int at = random.Next(text.Length);
            char thrown = s_characters[random.Next(s_characters.Length)];
            (int start, int end) = WordAt(text, at);
            (int otherStart, int otherEnd) = WordAt(text, random.Next(text.Length));
            string word = text[start..end];
            text = random.Next(8) switch
            {
                0 => text.Remove(at, 1),
                1 => text.Insert(at, text[at].ToString()),
                2 => text.Insert(at, thrown.ToString()),
                3 => $"{text[..at]}{thrown}{text[(at + 1)..]}",
                4 => text.Remove(start, end - start),
                5 => text.Insert(end, $" {word}"),
                6 => text[..at],
                _ => $"{text[..start]}{text[otherStart..otherEnd]}{text[end..]}",
            };
            text = text.Length == 0 ? " " : text;
        }

        return text;
    }

    private static (int Start, int End) WordAt(string text, int at)
    {
        int start = at;
        int end = at;
        while (start > 0 && !char.IsWhiteSpace(text[start - 1]))
        {
            start--;
        }

        while (end < text.Length && !char.IsWhiteSpace(text[end]))
        {
            end++;
        }

        return (start, Math.Max(end, start));
    }
}
