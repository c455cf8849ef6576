using System.Buffers.Binary;
using CrossAlign.Models.Images;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Images;

/// <summary>Pictures with changed, lost and repeated bytes: whatever a file holds, the outcome is a picture or an error for the user that names it.</summary>
public sealed class ImageDecoderMutationTests
{
    private const int Tries = 40;

    // Pixels enough for every fixture; what claims more is refused before anything is allocated.
    private static readonly ImageDecoder s_decoder = new() { MaxPixels = 1 << 18 };

    [Theory]
    [InlineData("png", false)]
    [InlineData("png", true)]
    [InlineData("jpeg", false)]
    public void AnyChangeGivesAPictureOrAnErrorThatNamesIt(string folder, bool mendsChecksums)
    {
        CounterRandom random = new(17, (uint)folder.Length, mendsChecksums ? 1u : 0u);
        int pictures = 0;
        int errors = 0;
        foreach (string file in Directory.GetFiles(Fixtures.PathOf("images", folder)).Where(f => !f.EndsWith(".safetensors", StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            byte[] original = File.ReadAllBytes(file);
            for (int attempt = 0; attempt < Tries; attempt++)
            {
                byte[] changed = Change(original, ref random);
                if (mendsChecksums)
                {
                    MendChecksums(changed);
                }

                string name = FormattableString.Invariant($"{Path.GetFileName(file)}, change {attempt}");
                try
                {
                    RgbImage image = s_decoder.Decode(changed, name);
                    Assert.Equal(3 * image.Width * image.Height, image.Pixels.Length);
                    pictures++;
                }
                catch (UserErrorException e)
                {
                    Assert.Contains(name, e.What, StringComparison.Ordinal);
                    errors++;
                }
            }
        }

        // Without checksums many a change is just another picture; both outcomes must have been met.
        Assert.True(pictures > 0 && errors > 20, FormattableString.Invariant($"{pictures} pictures, {errors} errors"));
    }

    private static byte[] Change(byte[] original, ref CounterRandom random)
    {
        List<byte> bytes = [.. original];
        for (int left = 1 + random.Next(3); left > 0 && bytes.Count > 16; left--)
        {
            // Headers are short: half of the changes fall into the first bytes.
            int at = random.Next(2) == 0 ? random.Next(Math.Min(bytes.Count, 120)) : random.Next(bytes.Count);
            int length = Math.Min(1 + random.Next(12), bytes.Count - at);
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes[at] = 0xFF;
                    break;
                case 3:
                    bytes.RemoveRange(at, length);
                    break;
                case 4:
                    bytes.InsertRange(at, bytes.GetRange(at, length));
                    break;
                default:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
            }
        }

        return [.. bytes];
    }

    // A changed PNG is refused for its checksums before its content is looked at: this goes past them.
    private static void MendChecksums(byte[] png)
    {
        for (int at = 8; at + 12 <= png.Length;)
        {
            uint length = BinaryPrimitives.ReadUInt32BigEndian(png.AsSpan(at));
            if (length > png.Length - at - 12)
            {
                return;
            }

            Span<byte> checkedBytes = png.AsSpan(at + 4, 4 + (int)length);
            BinaryPrimitives.WriteUInt32BigEndian(png.AsSpan(at + 8 + (int)length), Crc(checkedBytes));
            at += 12 + (int)length;
        }
    }

    private static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc & 1) != 0 ? (crc >> 1) ^ 0xEDB88320 : crc >> 1;
            }
        }

        return ~crc;
    }
}
