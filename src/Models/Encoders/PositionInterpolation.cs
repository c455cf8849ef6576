using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// Position embeddings for pictures of other sizes: a bicubic resize of the square grid of positions (a = -0.75, half-pixel
/// centres, border clamped, no antialiasing), the class token's row unchanged. The resize is linear, so it is one matrix product
/// with a small table that is made once a size; its gradient is the product with the transpose.
/// </summary>
/// <remarks>Source: R. Keys, "Cubic convolution interpolation for digital image processing", 1981, with PyTorch's a.</remarks>
internal sealed class PositionInterpolation : IDisposable
{
    private const double A = -0.75;

    private readonly Device _device;
    private readonly int _gridSize;
    private readonly Dictionary<(int Rows, int Columns), Tensor> _tables = [];

    /// <summary>For a square grid.</summary>
    /// <param name="device">Where the tables lie.</param>
    /// <param name="gridSize">Rows and columns of the position embeddings.</param>
    public PositionInterpolation(Device device, int gridSize)
    {
        _device = device;
        _gridSize = gridSize;
    }

    /// <summary>The positions for a grid.</summary>
    /// <param name="position">(1 + G * G, C).</param>
    /// <param name="rows">Patches from top to bottom.</param>
    /// <param name="columns">Patches from left to right.</param>
    /// <param name="arena">Where a resized table is taken.</param>
    /// <returns>(1 + rows * columns, C): <paramref name="position"/> itself for the grid it is made for.</returns>
    public Tensor Positions(in Tensor position, int rows, int columns, TensorArena arena)
    {
        if (IsOwnGrid(rows, columns))
        {
            return position;
        }

        int patches = rows * columns;
        Tensor resized = arena.Take(DType.Float32, new Shape(1 + patches, position.Shape[1]));
        _device.Copy(position.Rows(0, 1), resized.Rows(0, 1));
        MatMul.Run(Table(rows, columns), position.Rows(1, _gridSize * _gridSize), resized.Rows(1, patches), MatMulLayout.NN);
        return resized;
    }

    /// <summary>Where the gradient of <see cref="Positions"/> is to be added: the parameter's own gradient, or a zeroed table of the resized grid.</summary>
    /// <param name="dPosition">(1 + G * G, C).</param>
    /// <param name="rows">Patches from top to bottom.</param>
    /// <param name="columns">Patches from left to right.</param>
    /// <param name="arena">Where a resized table is taken.</param>
    /// <returns>(1 + rows * columns, C).</returns>
    public Tensor GradientTarget(in Tensor dPosition, int rows, int columns, TensorArena arena)
    {
        if (IsOwnGrid(rows, columns))
        {
            return dPosition;
        }

        Tensor target = arena.Take(DType.Float32, new Shape(1 + (rows * columns), dPosition.Shape[1]));
        _device.Zero(target);
        return target;
    }

    /// <summary>Adds (+=) the gradient of a resized grid to the parameter's; nothing is left to do for the grid it is made for.</summary>
    /// <param name="dPositions">(1 + rows * columns, C), of <see cref="GradientTarget"/>.</param>
    /// <param name="dPosition">(1 + G * G, C).</param>
    /// <param name="rows">Patches from top to bottom.</param>
    /// <param name="columns">Patches from left to right.</param>
    public void Backward(in Tensor dPositions, in Tensor dPosition, int rows, int columns)
    {
        if (IsOwnGrid(rows, columns))
        {
            return;
        }

        Residual.Add(dPosition.Rows(0, 1), dPositions.Rows(0, 1), dPosition.Rows(0, 1));
        MatMul.Run(
            Table(rows, columns), dPositions.Rows(1, rows * columns), dPosition.Rows(1, _gridSize * _gridSize), MatMulLayout.TN, accumulate: true);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Tensor table in _tables.Values)
        {
            table.Memory.Dispose();
        }

        _tables.Clear();
    }

    private bool IsOwnGrid(int rows, int columns) => rows == _gridSize && columns == _gridSize;

    private Tensor Table(int rows, int columns)
    {
        if (_tables.TryGetValue((rows, columns), out Tensor known))
        {
            return known;
        }

        double[,] vertical = Weights(rows);
        double[,] horizontal = Weights(columns);
        float[] values = new float[checked(rows * columns * _gridSize * _gridSize)];
        int index = 0;
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
            {
                for (int y = 0; y < _gridSize; y++)
                {
                    for (int x = 0; x < _gridSize; x++)
                    {
                        values[index++] = (float)(vertical[row, y] * horizontal[column, x]);
                    }
                }
            }
        }

        Tensor table = _device.NewTensor(DType.Float32, new Shape(rows * columns, _gridSize * _gridSize));
        table.CopyFrom<float>(values);
        _tables.Add((rows, columns), table);
        return table;
    }

    // One dimension: how much each of the grid's places gives to each of the wanted ones.
    private double[,] Weights(int wanted)
    {
        double[,] weights = new double[wanted, _gridSize];
        double scale = (double)_gridSize / wanted;
        for (int i = 0; i < wanted; i++)
        {
            double centre = (scale * (i + 0.5)) - 0.5;
            int floor = (int)Math.Floor(centre);
            for (int tap = -1; tap <= 2; tap++)
            {
                int place = Math.Clamp(floor + tap, 0, _gridSize - 1);
                weights[i, place] += Cubic(Math.Abs(centre - (floor + tap)));
            }
        }

        return weights;
    }

    private static double Cubic(double distance) => distance switch
    {
        <= 1 => ((((A + 2) * distance) - (A + 3)) * distance * distance) + 1,
        < 2 => (((((distance - 5) * distance) + 8) * distance) - 4) * A,
        _ => 0,
    };
}
