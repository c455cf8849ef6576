using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// One block of a transformer encoder. Pre-LN: <c>x += attention(LN1(x)); x += W2 act(W1 LN2(x))</c>. Post-LN:
/// <c>x = LN1(x + attention(x)); x = LN2(x + W2 act(W1 x))</c>. Written out forward and backward over tensors of an arena.
/// </summary>
/// <remarks>
/// Sources: A. Vaswani et al., "Attention Is All You Need", 2017 (post-LN); R. Xiong et al., "On Layer Normalization in the
/// Transformer Architecture", 2020 (pre-LN). The bias of the first feed-forward layer is added by the activation, whose backward
/// sweep also sums the bias's gradient.
/// </remarks>
internal sealed class EncoderBlock
{
    private readonly EncoderConfig _config;
    private readonly bool _causal;
    private readonly uint _firstSite;
    private readonly ParameterTensor _qkvWeight;
    private readonly ParameterTensor _qkvBias;
    private readonly ParameterTensor _outputWeight;
    private readonly ParameterTensor _outputBias;
    private readonly NormParameters _norm1;
    private readonly NormParameters _norm2;
    private readonly ParameterTensor _weight1;
    private readonly ParameterTensor _bias1;
    private readonly ParameterTensor _weight2;
    private readonly ParameterTensor _bias2;

    /// <summary>Adds the block's parameters to a store.</summary>
    /// <param name="config">The sizes.</param>
    /// <param name="layer">The block's number, from 0.</param>
    /// <param name="layout">What the tower's blocks have in common.</param>
    /// <param name="store">Where the parameters are kept.</param>
    /// <param name="scope">The part of the model.</param>
    public EncoderBlock(EncoderConfig config, int layer, TowerLayout layout, ParameterStore store, ParameterScope scope)
    {
        _config = config;
        _causal = layout.IsCausal;

        // The tower's first site is the embeddings'; each block has three: attention weights, what attention adds, what the feed-forward layer adds.
        _firstSite = layout.FirstDropoutSite + 1 + (3 * (uint)layer);
        int c = config.Width;
        int f = config.FeedForward;
        BlockNames names = BlockNames.For(config.ModelType, layer);
        _qkvWeight = store.AddJoined(
            scope, [names.Query + ".weight", names.Key + ".weight", names.Value + ".weight"], ParameterKind.LinearWeight, new Shape(c, c), c);
        _qkvBias = !layout.HasQueryKeyValueBias ? ParameterTensor.Absent : store.AddJoined(
            scope, [names.Query + ".bias", names.Key + ".bias", names.Value + ".bias"], ParameterKind.LinearBias, new Shape(c), c);
        (_outputWeight, _outputBias) = AddLinear(names.AttentionOutput, c, c);
        _norm1 = new NormParameters(store, scope, names.Norm1, c);
        (_weight1, _bias1) = AddLinear(names.FeedForward1, f, c);
        (_weight2, _bias2) = AddLinear(names.FeedForward2, c, f);
        _norm2 = new NormParameters(store, scope, names.Norm2, c);

        (ParameterTensor Weight, ParameterTensor Bias) AddLinear(string name, int outputs, int inputs) =>
            (store.Add(scope, name + ".weight", ParameterKind.LinearWeight, new Shape(outputs, inputs), inputs),
             store.Add(scope, name + ".bias", ParameterKind.LinearBias, new Shape(outputs), inputs));
    }

    /// <summary>Computes the block.</summary>
    /// <param name="input">(N, C).</param>
    /// <param name="rows">How the rows hang together.</param>
    /// <param name="a">Overwritten.</param>
    /// <param name="output">(N, C), overwritten; not <paramref name="input"/>.</param>
    public void Forward(in Tensor input, in PackedRows rows, in BlockActivations a, in Tensor output)
    {
        Tensor attentionInput = input;
        if (_config.IsPreNorm)
        {
            LayerNorm.Forward(input, _norm1.Weight.Value, _norm1.Bias.Value, a.Normed1, a.Mean1, a.Rstd1, _config.NormEpsilon);
            attentionInput = a.Normed1;
        }

        Linear.Forward(attentionInput, _qkvWeight.Operand, _qkvBias.Value, a.Qkv);
        Attention.Forward(a.Qkv, rows.CuSeqlens, a.Attended, a.Lse, _config.Heads, _causal, Site(rows, 0, _config.AttentionDropout));
        Linear.Forward(a.Attended, _outputWeight.Operand, _outputBias.Value, a.Sum1);
        Drop(a.Sum1, rows, 1);

        // The sum is formed in place, in the sweep that normalises it.
        NormParameters middle = _config.IsPreNorm ? _norm2 : _norm1;
        Tensor normed = _config.IsPreNorm ? a.Normed2 : a.Normed1;
        LayerNorm.Forward(
            a.Sum1, input, a.Sum1, middle.Weight.Value, middle.Bias.Value, normed, MiddleMean(a), MiddleRstd(a), _config.NormEpsilon);
        Linear.Forward(normed, _weight1.Operand, default, a.Hidden);
        Gelu.Forward(_config.Activation, a.Hidden, _bias1.Value, a.Activated);
        if (_config.IsPreNorm)
        {
            Linear.Forward(a.Activated, _weight2.Operand, _bias2.Value, output);
            Drop(output, rows, 2);
            Residual.Add(output, a.Sum1, output);
        }
        else
        {
            Linear.Forward(a.Activated, _weight2.Operand, _bias2.Value, a.Sum2);
            Drop(a.Sum2, rows, 2);
            LayerNorm.Forward(
                a.Sum2, normed, a.Sum2, _norm2.Weight.Value, _norm2.Bias.Value, output, a.Mean2, a.Rstd2, _config.NormEpsilon);
        }
    }

    /// <summary>The gradients of <see cref="Forward"/>: parameters' are added to (+=), the input's replaces the output's.</summary>
    /// <param name="input">(N, C), of the forward pass.</param>
    /// <param name="rows">Of the forward pass.</param>
    /// <param name="a">Of the forward pass.</param>
    /// <param name="g">Overwritten.</param>
    /// <param name="dX">(N, C): the output's gradient, overwritten by the input's.</param>
    public void Backward(in Tensor input, in PackedRows rows, in BlockActivations a, in BlockGradients g, in Tensor dX)
    {
        bool pre = _config.IsPreNorm;
        if (!pre)
        {
            LayerNorm.Backward(dX, a.Sum2, _norm2.Weight.Value, a.Mean2, a.Rstd2, dX, _norm2.Weight.Gradient, _norm2.Bias.Gradient);
        }

        Tensor dAdded = Undrop(dX, g, rows, 2);
        Linear.Backward(dAdded, a.Activated, _weight2.Operand, g.Wide, _weight2.Gradient, _bias2.Gradient);
        Gelu.Backward(_config.Activation, g.Wide, a.Hidden, _bias1.Value, g.Wide, _bias1.Gradient);
        if (pre)
        {
            Linear.Backward(g.Wide, a.Normed2, _weight1.Operand, g.Narrow, _weight1.Gradient, default);
            LayerNorm.Backward(
                g.Narrow, a.Sum1, _norm2.Weight.Value, a.Mean2, a.Rstd2, dX, _norm2.Weight.Gradient, _norm2.Bias.Gradient, accumulateInput: true);
        }
        else
        {
            Linear.Backward(g.Wide, a.Normed1, _weight1.Operand, dX, _weight1.Gradient, default, accumulateInput: true);
            LayerNorm.Backward(dX, a.Sum1, _norm1.Weight.Value, a.Mean1, a.Rstd1, dX, _norm1.Weight.Gradient, _norm1.Bias.Gradient);
        }

        dAdded = Undrop(dX, g, rows, 1);
        Linear.Backward(dAdded, a.Attended, _outputWeight.Operand, g.Narrow, _outputWeight.Gradient, _outputBias.Gradient);
        Attention.Backward(
            g.Narrow, a.Qkv, rows.CuSeqlens, a.Attended, a.Lse, g.DQkv, _config.Heads, _causal, Site(rows, 0, _config.AttentionDropout));
        if (pre)
        {
            Linear.Backward(g.DQkv, a.Normed1, _qkvWeight.Operand, g.Narrow, _qkvWeight.Gradient, _qkvBias.Gradient);
            LayerNorm.Backward(
                g.Narrow, input, _norm1.Weight.Value, a.Mean1, a.Rstd1, dX, _norm1.Weight.Gradient, _norm1.Bias.Gradient, accumulateInput: true);
        }
        else
        {
            Linear.Backward(g.DQkv, input, _qkvWeight.Operand, dX, _qkvWeight.Gradient, _qkvBias.Gradient, accumulateInput: true);
        }
    }

    private Tensor MiddleMean(in BlockActivations a) => _config.IsPreNorm ? a.Mean2 : a.Mean1;

    private Tensor MiddleRstd(in BlockActivations a) => _config.IsPreNorm ? a.Rstd2 : a.Rstd1;

    private DropoutSite Site(in PackedRows rows, uint place, float rate) =>
        rows.Pass.Dropout && rate > 0 ? rows.Site(rate, _firstSite + place) : default;

    private void Drop(in Tensor x, in PackedRows rows, uint place)
    {
        if (rows.Pass.Dropout && _config.HiddenDropout > 0)
        {
            Dropout.Forward(x, x, Site(rows, place, _config.HiddenDropout));
        }
    }

    private Tensor Undrop(in Tensor dX, in BlockGradients g, in PackedRows rows, uint place)
    {
        if (!rows.Pass.Dropout || _config.HiddenDropout <= 0)
        {
            return dX;
        }

        Dropout.Backward(dX, g.Dropped, Site(rows, place, _config.HiddenDropout));
        return g.Dropped;
    }
}
