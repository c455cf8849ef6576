using CrossAlign.Models;

namespace CrossAlign.Cli;

/// <summary>An error in what was asked for, found before any work: exit code 2.</summary>
/// <param name="error">What is wrong and the remedy.</param>
internal sealed class WrongInvocationException(UserErrorException error) : Exception(error.Message, error)
{
    /// <summary>Runs a part of a command that only looks at the invocation.</summary>
    /// <typeparam name="T">What it gives.</typeparam>
    /// <param name="part">The part.</param>
    /// <returns>What it gives.</returns>
    /// <exception cref="WrongInvocationException">The part found an error.</exception>
    public static T Guard<T>(Func<T> part)
    {
        try
        {
            return part();
        }
        catch (UserErrorException e)
        {
            throw new WrongInvocationException(e);
        }
    }
}
