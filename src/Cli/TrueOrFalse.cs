using System.CommandLine;
using System.CommandLine.Parsing;

namespace CrossAlign.Cli;

/// <summary>
/// An option with <c>true</c> or <c>false</c> behind it; bare it is true. As an option of a flag's type, the parser would take another word
/// for an argument of the command and say that there is no such argument.
/// </summary>
internal sealed class TrueOrFalse
{
    public TrueOrFalse(string name, string description)
    {
        Option = new Option<string?>(name) { Description = description, Arity = ArgumentArity.ZeroOrOne, HelpName = "true|false" };
        Option.Validators.Add(result =>
        {
            if (result.Tokens is [Token token] && !bool.TryParse(token.Value, out _))
            {
                result.AddError($"{name} takes true or false, not '{token.Value}'");
            }
        });
    }

    public Option<string?> Option { get; }

    /// <summary>What an invocation says; null where it says nothing.</summary>
    public bool? Of(ParseResult parsed) => parsed.GetResult(Option) switch
    {
        null or { Implicit: true } => null,
        { Tokens: [Token token] } => bool.Parse(token.Value),
        _ => true,
    };
}
