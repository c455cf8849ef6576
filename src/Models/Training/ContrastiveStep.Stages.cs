using CrossAlign.Models.Encoders;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Training;

/// <content>The stages of a step on a device: nothing is copied from the host in one, so that a graph can be captured of it.</content>
internal sealed partial class ContrastiveStep
{
    /// <summary>
    /// Adds the gradients of a part with a loss of its own, which lies on the device, to the parameters'. Nothing is copied from the host, so
    /// that a graph can be captured of it.
    /// </summary>
    /// <param name="inputs">The captions, in the order of <see cref="MicroBatch.Captions"/>, and the pictures, or what frozen towers make of them.</param>
    /// <param name="pass">Training, with this step's dropout.</param>
    public void RunPart(in StepInputs inputs, in TowerPass pass)
    {
        (Tensor texts, Tensor images) = Embed(inputs, pass);
        Keep(texts, images, 0, PartSize);
        TakeLosses(_partLosses, _partGroups, 0, PartSize, images.LiveRows);
        Backward(0, PartSize, texts.LiveRows, images.LiveRows);
        _arena.Reset();
    }

    /// <summary>Adds to what is uploaded what the loss needs of a batch beside the towers' inputs.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="uploads">What takes it to the device.</param>
    public void Upload(TrainingBatch batch, CudaUploads uploads)
    {
        if (_captionGroups.IsPresent)
        {
            uploads.Add<int>(batch.Groups, _captionGroups);
        }
    }

    /// <summary>Copies what <see cref="RunPart"/> needs of a part of the batch besides its inputs.</summary>
    /// <param name="part">The part.</param>
    public void BeginPart(MicroBatch part)
    {
        if (_captionGroups.IsPresent && !ReferenceEquals(_partGroups.Memory, _captionGroups.Memory))
        {
            _device.Copy(_captionGroups.Rows(part.First, part.Count), _partGroups.Rows(0, part.Count));
        }
    }

    /// <summary>Keeps the losses that <see cref="RunPart"/> has left.</summary>
    /// <param name="index">The part's place in the batch.</param>
    public void EndPart(int index)
    {
        if (!ReferenceEquals(_partLosses.Memory, _losses.Memory))
        {
            _device.Copy(_partLosses, _losses.Rows(index * _config.CaptionsPerPicture, _config.CaptionsPerPicture));
        }
    }

    /// <summary>Exact accumulation, first: the vectors of a part that lies on the device, without keeping activations; <see cref="KeepVectors"/> puts them in their place.</summary>
    /// <param name="inputs">As for <see cref="RunPart"/>.</param>
    /// <param name="pass">Training, with this step's dropout.</param>
    public void EmbedPart(in StepInputs inputs, in TowerPass pass)
    {
        (Tensor texts, Tensor images) = Embed(inputs, pass with { KeepActivations = false });
        _device.Copy(texts, _partTexts);
        if (images.IsPresent)
        {
            _device.Copy(images, _partImages);
        }

        _arena.Reset();
    }

    /// <summary>Puts the vectors of a part where the loss reads them.</summary>
    /// <param name="part">The part.</param>
    public void KeepVectors(MicroBatch part) => Keep(_partTexts, _partImages, part.First, part.Count);

    /// <summary>Exact accumulation, second: the loss over all parts' vectors.</summary>
    /// <param name="pictures">Pictures of the batch.</param>
    public void TakeBatchLosses(int pictures) => TakeLosses(_losses, _captionGroups, 0, pictures, null);

    /// <summary>Puts the gradients of a part's vectors where <see cref="RerunPart"/> reads them.</summary>
    /// <param name="part">The part.</param>
    public void BeginRerun(MicroBatch part)
    {
        Gather(_partTexts, part.First, part.Count);
        if (_partImages.IsPresent)
        {
            _device.Copy(_dImages.Rows(part.First, part.Count), _partImages.Rows(0, part.Count));
        }
    }

    /// <summary>Exact accumulation, third: runs a part again and adds the gradients that follow from those of its vectors.</summary>
    /// <param name="inputs">Those of <see cref="EmbedPart"/>.</param>
    /// <param name="pass">Training, with this step's dropout.</param>
    public void RerunPart(in StepInputs inputs, in TowerPass pass)
    {
        (Tensor texts, Tensor images) = Embed(inputs, pass);
        BackwardTowers(_partTexts.WithLiveRows(texts.LiveRows), images.IsPresent ? _partImages.WithLiveRows(images.LiveRows) : default);
        _arena.Reset();
    }

    private (Tensor Texts, Tensor Images) Embed(in StepInputs inputs, in TowerPass pass)
    {
        Tensor texts = inputs.PooledTexts.IsPresent
            ? _model.TextHead!.Forward(inputs.PooledTexts, _arena)
            : _model.ForwardText(inputs.Texts, _arena, pass with { Dropout = pass.Dropout && _textDrops });
        Tensor images = _config.Objective == Objective.TextText ? default
            : inputs.PooledPictures.IsPresent ? _model.ImageHead!.Forward(inputs.PooledPictures, _arena)
            : _model.ForwardImages(inputs.Pictures, _arena, pass with { Dropout = pass.Dropout && _imageDrops });
        return (texts, images);
    }
}
