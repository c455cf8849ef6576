using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels;

/// <summary>
/// All tensors that an optimiser trains, as <see cref="GradientNorm"/> and <see cref="AdamW"/> take them. Made once: on CUDA it is
/// the list that the kernels read from the device, so that a step is a few launches for any number of tensors.
/// </summary>
public sealed class AdamWParameters : IDisposable
{
    private readonly AdamWParameter[] _parameters;

    /// <summary>Makes the list. Factors, decay and maximum of the parameters are read now; changes made later have no effect.</summary>
    /// <param name="device">Where all of them lie.</param>
    /// <param name="parameters">The parameters; none are allowed.</param>
    /// <exception cref="ArgumentNullException">A parameter is null.</exception>
    /// <exception cref="ArgumentException">A parameter lies on another device.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    /// <exception cref="OutOfMemoryException">The device has no memory left for the list.</exception>
    public AdamWParameters(Device device, params ReadOnlySpan<AdamWParameter> parameters)
    {
        ArgumentNullException.ThrowIfNull(device);
        Device = device;
        _parameters = parameters.ToArray();
        Scales = new AdamWScales[_parameters.Length];
        for (int i = 0; i < _parameters.Length; i++)
        {
            AdamWParameter parameter = _parameters[i];
            ArgumentNullException.ThrowIfNull(parameter, nameof(parameters));
            if (!ReferenceEquals(parameter.Weight.Device, device))
            {
                throw new ArgumentException($"Parameter {i} lies on {parameter.Weight.Device.Name}, the others on {device.Name}.", nameof(parameters));
            }

            Scales[i] = new AdamWScales(
                (float)parameter.LearningRateFactor, (float)(parameter.LearningRateFactor * parameter.WeightDecay), parameter.Maximum);
        }

        Table = device.Kind switch
        {
            DeviceKind.Cpu or DeviceKind.Plan => null,
            DeviceKind.Cuda => new CudaParameterTable((CudaDevice)device, _parameters, Scales),
            _ => throw Check.NoBackend(device),
        };
    }

    /// <summary>Where all parameters lie.</summary>
    public Device Device { get; }

    /// <summary>How many there are.</summary>
    public int Count => _parameters.Length;

    /// <summary>The list on a CUDA device.</summary>
    internal CudaParameterTable? Table { get; }

    /// <summary>The numbers of each parameter.</summary>
    internal AdamWScales[] Scales { get; }

    /// <summary>A parameter.</summary>
    /// <param name="index">0 to <see cref="Count"/> - 1.</param>
    public AdamWParameter this[int index] => _parameters[index];

    /// <summary>Gives the list's own memory back; the parameters' tensors stay.</summary>
    public void Dispose() => Table?.Dispose();

    internal ReadOnlySpan<AdamWParameter> AsSpan() => _parameters;
}
