#!/usr/bin/env python3
"""The PyTorch peer of `crossalign train --recipe album`: the same towers, batch, loss and optimiser, as a fluent user writes them.

Captions are padded to the longest of the batch. Pictures and captions are random numbers of the album's sizes: only time is
measured here, and it does not depend on the values. The default lengths are forty quantiles of the token counts of the album's
captions with the run's own tokenizer, the last one its limit. Prints one JSON line with captions a second.

    python3 benchmarks/torch/two_tower_training.py --threads 2 --steps 60

Needs PyTorch (Debian: python3-torch) and, to be a fair peer, an OpenMP build of OpenBLAS (Debian: libopenblas0-openmp).
"""

import argparse
import json
import math
import time

import torch
from torch import nn
import torch.nn.functional as F

ALBUM_LENGTHS = "3,3,3,3,3,4,4,4,4,4,4,4,4,4,4,5,5,5,5,5,5,5,5,6,6,6,6,6,6,7,7,7,7,8,8,9,9,10,11,16"


class Block(nn.Module):
    """One pre-LN encoder block."""

    def __init__(self, width, heads, feed_forward):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, feed_forward)
        self.down = nn.Linear(feed_forward, width)

    def forward(self, x, mask=None):
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        logits = q @ k.transpose(-1, -2) / math.sqrt(c // self.heads)
        if mask is not None:
            logits = logits.masked_fill(~mask[:, None, None, :], float("-inf"))
        x = x + self.out((logits.softmax(-1) @ v).transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class TextTower(nn.Module):
    """Embeddings with LayerNorm, one block, final LayerNorm, masked mean."""

    def __init__(self, vocabulary, positions, width, layers, heads, feed_forward):
        super().__init__()
        self.word = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(positions, width)
        self.token_type = nn.Embedding(1, width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads, feed_forward) for _ in range(layers))
        self.final = nn.LayerNorm(width)

    def forward(self, ids, mask):
        positions = torch.arange(ids.shape[1]) + 2
        x = self.norm(self.word(ids) + self.position(positions) + self.token_type.weight[0])
        for block in self.blocks:
            x = block(x, mask)
        x = self.final(x) * mask[:, :, None]
        return x.sum(1) / mask.sum(1, keepdim=True)


class ImageTower(nn.Module):
    """Patches, class token, positions, one block, final LayerNorm, mean over all tokens."""

    def __init__(self, size, patch, width, layers, heads, feed_forward):
        super().__init__()
        self.patch = nn.Conv2d(3, width, patch, patch)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, 1 + (size // patch) ** 2, width))
        self.blocks = nn.ModuleList(Block(width, heads, feed_forward) for _ in range(layers))
        self.final = nn.LayerNorm(width)

    def forward(self, pixels):
        x = self.patch(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.position
        for block in self.blocks:
            x = block(x)
        return self.final(x).mean(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--captions", type=int, default=4, help="captions a picture")
    parser.add_argument("--lengths", default=ALBUM_LENGTHS, help="token counts to draw captions from, special tokens included")
    parser.add_argument("--vocabulary", type=int, default=11325)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    lengths = torch.tensor([int(n) for n in args.lengths.split(",")])

    text = TextTower(args.vocabulary, 18, 96, 1, 4, 192)
    image = ImageTower(32, 8, 96, 1, 4, 192)
    text_head = nn.Linear(96, 512, bias=False)
    image_head = nn.Linear(96, 512, bias=False)
    log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
    modules = [text, image, text_head, image_head]
    parameters = [p for m in modules for p in m.parameters()]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.05},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            {"params": [log_scale], "weight_decay": 0.0, "lr": 1e-2},
        ],
        lr=2e-3,
        betas=(0.9, 0.98),
    )
    targets = torch.arange(args.batch)
    count = args.batch * args.captions
    loss = tokens = 0

    def step():
        nonlocal loss, tokens
        sizes = lengths[torch.randint(len(lengths), (count,))]
        mask = torch.arange(int(sizes.max()))[None, :] < sizes[:, None]
        ids = torch.randint(4, args.vocabulary, mask.shape)
        pixels = torch.randn(args.batch, 3, 32, 32)
        images = F.normalize(image_head(image(pixels)), dim=-1)
        captions = F.normalize(text_head(text(ids, mask)), dim=-1)
        scale = log_scale.exp()
        total = 0
        for k in range(args.captions):
            logits = scale * captions[k * args.batch : (k + 1) * args.batch] @ images.T
            total = total + (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
        total = total / args.captions
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters + [log_scale], 1.0)
        optimizer.step()
        with torch.no_grad():
            log_scale.clamp_(max=math.log(100))
        loss = float(total)
        tokens = int(sizes.sum())

    for _ in range(5):
        step()
    started = time.perf_counter()
    for _ in range(args.steps):
        step()
    seconds = time.perf_counter() - started
    print(
        json.dumps(
            {
                "framework": f"torch {torch.__version__}",
                "threads": args.threads,
                "captionsPerSecond": count * args.steps / seconds,
                "millisecondsPerStep": 1000 * seconds / args.steps,
                "tokensPerStep": tokens,
                "loss": loss,
            }
        )
    )


if __name__ == "__main__":
    main()
