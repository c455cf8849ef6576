using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Training;

/// <summary>Where the numbers of an optimiser step lie on the device: (8), float32, each; see <see cref="AdamWSettings.Store"/>.</summary>
/// <param name="Common">Of what moves from the first step on.</param>
/// <param name="Image">Of an image tower that stood still at the start: its bias correction counts from there.</param>
/// <param name="Text">Of a text tower that stood still at the start.</param>
internal readonly record struct StoredStepSettings(Tensor Common, Tensor Image, Tensor Text);
