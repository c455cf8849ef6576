using System.CommandLine;

namespace CrossAlign.Cli;

/// <summary>The options that every command takes.</summary>
internal static class GlobalOptions
{
    public static Option<bool> Json { get; } = new("--json")
    {
        Description = "One JSON document on standard output; progress goes to standard error.",
        Recursive = true,
    };

    public static Option<string?> Device { get; } = new("--device")
    {
        Description = "Where to compute: auto (a GPU where there is one, else cpu), cpu, cuda, cuda:N, or cuda-emulated, which executes the kernels on the processor.",
        Recursive = true,
    };

    public static Option<string?> Matmul { get; } = new("--matmul")
    {
        Description = "What multiplies matrices on a GPU: auto (cuBLAS where it is found), own (the program's kernels: no row depends on how many others there are) or cublas.",
        Recursive = true,
    };

    public static Option<int?> Threads { get; } = new("--threads")
    {
        Description = "Threads that compute (default: one for each processor). Results do not depend on it.",
        Recursive = true,
    };

    public static Option<long?> Seed { get; } = new("--seed")
    {
        Description = "Key of all random numbers.",
        Recursive = true,
    };

    public static Option<bool> Verbose { get; } = new("--verbose")
    {
        Description = "Say more; print the stack trace of an error.",
        Recursive = true,
    };

    public static Option<DirectoryInfo?> Cache { get; } = new("--cache")
    {
        Description = "Where fetched and prepared data is kept (default: CROSSALIGN_CACHE, else the user's cache folder).",
        Recursive = true,
    };

    public static void AddTo(RootCommand root)
    {
        NumberRange.Require(Threads, n => n >= 0, "--threads takes 0 or more");
        foreach (Option option in (Option[])[Json, Device, Matmul, Threads, Seed, Verbose, Cache])
        {
            root.Options.Add(option);
        }
    }
}
