using CrossAlign.Models.Encoders;

namespace CrossAlign.Models.Training;

/// <summary>
/// A part of a training batch that goes through the towers at once: pictures <see cref="First"/> to <see cref="First"/> +
/// <see cref="Count"/> - 1 of the batch with their captions.
/// </summary>
internal sealed class MicroBatch
{
    /// <summary>Makes room.</summary>
    /// <param name="packing">How captions become rows.</param>
    /// <param name="first">The first picture's place in the batch.</param>
    /// <param name="count">Pictures.</param>
    /// <param name="pixelsPerPicture">Floats of a picture; 0 where English captions stand in for pictures.</param>
    public MicroBatch(TokenPacking packing, int first, int count, int pixelsPerPicture)
    {
        First = first;
        Count = count;
        Captions = new TokenBatch(packing);
        Examples = new int[count];
        Pictures = new int[count];
        Pixels = new float[count * pixelsPerPicture];
    }

    /// <summary>The first picture's place in the batch.</summary>
    public int First { get; }

    /// <summary>Pictures.</summary>
    public int Count { get; }

    /// <summary>
    /// The captions: caption k of picture i at place k * <see cref="Count"/> + i. Under a text-text objective the English captions
    /// that stand in for pictures follow.
    /// </summary>
    public TokenBatch Captions { get; }

    /// <summary>Numbers that name the pictures in the data set, for random numbers that do not depend on their place.</summary>
    public int[] Examples { get; }

    /// <summary>Indices of the pictures in the data set's store; not set where English captions stand in for pictures.</summary>
    public int[] Pictures { get; }

    /// <summary>(Count, 3, H, W).</summary>
    public float[] Pixels { get; }
}
