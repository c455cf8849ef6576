namespace CrossAlign.Models.Checkpoints.Hub;

/// <summary>Where the hub is, and how patient to be with it.</summary>
public sealed record HubOptions
{
    /// <summary>The variable that names another endpoint.</summary>
    public const string EndpointVariable = "HF_ENDPOINT";

    /// <summary>The variable with an access token.</summary>
    public const string TokenVariable = "HF_TOKEN";

    private const string PublicEndpoint = "https://huggingface.co";

    /// <summary>The hub's address.</summary>
    public Uri Endpoint { get; init; } = new(PublicEndpoint);

    /// <summary>The access token; null for none. It is sent to the endpoint alone, never to where that redirects.</summary>
    public string? Token { get; init; }

    /// <summary>How often a request is tried again without anything coming.</summary>
    public int Attempts { get; init; } = 5;

    /// <summary>The first wait before trying again; it doubles each time.</summary>
    public TimeSpan Backoff { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The longest wait that the hub may ask for.</summary>
    public TimeSpan LongestWait { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long nothing may come before the connection counts as lost.</summary>
    public TimeSpan Silence { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The options that the environment names.</summary>
    /// <returns>The options.</returns>
    /// <exception cref="UserErrorException"><c>HF_ENDPOINT</c> is no address, or <c>HF_TOKEN</c> holds what no token does.</exception>
    public static HubOptions FromEnvironment()
    {
        string? endpoint = Environment.GetEnvironmentVariable(EndpointVariable)?.Trim();
        string? token = Environment.GetEnvironmentVariable(TokenVariable)?.Trim();
        HubOptions options = new() { Token = string.IsNullOrEmpty(token) ? null : token };
        if (options.Token is not null && options.Token.Any(c => c is <= ' ' or > '~'))
        {
            throw new UserErrorException($"{TokenVariable} holds characters that no token has", "copy the token again");
        }

        return string.IsNullOrEmpty(endpoint) ? options
            : Uri.TryCreate(endpoint, UriKind.Absolute, out Uri? uri) && uri.Scheme is "https" or "http" ? options with { Endpoint = uri }
            : throw new UserErrorException($"{EndpointVariable} '{endpoint}' is no address", $"give one such as {PublicEndpoint}");
    }
}
