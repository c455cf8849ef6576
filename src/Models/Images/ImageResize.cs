using CrossAlign.Models.Images.Resizing;

namespace CrossAlign.Models.Images;

/// <summary>
/// Resizes pictures to the very levels of Pillow's <c>Image.resize</c>: shrinking widens the filter, so that nothing aliases; weights are
/// normalised in double and rounded to 22 fraction bits; each pass sums integers, rounds and clips; a pass that changes nothing is left out.
/// </summary>
/// <remarks>Source: Pillow's resampling (Resample.c, Geometry.c for <see cref="ResizeFilter.Nearest"/>).</remarks>
public static class ImageResize
{
    /// <summary>Resizes a picture.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="width">The new width, at least 1.</param>
    /// <param name="height">The new height, at least 1.</param>
    /// <param name="filter">How.</param>
    /// <param name="order">Which pass comes first.</param>
    /// <returns>The resized picture; the same object where no size changes.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is below 1, the filter unknown, or the result larger than an array can be.</exception>
    public static RgbImage Resize(RgbImage image, int width, int height, ResizeFilter filter, ResizeOrder order = ResizeOrder.Pillow13) =>
        Resize(image, width, height, filter, order, 0, 0, width, height);

    /// <summary>Resizes a picture and keeps a window of the result; only that window is computed.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="width">The new width of the whole, at least 1.</param>
    /// <param name="height">The new height of the whole, at least 1.</param>
    /// <param name="filter">How.</param>
    /// <param name="order">Which pass comes first.</param>
    /// <param name="left">The window's first column.</param>
    /// <param name="top">The window's first row.</param>
    /// <param name="windowWidth">The window's width, at least 1.</param>
    /// <param name="windowHeight">The window's height, at least 1.</param>
    /// <returns>The window.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is below 1, the filter unknown, the window not inside the whole, or larger than an array can be.</exception>
    public static RgbImage Resize(
        RgbImage image, int width, int height, ResizeFilter filter, ResizeOrder order, int left, int top, int windowWidth, int windowHeight)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(windowWidth, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(windowHeight, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(left);
        ArgumentOutOfRangeException.ThrowIfNegative(top);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(left, width - windowWidth);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(top, height - windowHeight);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(3L * windowWidth * windowHeight, Array.MaxLength, nameof(windowWidth));
        if (!Enum.IsDefined(filter))
        {
            throw new ArgumentOutOfRangeException(nameof(filter), filter, "There is no such filter.");
        }

        ResamplingAxis across = new(image.Width, width, left, windowWidth);
        ResamplingAxis down = new(image.Height, height, top, windowHeight);
        if (across.IsWhole && down.IsWhole)
        {
            return image;
        }

        if (filter == ResizeFilter.Nearest)
        {
            return ResamplingPasses.Nearest(image, across, down);
        }

        bool verticalFirst = order == ResizeOrder.Pillow13 && image.Height > height && image.Height - (long)height > 2 * (image.Width - (long)width);
        ResamplingWeights columns = ResamplingWeights.Create(across, filter);
        ResamplingWeights rows = ResamplingWeights.Create(down, filter);
        return verticalFirst
            ? ResamplingPasses.Horizontal(ResamplingPasses.Vertical(image, rows, columns.FirstSource, columns.LastSource), columns.Shifted(columns.FirstSource), 0, windowHeight)
            : ResamplingPasses.Vertical(ResamplingPasses.Horizontal(image, columns, rows.FirstSource, rows.LastSource), rows.Shifted(rows.FirstSource), 0, windowWidth);
    }
}
