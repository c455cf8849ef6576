using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace CrossAlign.Models.Tests.Checkpoints.Hub;

/// <summary>
/// A hub on this machine with one model, over plain sockets, so that it can break off in the middle, lie about checksums, redirect and refuse.
/// Large files are redirected to another host name, as the public hub does.
/// </summary>
internal sealed class LocalHub : IDisposable
{
    public const string Commit = "0123456789abcdef0123456789abcdef01234567";

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _loop;

    public LocalHub(string id = "someone/tower")
    {
        Id = id;
        _listener.Start();
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        _loop = Task.Run(AcceptAsync);
    }

    public string Id { get; }

    public int Port { get; }

    public Uri Endpoint => new($"http://127.0.0.1:{Port}");

    /// <summary>Files by path; those of 1,000 bytes and more are large ones.</summary>
    public SortedDictionary<string, byte[]> Files { get; } = new(StringComparer.Ordinal);

    /// <summary>What was asked: method and path, host, range, authorization.</summary>
    public ConcurrentQueue<Request> Requests { get; } = new();

    /// <summary>Answers that come before any other: a path's start, and how to answer; true when it was used up.</summary>
    public ConcurrentQueue<(string Path, Func<Request, string, Stream, Task> Answer)> Script { get; } = new();

    /// <summary>SHA-256 that the list names in place of the real one.</summary>
    public Dictionary<string, string> FalseSha256 { get; } = [];

    public bool ListsSizes { get; set; } = true;

    public bool DoesRanges { get; set; } = true;

    public static async Task ReplyAsync(Stream stream, string status, string headers = "", ReadOnlyMemory<byte> body = default, int cutAfter = int.MaxValue)
    {
        string head = string.Create(CultureInfo.InvariantCulture, $"HTTP/1.1 {status}\r\nContent-Length: {body.Length}\r\nConnection: close\r\n{headers}\r\n");
        await stream.WriteAsync(Encoding.ASCII.GetBytes(head));
        await stream.WriteAsync(body[..Math.Min(body.Length, cutAfter)]);
        await stream.FlushAsync();
    }

    /// <summary>The next request of a path gets this reply.</summary>
    public void Once(string path, string status, string headers = "") => Script.Enqueue((path, (_, _, stream) => ReplyAsync(stream, status, headers)));

    public void Dispose()
    {
        if (_stop.IsCancellationRequested)
        {
            return;
        }

        _stop.Cancel();
        _listener.Stop();
        try
        {
            _loop.Wait(TimeSpan.FromSeconds(5));
        }
        catch (AggregateException)
        {
            // The loop ends by the listener's end.
        }

        _listener.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            TcpClient client = await _listener.AcceptTcpClientAsync(_stop.Token);
            _ = Task.Run(() => ServeAsync(client));
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            NetworkStream stream = client.GetStream();
            List<string> lines = [];
            using StreamReader reader = new(stream, Encoding.ASCII, leaveOpen: true);
            while (await reader.ReadLineAsync() is { Length: > 0 } line)
            {
                lines.Add(line);
            }

            if (lines.Count == 0)
            {
                return;
            }

            string? Header(string name) => lines.FirstOrDefault(l => l.StartsWith(name + ": ", StringComparison.OrdinalIgnoreCase))?[(name.Length + 2)..];
            Request request = new(lines[0].Split(' ')[1], Header("Host")!, Header("Range"), Header("Authorization"));
            Requests.Enqueue(request);
            try
            {
                if (Script.TryPeek(out (string Path, Func<Request, string, Stream, Task> Answer) next) && request.Path.StartsWith(next.Path, StringComparison.Ordinal) && Script.TryDequeue(out _))
                {
                    await next.Answer(request, request.Path, stream);
                }
                else
                {
                    await AnswerAsync(request, stream);
                }
            }
            catch (IOException)
            {
                // The client went away.
            }
        }
    }

    private Task AnswerAsync(Request request, Stream stream)
    {
        string path = request.Path;
        if (path.StartsWith($"/api/models/{Id}/revision/main", StringComparison.Ordinal))
        {
            return ReplyAsync(stream, "200 OK", "Content-Type: application/json\r\n", Encoding.UTF8.GetBytes(Listing().ToJsonString()));
        }

        string resolve = $"/{Id}/resolve/{Commit}/";
        bool isContent = path.StartsWith("/cdn/", StringComparison.Ordinal);
        string name = isContent ? path[5..] : path.StartsWith(resolve, StringComparison.Ordinal) ? path[resolve.Length..] : string.Empty;
        if (!Files.TryGetValue(name, out byte[]? bytes))
        {
            return ReplyAsync(stream, "404 Not Found");
        }

        if (IsLarge(bytes) && !isContent)
        {
            return ReplyAsync(
                stream,
                "302 Found",
                string.Create(CultureInfo.InvariantCulture, $"Location: http://localhost:{Port}/cdn/{name}\r\nX-Linked-Size: {bytes.Length}\r\nX-Linked-Etag: \"{Sha256Of(name, bytes)}\"\r\n"));
        }

        string etag = IsLarge(bytes) ? "\"something-of-the-cdn\"" : $"\"{GitSha1(bytes)}\"";
        if (DoesRanges && request.From is int from)
        {
            return from >= bytes.Length
                ? ReplyAsync(stream, "416 Range Not Satisfiable", $"Content-Range: bytes */{bytes.Length}\r\n")
                : ReplyAsync(stream, "206 Partial Content", $"Content-Range: bytes {from}-{bytes.Length - 1}/{bytes.Length}\r\nETag: {etag}\r\n", bytes.AsMemory(from));
        }

        return ReplyAsync(stream, "200 OK", $"ETag: {etag}\r\n", bytes);
    }

    private JsonObject Listing() => new()
    {
        ["id"] = Id,
        ["sha"] = Commit,
        ["cardData"] = new JsonObject { ["license"] = "mit" },
        ["siblings"] = new JsonArray([.. Files.Select(f =>
        {
            JsonObject entry = new() { ["rfilename"] = f.Key };
            if (ListsSizes)
            {
                entry["size"] = f.Value.Length;
                if (IsLarge(f.Value))
                {
                    entry["lfs"] = new JsonObject { ["sha256"] = Sha256Of(f.Key, f.Value), ["size"] = f.Value.Length, ["pointerSize"] = 130 };
                }
                else
                {
                    entry["blobId"] = GitSha1(f.Value);
                }
            }

            return (JsonNode)entry;
        })]),
    };

    private static bool IsLarge(byte[] bytes) => bytes.Length >= 1000;

    private string Sha256Of(string name, byte[] bytes) => FalseSha256.GetValueOrDefault(name) ?? Convert.ToHexStringLower(SHA256.HashData(bytes));

#pragma warning disable CA5350 // git's name of a blob
    private static string GitSha1(byte[] bytes) =>
        Convert.ToHexStringLower(SHA1.HashData([.. Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"blob {bytes.Length}\0")), .. bytes]));
#pragma warning restore CA5350

    internal sealed record Request(string Path, string Host, string? Range, string? Authorization)
    {
        public int? From => Range is null ? null : int.Parse(Range["bytes=".Length..].TrimEnd('-'), CultureInfo.InvariantCulture);
    }
}
