namespace CrossAlign.Models.Images;

/// <summary>Puts pictures onto a ground.</summary>
internal static class ImagePadding
{
    /// <summary>Shows a picture whole in the middle of a white square.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="size">Height and width of the square.</param>
    /// <param name="filter">How it is resized.</param>
    /// <param name="order">Which pass comes first.</param>
    public static RgbImage Pad(RgbImage image, int size, ResizeFilter filter, ResizeOrder order)
    {
        int longer = Math.Max(image.Width, image.Height);
        RgbImage resized = ImageResize.Resize(image, Side(image.Width), Side(image.Height), filter, order);
        if (resized.Width == size && resized.Height == size)
        {
            return resized;
        }

        RgbImage square = new(size, size, new byte[3 * size * size]);
        square.Pixels.AsSpan().Fill(255);
        Place(resized, square, (size - resized.Width) / 2, (size - resized.Height) / 2);
        return square;

        int Side(int side) => Math.Max(1, (int)Math.Round((double)side * size / longer));
    }

    /// <summary>Copies a picture into a larger one.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="ground">The larger one.</param>
    /// <param name="left">The column of its left edge there.</param>
    /// <param name="top">The row of its upper edge there.</param>
    public static void Place(RgbImage image, RgbImage ground, int left, int top)
    {
        for (int y = 0; y < image.Height; y++)
        {
            image.Pixels.AsSpan(3 * y * image.Width, 3 * image.Width).CopyTo(ground.Pixels.AsSpan(3 * (((top + y) * ground.Width) + left)));
        }
    }
}
