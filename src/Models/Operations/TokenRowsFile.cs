using System.Globalization;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;

namespace CrossAlign.Models.Operations;

/// <summary>Token ids of another program: <c>input_ids</c> (N, T) and, where there is padding, <c>attention_mask</c> of that shape.</summary>
public static class TokenRowsFile
{
    /// <summary>Reads and checks the rows.</summary>
    /// <param name="file">The file.</param>
    /// <param name="tower">The tower that they are for.</param>
    /// <returns>The rows, marked as truncated where they are longer than the tower takes.</returns>
    /// <exception cref="UserErrorException">A tensor is missing or has another shape, an id is none of the tower's, or a row has no real token.</exception>
    public static TokenRow[] Read(SafetensorsFile file, TextTower tower)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(tower);
        SafetensorsEntry entry = file.Entry("input_ids");
        if (entry.Shape.Count != 2 || entry.Shape[1] == 0)
        {
            throw new UserErrorException($"'{file.Path}': 'input_ids' is {entry.ShapeText}; it must be a row a text", "give a matrix (N, T)");
        }

        int length = checked((int)entry.Shape[1]);
        int[] ids = file.ReadInt32s("input_ids");
        int[] mask = Beside(file, entry, "attention_mask");
        TokenRow[] rows = new TokenRow[entry.Shape[0]];
        for (int i = 0; i < rows.Length; i++)
        {
            int[] row = ids[(i * length)..((i + 1) * length)];
            int[] real = mask.Length == 0 ? [] : mask[(i * length)..((i + 1) * length)];
            foreach (int id in row)
            {
                if (id < 0 || id >= tower.Config.VocabularySize)
                {
                    throw new UserErrorException(
                        string.Create(CultureInfo.InvariantCulture, $"'{file.Path}': row {i} has the id {id}; the tower knows 0 to {tower.Config.VocabularySize - 1}"),
                        "take the tokenizer that belongs to the checkpoint");
                }
            }

            int last = real.Length == 0 ? length : Array.FindLastIndex(real, m => m != 0) + 1;
            rows[i] = last > 0
                ? new TokenRow(row, real, last > tower.Packing.MaxTokens)
                : throw new UserErrorException(string.Create(CultureInfo.InvariantCulture, $"'{file.Path}': row {i} has no real token"), "leave the row out, or correct attention_mask");
        }

        return rows;
    }

    /// <summary>A tensor of the shape of <c>input_ids</c>, or nothing where there is none.</summary>
    internal static int[] Beside(SafetensorsFile file, SafetensorsEntry ids, string name)
    {
        if (!file.TryGetEntry(name, out SafetensorsEntry? entry))
        {
            return [];
        }

        return entry.Shape.SequenceEqual(ids.Shape)
            ? file.ReadInt32s(name)
            : throw new UserErrorException($"'{file.Path}': '{name}' is {entry.ShapeText}, 'input_ids' is {ids.ShapeText}", "give both of one shape");
    }
}
