#!/usr/bin/env python3
"""The PyTorch peer of the fused contrastive loss: the naive loss over the whole matrix of logits, as a fluent user writes it.

Gradients are compared first, in double, against the closed form. Then forward + backward is timed; one JSON line a size.

    OMP_NUM_THREADS=2 python3 benchmarks/torch/similarity_cross_entropy.py --threads 2 --rows 1024,4096 --width 512 --rounds 7

Needs PyTorch (Debian: python3-torch) and, to be a fair peer, an OpenMP build of OpenBLAS first on the library path (Debian:
libopenblas0-openmp, LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/openblas-openmp). A tuned allocator halves its time at large B: run it a
second time with GLIBC_TUNABLES=glibc.malloc.mmap_threshold=34359738368:glibc.malloc.trim_threshold=34359738368, and print both.
"""

import argparse
import json
import os
import time

import torch
import torch.nn.functional as F


def loss_of(captions, images, log_scale):
    """open_clip's ClipLoss on unit rows."""
    logits = log_scale.exp() * F.normalize(captions) @ F.normalize(images).t()
    targets = torch.arange(len(captions))
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.t(), targets)) / 2


def compare():
    """Autograd against the gradient in closed form, so that what is timed is the loss that is meant."""
    captions = torch.randn(33, 16, dtype=torch.float64, requires_grad=True)
    images = torch.randn(33, 16, dtype=torch.float64, requires_grad=True)
    log_scale = torch.tensor(2.6, dtype=torch.float64, requires_grad=True)
    loss_of(captions, images, log_scale).backward()
    with torch.no_grad():
        u, v = F.normalize(captions), F.normalize(images)
        logits = log_scale.exp() * u @ v.t()
        g = (logits.softmax(1) + logits.softmax(0) - 2 * torch.eye(33, dtype=torch.float64)) / 66
        du = log_scale.exp() * g @ v
        du = (du - u * (du * u).sum(1, keepdim=True)) / captions.norm(dim=1, keepdim=True)
        error = (du - captions.grad).norm() / du.norm()
        scale_error = abs((g * logits).sum() - log_scale.grad) / abs(log_scale.grad)
    assert error < 1e-12 and scale_error < 1e-10, (error, scale_error)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", default="1024,4096")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    compare()
    for rows in map(int, args.rows.split(",")):
        captions = torch.randn(rows, args.width, requires_grad=True)
        images = torch.randn(rows, args.width, requires_grad=True)
        log_scale = torch.tensor(2.6, requires_grad=True)
        times = []
        for _ in range(args.rounds + 1):
            captions.grad = images.grad = log_scale.grad = None
            started = time.perf_counter()
            loss = loss_of(captions, images, log_scale)
            loss.backward()
            times.append(1000 * (time.perf_counter() - started))
        times = sorted(times[1:])
        print(
            json.dumps(
                {
                    "framework": f"torch {torch.__version__}",
                    "threads": args.threads,
                    "allocator": os.environ.get("GLIBC_TUNABLES", "default"),
                    "B": rows,
                    "E": args.width,
                    "loss": loss.item(),
                    "bestMs": times[0],
                    "p50Ms": times[len(times) // 2],
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
