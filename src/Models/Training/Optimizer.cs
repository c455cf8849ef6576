using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Training;

/// <summary>
/// Clipping and Adam over all parameters that are trained: moments, learning rates and decay of each. The order is clip, decay,
/// moments, update, clamp of the learned multiplier.
/// </summary>
internal sealed class Optimizer : IDisposable
{
    private readonly OptimizerConfig _config;
    private readonly Device _device;
    private readonly Parameter[] _trained;
    private readonly AdamWParameters _parameters;
    private readonly AdamWParameters? _text;
    private readonly AdamWParameters? _image;
    private readonly AdamWParameters? _heads;
    private readonly AdamWParameters? _allButText;
    private readonly int _textStillSteps;
    private readonly int _imageStillSteps;
    private readonly Tensor _norm;
    private readonly double _gradientScale;

    /// <summary>Takes moments for every parameter that is not frozen.</summary>
    /// <param name="model">The model; its gradients are allocated here.</param>
    /// <param name="config">The run's configuration.</param>
    /// <param name="lossCount">How many losses the gradients are the sum of.</param>
    /// <param name="textStillSteps">Steps at the start in which the text tower is not stepped. Its moments begin after these, with a bias correction that counts from there.</param>
    /// <param name="imageStillSteps">The same of the image tower; at most as many.</param>
    public Optimizer(TwoTowerModel model, RunConfig config, int lossCount, int textStillSteps = 0, int imageStillSteps = 0)
    {
        _textStillSteps = textStillSteps;
        _imageStillSteps = imageStillSteps;
        _config = config.Optimizer;
        _device = model.Device;
        _gradientScale = 1.0 / lossCount;
        model.Parameters.AllocateGradients();
        _trained = [.. model.Parameters.Trainable.Where(p => p.Kind != ParameterKind.Scale || config.Loss.ScaleLearned)];
        AdamWParameter[] parameters = Array.ConvertAll(_trained, p =>
        {
            AdamWParameter trained = p.SparseGradient.IsPresent
                ? new AdamWParameter(p.Value, p.SparseGradient, Zeros(p), Zeros(p))
                : new AdamWParameter(p.Value, p.Gradient, Zeros(p), Zeros(p), p.Copy);
            trained.LearningRateFactor = LearningRate(p) / _config.LearningRate;
            trained.WeightDecay = Decays(p.Kind) ? _config.WeightDecay : 0;
            trained.Maximum = p.Kind == ParameterKind.Scale ? ScaleMaximum(config.Loss) : float.PositiveInfinity;
            return trained;
        });
        _parameters = new AdamWParameters(_device, parameters);
        if (textStillSteps > 0)
        {
            _text = Of(g => g == ParameterGroup.TextTower);
            _image = Of(g => g == ParameterGroup.ImageTower);
            _heads = Of(g => g is not (ParameterGroup.TextTower or ParameterGroup.ImageTower));
            _allButText = Of(g => g != ParameterGroup.TextTower);
        }

        AdamWParameters Of(Predicate<ParameterGroup> isIn) => new(_device, [.. parameters.Where((_, i) => isIn(_trained[i].Group))]);

        _norm = _device.NewTensor(DType.Float32, new Shape(GradientNorm.ResultLength));
    }

    /// <summary>(3), float32, of <see cref="GradientNorm.Run"/>: the norm of the last step before clipping comes first.</summary>
    public Tensor Norm => _norm;

    /// <summary>The number of elements that are trained.</summary>
    public long ParameterCount => _trained.Sum(p => p.Count);

    /// <summary>Clips and updates; where a gradient is not finite nothing is changed.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="learningRate">The common learning rate of this step.</param>
    /// <param name="textLearningRate">The common learning rate as the text tower has it, where it has the schedule for itself; null for the same.</param>
    public void Step(int step, double learningRate, double? textLearningRate = null)
    {
        AdamWSettings settings = Settings(step, learningRate);
        if (_textStillSteps == 0)
        {
            TakeNorm(_parameters);
            AdamW.Step(_parameters, settings, _norm);
            return;
        }

        TakeNorm(step > _textStillSteps ? _parameters : step > _imageStillSteps ? _allButText! : _heads!);
        AdamW.Step(_heads!, settings, _norm);
        if (step > _imageStillSteps && _image!.Count > 0)
        {
            AdamW.Step(_image, OfImage(settings, step), _norm);
        }

        if (step > _textStillSteps && _text!.Count > 0)
        {
            AdamW.Step(_text, OfText(step, learningRate, textLearningRate), _norm);
        }
    }

    /// <summary>The same step with settings that are read from the device: what a captured graph replays.</summary>
    /// <param name="settings">Of <see cref="Upload"/>.</param>
    /// <param name="phase">Of <see cref="PhaseOf"/>: each is a graph of its own.</param>
    public void Step(in StoredStepSettings settings, StepPhase phase)
    {
        if (_textStillSteps == 0)
        {
            TakeNorm(_parameters);
            AdamW.Step(_parameters, settings.Common, _norm);
            return;
        }

        TakeNorm(phase switch
        {
            StepPhase.All => _parameters,
            StepPhase.AllButText => _allButText!,
            _ => _heads!,
        });
        AdamW.Step(_heads!, settings.Common, _norm);
        if (phase != StepPhase.Heads && _image!.Count > 0)
        {
            AdamW.Step(_image, settings.Image, _norm);
        }

        if (phase == StepPhase.All && _text!.Count > 0)
        {
            AdamW.Step(_text, settings.Text, _norm);
        }
    }

    /// <summary>What is stepped.</summary>
    /// <param name="step">The step, from 1.</param>
    public StepPhase PhaseOf(int step) => step > _textStillSteps ? StepPhase.All : step > _imageStillSteps ? StepPhase.AllButText : StepPhase.Heads;

    /// <summary>Adds to what is uploaded the numbers of a step, to where <see cref="Step(in StoredStepSettings, StepPhase)"/> reads them.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="learningRate">The common learning rate of this step.</param>
    /// <param name="textLearningRate">The common learning rate as the text tower has it; null for the same.</param>
    /// <param name="settings">Where they go.</param>
    /// <param name="uploads">What takes them to the device.</param>
    public void Upload(int step, double learningRate, double? textLearningRate, in StoredStepSettings settings, CudaUploads uploads)
    {
        AdamWSettings common = Settings(step, learningRate);
        Upload(common, settings.Common, uploads);
        StepPhase phase = PhaseOf(step);
        if (_textStillSteps > 0 && phase != StepPhase.Heads)
        {
            Upload(OfImage(common, step), settings.Image, uploads);
        }

        if (_textStillSteps > 0 && phase == StepPhase.All)
        {
            Upload(OfText(step, learningRate, textLearningRate), settings.Text, uploads);
        }

        static void Upload(in AdamWSettings settings, in Tensor stored, CudaUploads uploads)
        {
            Span<float> numbers = stackalloc float[AdamWSettings.StoredLength];
            settings.Write(numbers);
            uploads.Add<float>(numbers, stored);
        }
    }

    /// <summary>The numbers of a step.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="learningRate">The common learning rate of this step.</param>
    public AdamWSettings Settings(int step, double learningRate) => new(learningRate, step, _config.Beta1, _config.Beta2, _config.Eps);

    /// <summary>Writes the moments as <c>&lt;name&gt;.exp_avg</c> and <c>&lt;name&gt;.exp_avg_sq</c>.</summary>
    /// <param name="path">A safetensors file.</param>
    public void Save(string path)
    {
        SafetensorsWriter writer = new();
        for (int i = 0; i < _trained.Length; i++)
        {
            writer.Add(_trained[i].Name + ".exp_avg", _parameters[i].FirstMoment);
            writer.Add(_trained[i].Name + ".exp_avg_sq", _parameters[i].SecondMoment);
        }

        writer.Save(path);
    }

    /// <summary>Reads the moments back.</summary>
    /// <param name="path">A file that <see cref="Save"/> wrote for the same model.</param>
    /// <exception cref="UserErrorException">A moment is missing or has another shape.</exception>
    public void Load(string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        for (int i = 0; i < _trained.Length; i++)
        {
            file.ReadSingles(_trained[i].Name + ".exp_avg", _parameters[i].FirstMoment);
            file.ReadSingles(_trained[i].Name + ".exp_avg_sq", _parameters[i].SecondMoment);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (int i = 0; i < _parameters.Count; i++)
        {
            _parameters[i].FirstMoment.Memory.Dispose();
            _parameters[i].SecondMoment.Memory.Dispose();
        }

        _parameters.Dispose();
        _text?.Dispose();
        _image?.Dispose();
        _heads?.Dispose();
        _allButText?.Dispose();
        _norm.Memory.Dispose();
    }

    private AdamWSettings OfImage(in AdamWSettings common, int step) => common with { Step = step - _imageStillSteps };

    private AdamWSettings OfText(int step, double learningRate, double? textLearningRate) => Settings(step - _textStillSteps, textLearningRate ?? learningRate);

    private static float ScaleMaximum(LossConfig loss) => loss switch
    {
        { ScaleMax: null } => float.PositiveInfinity,
        { ScaleParameter: ScaleParameter.Log } => (float)Math.Log(loss.ScaleMax.Value),
        _ => (float)loss.ScaleMax.Value,
    };

    private void TakeNorm(AdamWParameters parameters) => GradientNorm.Run(parameters, _config.Clip ?? double.PositiveInfinity, _norm, _gradientScale);

    private Tensor Zeros(Parameter parameter) => _device.NewTensor(DType.Float32, parameter.Value.Shape);

    private double LearningRate(Parameter parameter) => parameter.Group switch
    {
        ParameterGroup.TextTower when parameter.Kind == ParameterKind.WordEmbedding && _config.WordLearningRate is double words => words,
        ParameterGroup.TextTower => _config.TextLearningRate ?? _config.LearningRate,
        ParameterGroup.ImageTower => _config.ImageLearningRate ?? _config.LearningRate,
        ParameterGroup.Scale => _config.ScaleLearningRate ?? _config.LearningRate,
        _ => _config.LearningRate,
    };

    private bool Decays(ParameterKind kind) => _config.Kind == OptimizerKind.AdamW
        && (kind.IsLinearMap() || (_config.DecayEmbeddings && kind.IsEmbedding()));
}
