namespace CrossAlign.Runtime;

/// <summary>What an <see cref="OperationLog"/> knows of one operation.</summary>
/// <param name="Name">Its name, as in <c>LayerNorm.Forward</c>.</param>
/// <param name="Calls">How often it ran.</param>
/// <param name="Time">How long, all calls together.</param>
/// <param name="Arithmetic">Additions and multiplications of its matrix products, all calls together; 0 where it has none.</param>
public sealed record OperationTotal(string Name, long Calls, TimeSpan Time, long Arithmetic);
