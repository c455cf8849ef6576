using CrossAlign.Models.Images;

namespace CrossAlign.Models.Data.Pictures;

/// <summary>Brings a picture of any shape into a square of the size that a tower reads, by Pillow's bilinear resize.</summary>
internal static class SquareFitting
{
    /// <summary>Fits a picture.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="fit">How.</param>
    /// <param name="size">Height and width of the square.</param>
    /// <param name="destination">uint8 [size, size, 3], overwritten.</param>
    internal static void Fit(RgbImage image, PictureFit fit, int size, Span<byte> destination)
    {
        RgbImage square = fit switch
        {
            PictureFit.Pad => ImagePadding.Pad(image, size, ResizeFilter.Bilinear, ResizeOrder.Pillow13),
            PictureFit.Squash => ImageResize.Resize(image, size, size, ResizeFilter.Bilinear),
            _ => ImageResize.Resize(MiddleSquare(image), size, size, ResizeFilter.Bilinear),
        };
        square.Pixels.CopyTo(destination);
    }

    private static RgbImage MiddleSquare(RgbImage image)
    {
        int side = Math.Min(image.Width, image.Height);
        return ImageResize.Resize(
            image, image.Width, image.Height, ResizeFilter.Nearest, ResizeOrder.Pillow13, (image.Width - side) / 2, (image.Height - side) / 2, side, side);
    }
}
