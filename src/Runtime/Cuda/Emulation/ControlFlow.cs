namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// Finds where the lanes that part at a branch meet again: the branch's immediate post-dominator. Source: K. D. Cooper, T. J. Harvey,
/// K. Kennedy, "A Simple, Fast Dominance Algorithm", 2001, on the reversed control-flow graph.
/// </summary>
internal static class ControlFlow
{
    /// <summary>Sets <see cref="PtxOp.Reconverge"/> of every branch; the end of the kernel is the number of operations.</summary>
    public static void FindReconvergence(PtxOp[] ops)
    {
        // Blocks: leaders are the first operation, targets, and what follows a branch or an exit.
        int n = ops.Length;
        bool[] leader = new bool[n + 1];
        leader[0] = true;
        for (int i = 0; i < n; i++)
        {
            if (ops[i].Kind is OpKind.Branch or OpKind.Exit)
            {
                leader[i + 1] = true;
                if (ops[i].Kind == OpKind.Branch)
                {
                    leader[ops[i].Target] = true;
                }
            }
        }

        List<int> starts = [];
        int[] blockOf = new int[n + 1];
        for (int i = 0; i < n; i++)
        {
            if (leader[i])
            {
                starts.Add(i);
            }

            blockOf[i] = starts.Count - 1;
        }

        int end = starts.Count;
        blockOf[n] = end;
        List<int>[] successors = new List<int>[end];
        List<int>[] predecessors = new List<int>[end + 1];
        for (int b = 0; b <= end; b++)
        {
            predecessors[b] = [];
        }

        for (int b = 0; b < end; b++)
        {
            PtxOp last = ops[(b + 1 < end ? starts[b + 1] : n) - 1];
            int next = b + 1;
            successors[b] = last.Kind switch
            {
                OpKind.Branch when last.Guard < 0 => [blockOf[last.Target]],
                OpKind.Branch => [blockOf[last.Target], next],
                OpKind.Exit when last.Guard < 0 => [end],
                OpKind.Exit => [end, next],
                _ => [next],
            };
            foreach (int s in successors[b])
            {
                predecessors[s].Add(b);
            }
        }

        int[] dominator = PostDominators(end, successors, predecessors);
        for (int i = 0; i < n; i++)
        {
            if (ops[i].Kind == OpKind.Branch)
            {
                int b = dominator[blockOf[i]];
                ops[i].Reconverge = b < 0 || b == end ? n : starts[b];
            }
        }
    }

    private static int[] PostDominators(int end, List<int>[] successors, List<int>[] predecessors)
    {
        // Postorder of the reversed graph from the end.
        int[] order = new int[end + 1];
        Array.Fill(order, -1);
        List<int> postorder = [];
        Stack<(int Node, int Next)> stack = new();
        bool[] seen = new bool[end + 1];
        seen[end] = true;
        stack.Push((end, 0));
        while (stack.Count > 0)
        {
            (int node, int next) = stack.Pop();
            if (next < predecessors[node].Count)
            {
                stack.Push((node, next + 1));
                int p = predecessors[node][next];
                if (!seen[p])
                {
                    seen[p] = true;
                    stack.Push((p, 0));
                }
            }
            else
            {
                order[node] = postorder.Count;
                postorder.Add(node);
            }
        }

        int[] dominator = new int[end + 1];
        Array.Fill(dominator, -1);
        dominator[end] = end;
        bool changed = true;
        while (changed)
        {
            changed = false;
            for (int i = postorder.Count - 2; i >= 0; i--)
            {
                int node = postorder[i];
                int best = -1;
                foreach (int s in successors[node])
                {
                    if (dominator[s] < 0)
                    {
                        continue;
                    }

                    best = best < 0 ? s : Intersect(dominator, order, best, s);
                }

                if (best >= 0 && dominator[node] != best)
                {
                    dominator[node] = best;
                    changed = true;
                }
            }
        }

        return dominator;
    }

    private static int Intersect(int[] dominator, int[] order, int a, int b)
    {
        while (a != b)
        {
            while (order[a] < order[b])
            {
                a = dominator[a];
            }

            while (order[b] < order[a])
            {
                b = dominator[b];
            }
        }

        return a;
    }
}
