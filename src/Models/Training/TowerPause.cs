using CrossAlign.Models.Encoders;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Training;

/// <summary>
/// The stretches at the start of a run in which a tower stands still: both, as the paper's code does for the first half of the first
/// epoch, or the text tower alone for a number of steps. New heads, or a new image tower, do not pull published weights about before
/// they mean anything.
/// </summary>
internal sealed class TowerPause
{
    private readonly TwoTowerModel _model;
    private readonly TowerFreeze _text;
    private readonly TowerFreeze _image;

    /// <summary>Looks up how long they are.</summary>
    /// <param name="model">The towers, frozen as the configuration says.</param>
    /// <param name="config">Says for how many epochs and steps.</param>
    /// <param name="stepsPerEpoch">Steps an epoch.</param>
    public TowerPause(TwoTowerModel model, RunConfig config, int stepsPerEpoch)
    {
        _model = model;
        _text = model.Text!.Freeze;
        _image = model.Image?.Freeze ?? TowerFreeze.None;
        ImageSteps = (int)Math.Min(config.Steps, Math.Ceiling(config.Schedule.HeadsOnlyEpochs * stepsPerEpoch));
        TextSteps = Math.Max(ImageSteps, Math.Min(config.Steps, config.Schedule.TextFrozenSteps));
    }

    /// <summary>The number of steps in which the text tower stands still; 0 for none, and never below <see cref="ImageSteps"/>.</summary>
    public int TextSteps { get; }

    /// <summary>The number of steps in which the image tower stands still; 0 for none.</summary>
    public int ImageSteps { get; }

    /// <summary>Freezes the towers, or thaws what is to be trained of them.</summary>
    /// <param name="step">The step to come, from 1.</param>
    public void Apply(int step)
    {
        if (TextSteps > 0)
        {
            Set(_model.Text!, step <= TextSteps ? TowerFreeze.All : _text);
        }

        if (ImageSteps > 0 && _model.Image is not null)
        {
            Set(_model.Image, step <= ImageSteps ? TowerFreeze.All : _image);
        }
    }

    private static void Set(EncoderTower tower, TowerFreeze freeze)
    {
        if (tower.Freeze != freeze)
        {
            tower.Freeze = freeze;
        }
    }
}
