namespace CrossAlign.Models.Training;

/// <summary>Everything that one optimiser step is trained on, on the host. It is filled again and again; filling allocates nothing.</summary>
internal sealed class TrainingBatch
{
    /// <summary>Puts the micro-batches together.</summary>
    /// <param name="pictures">Pictures of the batch, B.</param>
    /// <param name="captionsPerPicture">Captions of each.</param>
    /// <param name="microBatches">Its parts, in order.</param>
    public TrainingBatch(int pictures, int captionsPerPicture, IReadOnlyList<MicroBatch> microBatches)
    {
        Pictures = pictures;
        CaptionsPerPicture = captionsPerPicture;
        MicroBatches = microBatches;
        Concepts = new int[pictures];
        Groups = new int[pictures];
    }

    /// <summary>Pictures of the batch, B.</summary>
    public int Pictures { get; }

    /// <summary>Captions of each picture.</summary>
    public int CaptionsPerPicture { get; }

    /// <summary>Its parts, in order.</summary>
    public IReadOnlyList<MicroBatch> MicroBatches { get; }

    /// <summary>(B): the concept that each picture shows.</summary>
    public int[] Concepts { get; }

    /// <summary>(B): the group of each concept.</summary>
    public int[] Groups { get; }

    /// <summary>Tokens of all captions.</summary>
    public int TokenCount
    {
        get
        {
            int count = 0;
            for (int i = 0; i < MicroBatches.Count; i++)
            {
                count += MicroBatches[i].Captions.TokenCount;
            }

            return count;
        }
    }

    /// <summary>Captions that were cut to the most tokens allowed.</summary>
    public int TruncatedCount
    {
        get
        {
            int count = 0;
            for (int i = 0; i < MicroBatches.Count; i++)
            {
                count += MicroBatches[i].Captions.TruncatedCount;
            }

            return count;
        }
    }
}
