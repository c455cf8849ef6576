using System.Buffers.Binary;
using System.Security.Cryptography;
using CrossAlign.Models.Data.Pictures;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Data.Album;

/// <summary>
/// The album's pictures in one file: 64 bytes of header (the magic <c>CAALBUM1</c>, then little-endian int32 version, size S, count N,
/// then the SHA-256 of all that follows), int32 concept [N], int32 style [N], uint8 pixels [N, S, S, 3].
/// </summary>
internal static class PicturesFile
{
    private const int Version = 1;
    private const int HeaderByteCount = 64;
    private const int ChecksumOffset = 20;

    private static ReadOnlySpan<byte> Magic => "CAALBUM1"u8;

    /// <summary>Writes the file.</summary>
    /// <param name="path">Where.</param>
    /// <param name="size">S.</param>
    /// <param name="concepts">Concept of each picture.</param>
    /// <param name="styles">Style of each picture.</param>
    /// <param name="pictures">Pixels of each picture.</param>
    /// <exception cref="UserErrorException">It cannot be written.</exception>
    internal static void Write(string path, int size, int[] concepts, int[] styles, IReadOnlyList<byte[]> pictures)
    {
        byte[] indices = new byte[8 * concepts.Length];
        for (int i = 0; i < concepts.Length; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(indices.AsSpan(4 * i), concepts[i]);
            BinaryPrimitives.WriteInt32LittleEndian(indices.AsSpan(4 * (concepts.Length + i)), styles[i]);
        }

        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(indices);
        foreach (byte[] picture in pictures)
        {
            hash.AppendData(picture);
        }

        byte[] header = new byte[HeaderByteCount];
        Magic.CopyTo(header);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(8), Version);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(12), size);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(16), concepts.Length);
        hash.GetHashAndReset().CopyTo(header, ChecksumOffset);
        AtomicFile.Write(path, stream =>
        {
            stream.Write(header);
            stream.Write(indices);
            foreach (byte[] picture in pictures)
            {
                stream.Write(picture);
            }
        });
    }

    /// <summary>Reads the pictures at the size asked for.</summary>
    /// <param name="path">The file.</param>
    /// <param name="size">The size asked for; other than the file's, pictures are averaged over areas.</param>
    /// <param name="preprocessor">How pictures come to that size instead; null for none. One that only pads leaves squares as they are.</param>
    /// <returns>Pictures, concepts and styles.</returns>
    /// <exception cref="InvalidDataException">The file is not whole.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    internal static (PictureStore Pictures, int[] Concepts, int[] Styles) Read(string path, int size, ImagePreprocessor? preprocessor = null)
    {
        using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 20, FileOptions.SequentialScan);
        byte[] header = new byte[HeaderByteCount];
        if (stream.ReadAtLeast(header, header.Length, throwOnEndOfStream: false) < header.Length
            || !header.AsSpan(0, Magic.Length).SequenceEqual(Magic)
            || BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8)) != Version)
        {
            throw new InvalidDataException($"'{path}' is not an album of this version");
        }

        int stored = BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(12));
        int count = BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(16));
        long expected = HeaderByteCount + (8L * count) + (3L * stored * stored * count);
        if (stored is < 1 or > 4096 || count < 0 || stream.Length != expected)
        {
            throw new InvalidDataException($"'{path}' is cut short");
        }

        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] indices = new byte[8 * count];
        stream.ReadExactly(indices);
        hash.AppendData(indices);
        int[] concepts = new int[count];
        int[] styles = new int[count];
        for (int i = 0; i < count; i++)
        {
            concepts[i] = BinaryPrimitives.ReadInt32LittleEndian(indices.AsSpan(4 * i));
            styles[i] = BinaryPrimitives.ReadInt32LittleEndian(indices.AsSpan(4 * (count + i)));
        }

        PictureStore pictures = new(size, count);
        byte[] picture = new byte[3 * stored * stored];
        for (int i = 0; i < count; i++)
        {
            stream.ReadExactly(picture);
            hash.AppendData(picture);
            if (preprocessor is null or { Sizing: ImageSizing.Pad, CropHeight: 0 })
            {
                AreaResampling.Resize(picture, stored, pictures.Slot(i), size);
            }
            else
            {
                preprocessor.Fit(new RgbImage(stored, stored, picture)).Pixels.CopyTo(pictures.Slot(i));
            }
        }

        return hash.GetHashAndReset().AsSpan().SequenceEqual(header.AsSpan(ChecksumOffset, 32))
            ? (pictures, concepts, styles)
            : throw new InvalidDataException($"'{path}' differs from its checksum");
    }
}
