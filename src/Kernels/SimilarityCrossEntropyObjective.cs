namespace CrossAlign.Kernels;

/// <summary>What is made of a matrix of logits.</summary>
public enum SimilarityCrossEntropyObjective
{
    /// <summary>Cross-entropy of a softmax over rows, columns or both (InfoNCE).</summary>
    Softmax,

    /// <summary>A logistic loss of each pair on its own, with a learned bias (SigLIP).</summary>
    Sigmoid,
}
