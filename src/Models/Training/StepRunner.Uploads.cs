using CrossAlign.Kernels;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Training;

/// <content>What steps on a CUDA device read goes there beside the work that is under way.</content>
internal sealed partial class StepRunner
{
    // What is on its way to the device, of which step.
    private MicroBatch? _sent;
    private StepNumbers _sentNumbers;

    /// <summary>
    /// Sends to a CUDA device what the next step reads first, beside the work of the last one, which is under way; elsewhere nothing is done. What the
    /// steps compute is the same with it and without.
    /// </summary>
    /// <param name="next">The batch of the next <see cref="Run"/>; it must not change before that.</param>
    /// <param name="numbers">Those of the next <see cref="Run"/>.</param>
    public void Prepare(TrainingBatch next, in StepNumbers numbers)
    {
        if (TakesFromDevice(next) && Fits(next.MicroBatches[0]))
        {
            Send((CudaDevice)_device, next, 0, numbers, opensStep: true);
        }
    }

    // Puts a part where graphs read it, in the order of the device's work; the rows of frozen towers, which the device itself makes, behind it.
    private TextCapacity Upload(CudaDevice device, TrainingBatch batch, int index, in StepNumbers numbers, bool opensStep)
    {
        MicroBatch part = batch.MicroBatches[index];
        if (!ReferenceEquals(_sent, part) || _sentNumbers != numbers)
        {
            Send(device, batch, index, numbers, opensStep);
        }

        _uploads!.Deliver();
        _sent = null;
        if (_kind.LooksUpTexts)
        {
            _step.Frozen.Texts(part.Captions, _pooledTexts.Rows(0, part.Captions.Count));
        }

        if (_pooledPictures.IsPresent)
        {
            _step.Frozen.Pictures(part, _config.ImageTower.ImageSize, _pooledPictures.Rows(0, part.Count));
        }

        return CapacityFor(device, part.Captions);
    }

    // Sends a part to the device beside the work that is under way; with the first of a step goes what the whole step reads.
    private void Send(CudaDevice device, TrainingBatch batch, int index, in StepNumbers numbers, bool opensStep)
    {
        Forget();
        CudaUploads uploads = _uploads!;
        MicroBatch part = batch.MicroBatches[index];
        if (opensStep)
        {
            Add(batch, numbers);
        }

        TextCapacity capacity = CapacityFor(device, part.Captions);
        int rows = _pictures.Pixels.IsPresent ? _model.Image!.RowsOf(_config.ImageTower.ImageSize, _config.ImageTower.ImageSize) : 0;
        if (_counts.IsPresent)
        {
            _hostCounts[PicturesAt] = part.Count;
            _hostCounts[PictureRowsAt] = part.Count * rows;
            _hostCounts[TextsAt] = part.Captions.Count;
            uploads.Add<int>(_hostCounts, _counts);
        }

        if (!_kind.LooksUpTexts)
        {
            capacity.Upload(part.Captions, uploads);
        }

        if (rows > 0)
        {
            uploads.Add(_model.Image!.StartsOf(rows, _step.PartSize, part.Count), _pictures.CuSeqlens);
            if (_pictures.TokenKeys.IsPresent)
            {
                uploads.Add(_model.Image.KeysOf(part.Count, rows, part.Examples), _pictures.TokenKeys);
            }

            uploads.Add<float>(part.Pixels, _pictures.Pixels);
        }

        uploads.Send();
        _sent = part;
        _sentNumbers = numbers;
    }

    // Without a part: the first of the step is read from the host.
    private void UploadNumbers(TrainingBatch batch, in StepNumbers numbers)
    {
        Forget();
        Add(batch, numbers);
        _uploads!.Deliver();
    }

    private void Add(TrainingBatch batch, in StepNumbers numbers)
    {
        CudaUploads uploads = _uploads!;
        _step.Upload(batch, uploads);
        _optimizer.Upload(numbers.Step, numbers.LearningRate, numbers.TextLearningRate, _settings, uploads);
        Span<int> key = stackalloc int[2];
        DropoutSite.WriteKey(numbers.DropoutKey, key);
        uploads.Add<int>(key, _dropoutKey);
    }

    private void Forget()
    {
        _uploads!.Discard();
        _sent = null;
    }
}
