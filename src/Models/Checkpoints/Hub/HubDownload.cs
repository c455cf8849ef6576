using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace CrossAlign.Models.Checkpoints.Hub;

/// <summary>
/// One file from the hub to the disk. What has come stays in <c>FILE.part</c>, and the next try asks for the rest; the file gets its name when
/// its size and checksum are the hub's.
/// </summary>
/// <param name="client">The hub.</param>
/// <param name="options">How patient to be.</param>
/// <param name="advance">Told how many bytes have come; negative where some are thrown away.</param>
internal sealed class HubDownload(HubClient client, HubOptions options, Action<long> advance)
{
    private const int BufferBytes = 1 << 17;

    /// <summary>Fetches a file unless it is there and whole.</summary>
    /// <param name="file">The file as the hub's list has it.</param>
    /// <param name="uri">Its address.</param>
    /// <param name="path">Where to.</param>
    /// <param name="cancellationToken">Stops the work; what has come is kept.</param>
    /// <returns>The file with its size and checksum, and how many bytes came over the network.</returns>
    /// <exception cref="UserErrorException">The hub refuses, cannot be reached, or gives other bytes than it says.</exception>
    public async Task<(HubFile File, long Fetched)> FetchAsync(HubFile file, Uri uri, string path, CancellationToken cancellationToken)
    {
        if (File.Exists(path))
        {
            if (Mismatch(file, path) is null)
            {
                advance(new FileInfo(path).Length);
                return (file, 0);
            }

            File.Delete(path);
        }

        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        string partial = path + ".part";
        long fetched = 0;
        for (bool again = false; ; again = true)
        {
            (file, long count) = await FillAsync(file, uri, partial, cancellationToken).ConfigureAwait(false);
            fetched += count;
            if (Mismatch(file, partial) is not string problem)
            {
                File.Move(partial, path, overwrite: true);
                return (file, fetched);
            }

            // An earlier, broken part may be to blame: once from the start.
            advance(-new FileInfo(partial).Length);
            File.Delete(partial);
            if (again)
            {
                throw new UserErrorException($"'{file.Path}' {problem}", "try again later; if it stays so, tell the model's owner");
            }
        }
    }

    // Null for a whole file.
    private static string? Mismatch(HubFile file, string path)
    {
        using FileStream stream = File.OpenRead(path);
        if (file.ByteCount is long size && stream.Length != size)
        {
            return string.Create(CultureInfo.InvariantCulture, $"came with {stream.Length} bytes, and the hub says {size}");
        }

        if (file.Sha256 is not null)
        {
            string sha256 = Convert.ToHexStringLower(SHA256.HashData(stream));
            return sha256.Equals(file.Sha256, StringComparison.OrdinalIgnoreCase) ? null : $"came with the SHA-256 {sha256}, and the hub says {file.Sha256}";
        }

        if (file.GitSha1 is null)
        {
            return file.Path.EndsWith(".safetensors", StringComparison.Ordinal) ? "has no checksum at the hub" : null;
        }

#pragma warning disable CA5350 // not a signature: the hub names small files by it, as git does
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
#pragma warning restore CA5350
        hash.AppendData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"blob {stream.Length}\0")));
        byte[] buffer = new byte[BufferBytes];
        for (int read; (read = stream.Read(buffer)) > 0;)
        {
            hash.AppendData(buffer, 0, read);
        }

        string sha1 = Convert.ToHexStringLower(hash.GetHashAndReset());
        return sha1.Equals(file.GitSha1, StringComparison.OrdinalIgnoreCase) ? null : $"came with the git name {sha1}, and the hub says {file.GitSha1}";
    }

    private async Task<(HubFile File, long Fetched)> FillAsync(HubFile file, Uri uri, string partial, CancellationToken cancellationToken)
    {
        using FileStream stream = new(partial, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.Asynchronous);
        if (stream.Length > file.ByteCount)
        {
            stream.SetLength(0);
        }

        long fetched = 0;

        // How far the file was at the failure that got farthest: a server that begins anew each time, and breaks off each time, gets nowhere.
        long farthest = 0;
        advance(stream.Length);
        for (int failures = 0; file.ByteCount is null || stream.Length < file.ByteCount;)
        {
            long before = stream.Length;
            Exception? failure = null;
            using HubReply reply = (await client.GetAsync(uri, $"file '{file.Path}'", before, optional: false, cancellationToken).ConfigureAwait(false))!;
            file = file with
            {
                ByteCount = file.ByteCount ?? (reply.Message.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable ? reply.Message.Content.Headers.ContentRange?.Length : reply.ByteCount),
                Sha256 = file.Sha256 ?? reply.Sha256,
                GitSha1 = file.GitSha1 ?? (file.Sha256 is null ? reply.GitSha1 : null),
            };
            bool goesOn = reply.Message.StatusCode == HttpStatusCode.PartialContent && reply.Message.Content.Headers.ContentRange?.From == before;
            if (before > 0 && !goesOn)
            {
                // The server does not do ranges, or has no such range.
                advance(-before);
                stream.SetLength(before = 0);
            }

            if (reply.Message.StatusCode != HttpStatusCode.RequestedRangeNotSatisfiable)
            {
                try
                {
                    stream.Position = before;
                    await CopyAsync(reply, file, stream, cancellationToken).ConfigureAwait(false);
                }
                catch (Exception e) when (HubClient.IsNetworkFailure(e, cancellationToken))
                {
                    failure = e;
                }
            }

            fetched += stream.Length - before;
            if (failure is null && file.ByteCount is null)
            {
                break;
            }

            if (stream.Length < file.ByteCount || (failure is not null && file.ByteCount is null))
            {
                failures = stream.Length > farthest ? 1 : failures + 1;
                farthest = Math.Max(farthest, stream.Length);
                await client.PauseAsync(failures, null, $"the connection breaks while '{file.Path}' comes", failure, cancellationToken).ConfigureAwait(false);
            }
        }

        return (file, fetched);
    }

    // Never more than the size that is known of the file, whatever the server goes on to send.
    private async Task CopyAsync(HubReply reply, HubFile file, FileStream stream, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[BufferBytes];
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Stream source = await reply.Message.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        await using (source.ConfigureAwait(false))
        {
            while (true)
            {
                patience.CancelAfter(options.Silence);
                int read = await source.ReadAsync(buffer, patience.Token).ConfigureAwait(false);
                if (read == 0)
                {
                    return;
                }

                if (stream.Position + read > file.ByteCount)
                {
                    advance(-stream.Length);
                    stream.SetLength(0);
                    throw new UserErrorException(
                        string.Create(CultureInfo.InvariantCulture, $"'{file.Path}' comes with more than the {file.ByteCount} bytes that the hub says it has"),
                        "try again later; if it stays so, tell the model's owner");
                }

                try
                {
                    await stream.WriteAsync(buffer.AsMemory(0, read), cancellationToken).ConfigureAwait(false);
                }
                catch (IOException e)
                {
                    // Not the network's fault: no second try.
                    throw new UserErrorException($"'{stream.Name}' could not be written: {e.Message}", "free some space or choose another cache with --cache", e);
                }

                advance(read);
            }
        }
    }
}
