namespace CrossAlign.Models.Data;

/// <summary>A drawing style: one hand drew all its pictures.</summary>
/// <param name="Name">Its name in configurations and figures.</param>
/// <param name="Unseen">Whether it is kept out of training unless asked for, to measure an unseen style.</param>
/// <param name="Title">Its name for people.</param>
/// <param name="Licence">The licence of its pictures (an SPDX identifier), or empty.</param>
public sealed record PictureStyle(string Name, bool Unseen, string Title, string Licence);
