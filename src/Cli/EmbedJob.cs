using System.Globalization;
using CrossAlign.Kernels;
using CrossAlign.Models;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Operations;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Cli;

/// <summary>One embedding of an input into a file: a window of rows at a time, each sorted by length, with progress and throughput.</summary>
internal sealed partial class EmbedJob : IDisposable
{
    // Enough texts to find others of about the same length, few enough to stay out of the way of memory.
    private const int WindowRows = 8192;
    private const int WindowTokens = 1 << 18;

    private readonly EmbedRequest _request;
    private readonly Terminal _terminal;
    private readonly Precision _precision;
    private readonly ProductSettings _products;
    private readonly TwoTowerModel _model;
    private readonly JsonLine _line = new();
    private EmbedProgress _progress;
    private long _truncated;

    public EmbedJob(EmbedRequest request, Device device, Terminal terminal)
    {
        _request = request;
        _terminal = terminal;
        _precision = PrecisionOn(device);
        _products = ProductSettings.Apply(device, _precision);
        try
        {
            _model = request.Source.Load(device, _precision, out IReadOnlyList<CheckpointReport> reports);
            SayIgnored(terminal, reports);
        }
        catch
        {
            _products.Dispose();
            throw;
        }

        _progress = StartProgress();
    }

    /// <summary>Names the tensors of a checkpoint that nothing is computed with.</summary>
    public static void SayIgnored(Terminal terminal, IEnumerable<CheckpointReport> reports)
    {
        foreach (CheckpointReport report in reports.Where(r => r.Ignored.Count > 0))
        {
            terminal.Say(string.Create(CultureInfo.InvariantCulture, $"{report.Loaded.Count} tensors loaded from {report.Source}; ignored: {string.Join(", ", report.Ignored)}"));
        }
    }

    /// <summary>Embeds texts as they are read.</summary>
    public void EmbedTexts(IEnumerable<TextItem> texts, CancellationToken cancellation)
    {
        TextTower tower = RequireText();
        SentenceTransformersSettings settings = _request.Source.ReadSettings(tower);
        TextPipeline pipeline = TextPipeline.Of(
            tower, _request.Source, settings, new TextEmbedderOptions { Pooling = _request.Pooling ?? _model.Options.TextPooling, Prefix = _request.Prefix, PromptName = _request.Prompt });
        if (pipeline.DefaultPromptName is string prompt)
        {
            _terminal.Say($"before every text stands the prompt '{prompt}', which the model's folder declares as its default: \"{pipeline.Prefix}\" (--prefix \"\" for none)");
        }

        TokenEmbedder embedder = Embedder(settings, out Dictionary<string, string> metadata, pipeline.Prefix, pipeline.UnpooledTokens);
        Run(embedder, metadata, Rows(), cancellation);
        if (_truncated > 0)
        {
            _terminal.Say(string.Create(CultureInfo.InvariantCulture, $"warning: {_truncated} texts are longer than {pipeline.MaxTokens} tokens and were cut"));
        }

        IEnumerable<(string IdJson, TokenRow Row)> Rows()
        {
            foreach (TextItem item in texts)
            {
                TokenRow? row = null;
                try
                {
                    row = item.Error is null ? RowOf(pipeline, item) : throw item.Error;
                }
                catch (UserErrorException e) when (_request.SkipBad)
                {
                    Skip("id", item.IdJson, e);
                }

                if (row is { } good)
                {
                    yield return (item.IdJson, good);
                }
            }
        }
    }

    /// <summary>Embeds rows of token ids.</summary>
    public void EmbedIds(string path, CancellationToken cancellation)
    {
        TokenEmbedder embedder = Embedder(_request.Source.ReadSettings(RequireText()), out Dictionary<string, string> metadata, string.Empty);
        using SafetensorsFile file = SafetensorsFile.Open(path);
        TokenRow[] rows = TokenRowsFile.Read(file, _model.Text!);
        if (file.TryGetEntry("token_type_ids", out _) && file.ReadInt32s("token_type_ids").Any(t => t != 0))
        {
            throw new UserErrorException($"'{path}' has token_type_ids other than 0, and each row is one text here", "leave them out; 'compute tower' takes them");
        }

        Run(embedder, metadata, rows.Select((row, i) => (i.ToString(CultureInfo.InvariantCulture), row)), cancellation);
        if (_truncated > 0)
        {
            _terminal.Say(string.Create(CultureInfo.InvariantCulture, $"warning: {_truncated} rows are longer than {_model.Text!.Packing.MaxTokens} tokens and were cut"));
        }
    }

    /// <summary>Embeds pictures that another program has prepared.</summary>
    public void EmbedPixels(string path, CancellationToken cancellation)
    {
        ImageTower tower = _model.Image ?? throw new UserErrorException("the model has no image tower", "name the folder of an image tower or of a two-tower model");
        using SafetensorsFile file = SafetensorsFile.Open(path);
        PixelValues pixels = PixelValues.Read(file, tower);
        PoolingKind pooling = PicturePooling();
        bool normalize = NormalizesPictures();
        int width = _model.PictureEmbeddingWidth(_request.Project);
        int perBatch = Math.Clamp(_request.BatchTokens / pixels.TokensEach, 1, Math.Max(1, pixels.Count));
        float[] vectors = new float[perBatch * width];
        _progress = StartProgress();
        Write(width, Metadata(pooling, normalize, string.Empty), (output, ids) =>
        {
            for (int first = 0; first < pixels.Count; first += perBatch)
            {
                cancellation.ThrowIfCancellationRequested();
                int count = Math.Min(perBatch, pixels.Count - first);
                Span<float> part = vectors.AsSpan(0, count * width);
                _model.EmbedImages(pixels.Slice(first, count), count, pixels.Height, pixels.Width, part, _request.Project, normalize, pooling);
                AddRows(output, ids, part, width, count, i => (first + i).ToString(CultureInfo.InvariantCulture), _ => (pixels.TokensEach, false), "picture", "id");

                _progress.Advance(count, count * pixels.TokensEach);
            }
        });
        Finish(width, "pictures");
    }

    public void Dispose()
    {
        _line.Dispose();
        _model.Dispose();
        _products.Dispose();
    }

    // What is asked for is done or refused; a run's own precision is followed where the device has it.
    private Precision PrecisionOn(Device device)
    {
        Precision ofRun = _request.Source.Config?.Precision ?? Precision.F32;
        if (_request.Precision is null && ofRun == Precision.TF32 && device.Kind == DeviceKind.Cpu)
        {
            _terminal.Say("the run's precision is tf32, which the processor does not have: f32 takes its place");
            return Precision.F32;
        }

        return _request.Precision ?? ofRun;
    }

    private TokenEmbedder Embedder(SentenceTransformersSettings settings, out Dictionary<string, string> metadata, string prefix, int unpooledTokens = 0)
    {
        PoolingModes pooling = _request.Pooling ?? _model.Options.TextPooling;
        bool normalize = _request.Normalize ?? settings.Normalize ?? true;
        metadata = Metadata(pooling, normalize, prefix);
        return new TokenEmbedder(_model, pooling, normalize, _request.Project, _request.BatchTokens, unpooledTokens);
    }

    private Dictionary<string, string> Metadata(PoolingModes pooling, bool normalize, string prefix) => new()
    {
        ["model"] = _request.Name,
        ["pooling"] = pooling.Name,
        ["normalized"] = normalize ? "true" : "false",
        ["prefix"] = prefix,
        ["precision"] = EmbedRequest.NameOf(_precision),
    };

    private PoolingKind PicturePooling() => _request.Pooling is null ? _model.Options.ImagePooling
        : _request.Pooling.Kinds.Length == 1 ? _request.Pooling.Only
        : throw new UserErrorException($"--pooling {_request.Pooling.Name}: pictures take one pooling", "give one of them");

    private bool NormalizesPictures() => _request.Normalize ?? _request.Source.NormalizesPictures(_model);

    private TextTower RequireText() => _model.Text ?? throw new UserErrorException("the model has no text tower", "name the folder of a text tower or of a two-tower model");

    private static TokenRow RowOf(TextPipeline pipeline, TextItem item)
    {
        try
        {
            return pipeline.Encode(item.Text);
        }
        catch (UserErrorException e)
        {
            throw new UserErrorException($"text {item.IdJson}: {e.What}", e.Remedy, e);
        }
    }

    private void Run(TokenEmbedder embedder, Dictionary<string, string> metadata, IEnumerable<(string IdJson, TokenRow Row)> rows, CancellationToken cancellation)
    {
        _progress = StartProgress();
        Write(embedder.Width, metadata, (output, ids) =>
        {
            List<string> names = [];
            List<TokenRow> window = [];
            int tokens = 0;
            foreach ((string id, TokenRow row) in rows)
            {
                names.Add(id);
                window.Add(row);
                tokens += row.TokenCount;
                if (window.Count >= WindowRows || tokens >= WindowTokens)
                {
                    Flush();
                }
            }

            Flush();

            void Flush()
            {
                cancellation.ThrowIfCancellationRequested();
                float[] vectors = new float[window.Count * embedder.Width];
                embedder.Embed(window, vectors, _progress.Advance, cancellation);
                AddRows(output, ids, vectors, embedder.Width, window.Count, i => names[i], i => (window[i].TokenCount, window[i].Truncated), "text", "id");
                names.Clear();
                window.Clear();
                tokens = 0;
            }
        });
        Finish(embedder.Width, "texts");
    }

    // The vectors appear last: who finds them finds their ids.
    private void Write(int width, Dictionary<string, string> metadata, Action<EmbeddingFile, Stream> fill)
    {
        string[] beside = [_request.Output + ".ids.jsonl", _request.Output + ".skipped.jsonl"];
        string[] left = [.. beside.Where(f => !File.Exists(f))];
        try
        {
            EmbeddingFile.Write(_request.Output, width, metadata, output =>
            {
                AtomicFile.Write(beside[0], ids => fill(output, ids));
                if (_request.SkipBad)
                {
                    AtomicFile.Write(beside[1], WriteSkipped);
                }
            });
        }
        catch
        {
            // Ids without vectors are of no use to anybody.
            Array.ForEach(left, File.Delete);
            throw;
        }
    }

    private void WriteId(Stream stream, long row, string idJson, int tokens, bool truncated, string key = "id")
    {
        _truncated += truncated ? 1 : 0;
        stream.Write(_line.Utf8(json =>
        {
            json.WriteStartObject();
            json.WriteNumber("row", row);
            json.WritePropertyName(key);
            json.WriteRawValue(idJson);
            json.WriteNumber("tokens", tokens);
            json.WriteBoolean("truncated", truncated);
            json.WriteEndObject();
        }));
        stream.WriteByte((byte)'\n');
    }

    // The clock starts when the model is there and what is to be embedded is known.
    private EmbedProgress StartProgress() => new(_terminal.Say, _terminal.IsInteractive ? _terminal.Live : null, TimeProvider.System);

    private void Finish(int width, string what)
    {
        SaySkipped(what);
        double seconds = _progress.Seconds;
        long rows = _progress.Rows - _notFinite;
        if (!_terminal.IsJson)
        {
            _terminal.Say(string.Create(
                CultureInfo.InvariantCulture,
                $"{rows:N0} {what} ({_progress.Tokens:N0} tokens) in {seconds:F1} s: {rows / seconds:N0} {what}/s, {_progress.Tokens / seconds:N0} tokens/s; {width} numbers each, in {_request.Output}"));
            return;
        }

        _terminal.ClearLive();
        _terminal.Results.WriteLine(_line.Text(json =>
        {
            json.WriteStartObject();
            json.WriteString("out", _request.Output);
            json.WriteNumber("rows", rows);
            json.WriteNumber("width", width);
            json.WriteNumber("tokens", _progress.Tokens);
            json.WriteNumber("truncated", _truncated);
            json.WriteNumber("skipped", _skipped.Count);
            json.WriteNumber("seconds", seconds);
            json.WriteNumber("rowsPerSecond", rows / seconds);
            json.WriteNumber("tokensPerSecond", _progress.Tokens / seconds);
            json.WriteEndObject();
        }));
    }
}
