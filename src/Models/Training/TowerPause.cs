using CrossAlign.Models.Encoders;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Training;

/// <summary>
/// The stretch at the start of a run in which both towers stand still and only heads and scale learn, as the paper's code does for
/// the first half of the first epoch: new heads do not pull published weights about before they mean anything.
/// </summary>
internal sealed class TowerPause
{
    private readonly TwoTowerModel _model;
    private readonly TowerFreeze _text;
    private readonly TowerFreeze _image;

    /// <summary>Looks up how long it is.</summary>
    /// <param name="model">The towers, frozen as the configuration says.</param>
    /// <param name="config">Says for how many epochs.</param>
    /// <param name="stepsPerEpoch">Steps an epoch.</param>
    public TowerPause(TwoTowerModel model, RunConfig config, int stepsPerEpoch)
    {
        _model = model;
        _text = model.Text!.Freeze;
        _image = model.Image?.Freeze ?? TowerFreeze.None;
        Steps = (int)Math.Min(config.Steps, Math.Ceiling(config.Schedule.HeadsOnlyEpochs * stepsPerEpoch));
    }

    /// <summary>The number of steps; 0 for none.</summary>
    public int Steps { get; }

    /// <summary>Freezes the towers, or thaws what is to be trained of them.</summary>
    /// <param name="step">The step to come, from 1.</param>
    public void Apply(int step)
    {
        if (Steps == 0)
        {
            return;
        }

        bool still = step <= Steps;
        Set(_model.Text!, still ? TowerFreeze.All : _text);
        if (_model.Image is not null)
        {
            Set(_model.Image, still ? TowerFreeze.All : _image);
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
