using System.Net.Http.Headers;

namespace CrossAlign.Models.Checkpoints.Hub;

/// <summary>A reply of the hub, or of where it redirected to, with what it said of the file on the way.</summary>
/// <param name="message">The last reply.</param>
/// <param name="etag">The first of <c>X-Linked-Etag</c> and <c>ETag</c> on the way; null for none.</param>
/// <param name="linkedByteCount"><c>X-Linked-Size</c>; null for none.</param>
internal sealed class HubReply(HttpResponseMessage message, string? etag, long? linkedByteCount) : IDisposable
{
    private const int Sha256Digits = 64;
    private const int Sha1Digits = 40;

    /// <summary>The last reply.</summary>
    public HttpResponseMessage Message => message;

    /// <summary>The size of the whole file; null where nothing says it.</summary>
    public long? ByteCount => linkedByteCount ?? (message.Content.Headers.ContentRange is ContentRangeHeaderValue range ? range.Length : message.Content.Headers.ContentLength);

    /// <summary>SHA-256 of a large file; null where the reply has none.</summary>
    public string? Sha256 => etag is { Length: Sha256Digits } && etag.All(char.IsAsciiHexDigit) ? etag : null;

    /// <summary>Git's name of a small file's content; null where the reply has none.</summary>
    public string? GitSha1 => etag is { Length: Sha1Digits } && etag.All(char.IsAsciiHexDigit) ? etag : null;

    /// <summary>The value of an entity tag without quotes and weakness mark.</summary>
    public static string? Tag(string? value) => value?.Trim() is string tag ? (tag.StartsWith("W/", StringComparison.Ordinal) ? tag[2..] : tag).Trim('"') : null;

    public void Dispose() => message.Dispose();
}
