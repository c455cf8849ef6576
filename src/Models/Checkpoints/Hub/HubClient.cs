using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using CrossAlign.Models.Data;

namespace CrossAlign.Models.Checkpoints.Hub;

/// <summary>
/// Requests to the hub: follows redirects (the token stays with the endpoint), tries again where the network or the hub fails, waits as
/// long as a 429 asks, and turns every other refusal into an error with its remedy.
/// </summary>
internal sealed class HubClient : IDisposable
{
    private const int MostRedirects = 8;
    private const int LongestDocumentBytes = 64 << 20;

    private readonly HubOptions _options;
    private readonly HubModelName _name;
    private readonly IProgress<DataProgress>? _progress;
    private readonly HttpClient _http;

    public HubClient(HubOptions options, HubModelName name, IProgress<DataProgress>? progress)
    {
        _options = options;
        _name = name;
        _progress = progress;
        SocketsHttpHandler handler = new() { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = options.Silence };
        _http = new HttpClient(handler, disposeHandler: true) { Timeout = Timeout.InfiniteTimeSpan };
        _http.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("crossalign", typeof(HubClient).Assembly.GetName().Version?.ToString(3) ?? "0"));
    }

    /// <summary>The address of a path at the endpoint.</summary>
    public Uri At(string path) => new($"{_options.Endpoint.AbsoluteUri.TrimEnd('/')}/{path}");

    /// <summary>Reads a document.</summary>
    /// <param name="uri">Its address.</param>
    /// <param name="what">What it is, for messages.</param>
    /// <param name="optional">Whether a 404 is no error.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>Its bytes; null for an optional one that is not there.</returns>
    public async Task<byte[]?> ReadAsync(Uri uri, string what, bool optional, CancellationToken cancellationToken)
    {
        for (int failures = 0; ;)
        {
            using HubReply? reply = await GetAsync(uri, what, 0, optional, cancellationToken).ConfigureAwait(false);
            if (reply is null)
            {
                return null;
            }

            try
            {
                using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
                patience.CancelAfter(_options.Silence);
                using LimitedBuffer buffer = new(LongestDocumentBytes, what);
                await reply.Message.Content.CopyToAsync(buffer, patience.Token).ConfigureAwait(false);
                return buffer.ToArray();
            }
            catch (Exception e) when (IsNetworkFailure(e, cancellationToken))
            {
                await PauseAsync(++failures, null, what, e, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Asks for a file, from a byte on.</summary>
    /// <param name="uri">Its address.</param>
    /// <param name="what">What it is, for messages.</param>
    /// <param name="from">The first byte wanted.</param>
    /// <param name="optional">Whether a 404 is no error.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>A reply of 200, 206 or 416, owned by the caller; null for an optional file that is not there.</returns>
    /// <exception cref="UserErrorException">The hub refuses or cannot be reached.</exception>
    public async Task<HubReply?> GetAsync(Uri uri, string what, long from, bool optional, CancellationToken cancellationToken)
    {
        for (int failures = 0; ;)
        {
            TimeSpan? wait = null;
            Exception? failure = null;
            string problem;
            try
            {
                HubReply reply = await FollowAsync(uri, from, cancellationToken).ConfigureAwait(false);
                HttpStatusCode status = reply.Message.StatusCode;
                if (status is HttpStatusCode.OK or HttpStatusCode.PartialContent or HttpStatusCode.RequestedRangeNotSatisfiable)
                {
                    return reply;
                }

                using (reply)
                {
                    if (optional && status == HttpStatusCode.NotFound)
                    {
                        return null;
                    }

                    if (status is not (HttpStatusCode.TooManyRequests or HttpStatusCode.RequestTimeout) && (int)status < 500)
                    {
                        throw Refusal(status, what);
                    }

                    wait = status == HttpStatusCode.TooManyRequests ? WaitOf(reply.Message.Headers.RetryAfter) : null;
                    problem = string.Create(CultureInfo.InvariantCulture, $"answers {(int)status} {reply.Message.ReasonPhrase}");
                }
            }
            catch (Exception e) when (IsNetworkFailure(e, cancellationToken))
            {
                failure = e;
                problem = $"cannot be reached: {e.Message}";
            }

            await PauseAsync(++failures, wait, $"{_options.Endpoint.Host} {problem}, asked for {what}", failure, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Whether an exception is a failure of the network that may pass.</summary>
    public static bool IsNetworkFailure(Exception e, CancellationToken cancellationToken) =>
        e is HttpRequestException or IOException or TimeoutException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested);

    /// <summary>Waits before trying again.</summary>
    /// <param name="failures">How often it failed.</param>
    /// <param name="wait">How long the hub asks to wait; null for a wait that grows.</param>
    /// <param name="what">What failed, for people.</param>
    /// <param name="failure">Why; null where the hub answered.</param>
    /// <param name="cancellationToken">Stops the wait.</param>
    /// <exception cref="UserErrorException">It failed too often, or the wait is too long.</exception>
    public async Task PauseAsync(int failures, TimeSpan? wait, string what, Exception? failure, CancellationToken cancellationToken)
    {
        if (failures > _options.Attempts)
        {
            throw new UserErrorException(what, "check the network, or try again later: what has come is kept", failure ?? new HttpRequestException(what));
        }

        TimeSpan pause = wait ?? _options.Backoff * Math.Pow(2, failures - 1);
        if (pause > _options.LongestWait)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"{what}, and asks to wait {pause.TotalSeconds:F0} s"),
                $"try again then; a token in {HubOptions.TokenVariable} is allowed more requests",
                failure ?? new HttpRequestException(what));
        }

        if (wait is not null)
        {
            _progress?.Report(new(string.Create(CultureInfo.InvariantCulture, $"the hub asks to wait {pause.TotalSeconds:F0} s"), null));
        }

        await Task.Delay(pause, cancellationToken).ConfigureAwait(false);
    }

    public void Dispose() => _http.Dispose();

    private static TimeSpan? WaitOf(RetryConditionHeaderValue? header) => header switch
    {
        { Delta: TimeSpan delta } => delta < TimeSpan.Zero ? TimeSpan.Zero : delta,
        { Date: DateTimeOffset date } when date - DateTimeOffset.UtcNow is TimeSpan rest => rest < TimeSpan.Zero ? TimeSpan.Zero : rest,
        _ => null,
    };

    private async Task<HubReply> FollowAsync(Uri uri, long from, CancellationToken cancellationToken)
    {
        string? etag = null;
        long? byteCount = null;
        for (int hops = 0; ; hops++)
        {
            using HttpRequestMessage request = new(HttpMethod.Get, uri);
            if (from > 0)
            {
                request.Headers.Range = new RangeHeaderValue(from, null);
            }

            if (_options.Token is not null && Uri.Compare(uri, _options.Endpoint, UriComponents.SchemeAndServer, UriFormat.Unescaped, StringComparison.OrdinalIgnoreCase) == 0)
            {
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", _options.Token);
            }

            using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            patience.CancelAfter(_options.Silence);
            HttpResponseMessage message = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, patience.Token).ConfigureAwait(false);
            etag ??= HubReply.Tag(Header(message, "X-Linked-Etag"));
            byteCount ??= long.TryParse(Header(message, "X-Linked-Size"), NumberStyles.None, CultureInfo.InvariantCulture, out long size) ? size : null;
            if ((int)message.StatusCode is not (301 or 302 or 303 or 307 or 308))
            {
                return new HubReply(message, etag ?? HubReply.Tag(Header(message, "ETag")), byteCount);
            }

            using (message)
            {
                Uri next = message.Headers.Location is Uri location ? new Uri(uri, location) : throw Lost(uri, "without an address");
                uri = next.Scheme == uri.Scheme || next.Scheme == Uri.UriSchemeHttps ? next : throw Lost(uri, $"to '{next.Scheme}:'");
            }

            if (hops == MostRedirects)
            {
                throw Lost(uri, "again and again");
            }
        }

        UserErrorException Lost(Uri at, string how) => new($"'{at.Host}' redirects {how}", $"check {HubOptions.EndpointVariable}");
    }

    private static string? Header(HttpResponseMessage message, string name) => message.Headers.TryGetValues(name, out IEnumerable<string>? values) ? values.First() : null;

    private UserErrorException Refusal(HttpStatusCode status, string what) => status switch
    {
        HttpStatusCode.NotFound => new UserErrorException($"{_options.Endpoint.Host} has no {what}", "check the spelling of name and revision"),
        HttpStatusCode.Unauthorized when _options.Token is null => new UserErrorException(
            $"{_options.Endpoint.Host} has no {what} for everybody (401)", $"check the name; for a private or gated model set {HubOptions.TokenVariable} to a token that may read it"),
        HttpStatusCode.Unauthorized => new UserErrorException(
            $"{_options.Endpoint.Host} does not take the token of {HubOptions.TokenVariable} for {what} (401)", "check the name, and make a new token if this one has ended"),
        HttpStatusCode.Forbidden => new UserErrorException(
            $"{_options.Endpoint.Host} does not give {what} to {(_options.Token is null ? "everybody" : "this token")} (403)",
            $"accept the model's terms at {At(_name.Id)} and set {HubOptions.TokenVariable} to a token of that account"),
        _ => new UserErrorException(
            string.Create(CultureInfo.InvariantCulture, $"{_options.Endpoint.Host} answers {(int)status}, asked for {what}"), $"check {HubOptions.EndpointVariable}"),
    };

    /// <summary>A buffer that refuses to grow without end.</summary>
    private sealed class LimitedBuffer(int limit, string what) : MemoryStream
    {
        public override void Write(byte[] buffer, int offset, int count)
        {
            Check(count);
            base.Write(buffer, offset, count);
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            Check(buffer.Length);
            base.Write(buffer);
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        {
            Check(count);
            return base.WriteAsync(buffer, offset, count, cancellationToken);
        }

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Check(buffer.Length);
            return base.WriteAsync(buffer, cancellationToken);
        }

        private void Check(int count)
        {
            if (Length + count > limit)
            {
                throw new UserErrorException($"{what} has more than {limit >> 20} MiB", $"check {HubOptions.EndpointVariable}");
            }
        }
    }
}
