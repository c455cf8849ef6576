using System.Buffers.Binary;
using System.Text;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Checkpoints;

public sealed class SafetensorsFileTests
{
    [Fact]
    public void ReadsAPublishedCheckpoint()
    {
        using SafetensorsFile file = SafetensorsFile.Open(Fixtures.PathOf("clip-model", "hf", "model.safetensors"));
        Assert.Equal("pt", file.Metadata["format"]);
        SafetensorsEntry scale = file.Entry("logit_scale");
        Assert.Equal((SafetensorsDType.F32, 0, 1L), (scale.DType, scale.Shape.Count, scale.Count));
        Assert.Equal([48, 3, 8, 8], file.Entry("vision_model.embeddings.patch_embedding.weight").Shape);
        Assert.All(file.ReadSingles("text_projection.weight"), v => Assert.True(float.IsFinite(v)));
    }

    [Theory]
    [InlineData("hf-bfloat16", SafetensorsDType.BF16, 0.004)]
    [InlineData("hf-float16", SafetensorsDType.F16, 0.0005)]
    public void WidensHalfPrecision(string folder, SafetensorsDType dtype, double relative)
    {
        using SafetensorsFile exact = SafetensorsFile.Open(Fixtures.PathOf("text-tower-xlm-roberta", "hf", "model.safetensors"));
        using SafetensorsFile half = SafetensorsFile.Open(Fixtures.PathOf("text-tower-xlm-roberta", folder, "model.safetensors"));
        const string Name = "encoder.layer.1.intermediate.dense.weight";
        Assert.Equal(dtype, half.Entry(Name).DType);
        float[] expected = exact.ReadSingles(Name);
        float[] actual = half.ReadSingles(Name);
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.InRange(actual[i], expected[i] - (Math.Abs(expected[i]) * relative) - 1e-7, expected[i] + (Math.Abs(expected[i]) * relative) + 1e-7);
        }
    }

    [Fact]
    public void WhatIsWrittenIsReadBack()
    {
        using TemporaryFolder folder = new();
        using CpuDevice device = new(1);
        Tensor tensor = device.NewTensor(DType.Float32, new Shape(2, 3));
        tensor.CopyFrom<float>([1, -2, 3.5f, float.MaxValue, 0, -0f]);
        SafetensorsWriter writer = new SafetensorsWriter().WithMetadata("model", "\"quoted\" ñ 日本");
        writer.Add("b/tensor", tensor);
        writer.Add("a", [2], new[] { long.MinValue, long.MaxValue });
        writer.Add("scalar", [], new[] { 0.1 });
        writer.Add("empty", [0, 7], Array.Empty<float>());
        writer.Add("ids", [3], new[] { 1, -1, 250001 });
        writer.AddRaw("half", SafetensorsDType.F16, [2], new byte[] { 0x00, 0x3C, 0x00, 0xC0 });
        writer.Save(folder.File("x.safetensors"));

        using SafetensorsFile file = SafetensorsFile.Open(folder.File("x.safetensors"));
        Assert.Equal("\"quoted\" ñ 日本", file.Metadata["model"]);
        Assert.Equal(tensor.ToArray<float>(), file.ReadSingles("b/tensor"));
        Assert.Equal([long.MinValue, long.MaxValue], file.ReadInt64s("a"));
        Assert.Equal([0.1], file.ReadDoubles("scalar"));
        Assert.Empty(file.ReadSingles("empty"));
        Assert.Equal([1, -1, 250001], file.ReadInt32s("ids"));
        Assert.Equal([1f, -2f], file.ReadSingles("half"));
        Tensor back = device.NewTensor(DType.Float32, new Shape(6));
        file.ReadSingles("b/tensor", back);
        Assert.Equal(tensor.ToArray<float>(), back.ToArray<float>());
        tensor.Memory.Dispose();
        back.Memory.Dispose();
    }

    [Fact]
    public void TheOrderOfAddingDoesNotChangeTheBytes()
    {
        Assert.Equal(Bytes("x", "y", "z"), Bytes("z", "x", "y"));

        static byte[] Bytes(params string[] names)
        {
            SafetensorsWriter writer = new();
            foreach (string name in names)
            {
                writer.Add(name, [1], new[] { (float)name[0] });
            }

            using MemoryStream stream = new();
            writer.Write(stream);
            return stream.ToArray();
        }
    }

    [Fact]
    public void AFullDiskOrMissingFolderLeavesNothingBehind()
    {
        using TemporaryFolder folder = new();
        SafetensorsWriter writer = new();
        writer.AddRaw("x", SafetensorsDType.U8, [1], new byte[] { 1 });
        File.WriteAllText(folder.File("file"), "not a folder");
        Assert.Throws<UserErrorException>(() => writer.Save(Path.Combine(folder.File("file"), "x.safetensors")));
        Assert.Single(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void AMissingTensorAndAWrongKindAreNamed()
    {
        using SafetensorsFile file = SafetensorsFile.Open(Fixtures.PathOf("two-towers", "data.safetensors"));
        Assert.Contains("'nothing'", Assert.Throws<UserErrorException>(() => file.ReadSingles("nothing")).Message, StringComparison.Ordinal);
        Assert.Contains("I64", Assert.Throws<UserErrorException>(() => file.ReadSingles("input_ids")).Message, StringComparison.Ordinal);
        Assert.Contains("F32", Assert.Throws<UserErrorException>(() => file.ReadInt64s("images")).Message, StringComparison.Ordinal);
    }

    // Each header breaks one rule; the message must name it.
    [Theory]
    [InlineData("[]", 0, "an object")]
    [InlineData("", 0, "JSON")]
    [InlineData("{", 0, "JSON")]
    [InlineData("{} {}", 0, "JSON")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},}", 4, "JSON")]
    [InlineData("{\"a\":[[[[[[[[[[[[]]]]]]]]]]]]}", 0, "an object for 'a'")]
    [InlineData("{\"a\":{\"dtype\":{\"b\":{\"b\":{\"b\":{\"b\":{\"b\":{\"b\":{\"b\":0}}}}}}}}}}", 0, "dtype of 'a'")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3, "truncated")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5, "belong to no tensor")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "[4, 0]")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "whole numbers")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "whole numbers")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "does not fill")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]}}", 4, "lies at")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "does not fill")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]}}", 4, "does not fill")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,18446744073709551615]}}", 4, "whole numbers")]
    [InlineData("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "F8_E4M3")]
    [InlineData("{\"a\":{\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "'f32'")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 0, "lacks")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "unknown key 'x'")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "twice")]
    [InlineData("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, "'a' stands twice")]
    [InlineData("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3, "overlaps")]
    [InlineData("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}", 3, "gap")]
    [InlineData("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, "gap")]
    [InlineData("{\"__metadata__\":{\"a\":1}}", 0, "__metadata__.a")]
    [InlineData("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "'a' stands twice")]
    public void ABrokenHeaderIsRefusedWithItsReason(string header, int dataByteCount, string reason)
    {
        UserErrorException e = Assert.Throws<UserErrorException>(() => Open(header, dataByteCount));
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
        Assert.Contains("x.safetensors", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0UL, "JSON")]
    [InlineData(100UL, "announces a header of 100 bytes")]
    [InlineData(ulong.MaxValue, "announces")]
    [InlineData(1UL << 63, "announces")]
    public void AWrongHeaderLengthIsRefused(ulong length, string reason)
    {
        using TemporaryFolder folder = new();
        byte[] bytes = new byte[10];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        bytes[8] = (byte)'{';
        bytes[9] = (byte)'}';
        File.WriteAllBytes(folder.File("x.safetensors"), bytes);
        UserErrorException e = Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(folder.File("x.safetensors")));
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void EveryTruncationIsRefused()
    {
        byte[] whole = File.ReadAllBytes(Fixtures.PathOf("two-towers", "moments-paper.safetensors"));
        using TemporaryFolder folder = new();
        foreach (int length in new[] { 0, 1, 7, 8, 9, 100, 700, whole.Length / 2, whole.Length - 1 })
        {
            File.WriteAllBytes(folder.File("x.safetensors"), whole[..length]);
            Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(folder.File("x.safetensors")));
        }
    }

    [Fact]
    public void FlippedHeaderBytesNeverReadOutOfBounds()
    {
        // Whatever a flipped bit makes of the header: a clear error, or a file whose every tensor can be read.
        SafetensorsWriter writer = new SafetensorsWriter().WithMetadata("k", "v");
        writer.Add("first", [2, 2], new[] { 1f, 2, 3, 4 });
        writer.Add("second", [3], new[] { 1L, 2, 3 });
        using MemoryStream stream = new();
        writer.Write(stream);
        byte[] whole = stream.ToArray();
        using TemporaryFolder folder = new();
        string path = folder.File("x.safetensors");
        CounterRandom random = new(7, 0xF11B, 0);
        int refused = 0;
        for (int round = 0; round < 400; round++)
        {
            byte[] bytes = (byte[])whole.Clone();
            bytes[random.Next(bytes.Length - 40)] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(path, bytes);
            try
            {
                using SafetensorsFile file = SafetensorsFile.Open(path);
                foreach (SafetensorsEntry entry in file.Entries)
                {
                    Assert.Equal(entry.ByteCount, file.ReadBytes(entry.Name).Length);
                }
            }
            catch (UserErrorException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 200, 399);
    }

    private static void Open(string header, int dataByteCount)
    {
        using TemporaryFolder folder = new();
        byte[] json = Encoding.UTF8.GetBytes(header);
        byte[] bytes = new byte[8 + json.Length + dataByteCount];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)json.Length);
        json.CopyTo(bytes, 8);
        File.WriteAllBytes(folder.File("x.safetensors"), bytes);
        SafetensorsFile.Open(folder.File("x.safetensors")).Dispose();
    }
}
