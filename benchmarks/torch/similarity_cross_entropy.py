#!/usr/bin/env python3
"""The PyTorch peer of the fused contrastive loss: the naive loss over the whole matrix of logits, as a fluent user writes it.

Gradients are compared first, in double, against the closed form. Then forward + backward is timed; one JSON line a size.

    OMP_NUM_THREADS=2 python3 benchmarks/torch/similarity_cross_entropy.py --threads 2 --rows 1024,4096 --width 512 --rounds 7

Needs PyTorch (Debian: python3-torch) and, to be a fair peer, an OpenMP build of OpenBLAS first on the library path (Debian:
libopenblas0-openmp, LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/openblas-openmp). A tuned allocator halves its time at large B: run it a
second time with GLIBC_TUNABLES=glibc.malloc.mmap_threshold=34359738368:glibc.malloc.trim_threshold=34359738368, and print both.

`dotnet run -c Release --project benchmarks -- loss-peer 1024,4096,16384 512` runs it with --serve, both allocators, in turns with the fused
loss on the same numbers: FOLDER holds captions and images (raw float32), gradients are written beside them, and each line "step" on
standard input times one call.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

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


def timed(captions, images, log_scale):
    """One forward + backward: the loss and its milliseconds."""
    captions.grad = images.grad = log_scale.grad = None
    started = time.perf_counter()
    loss = loss_of(captions, images, log_scale)
    loss.backward()
    return loss.item(), 1000 * (time.perf_counter() - started)


def serve(folder, rows, width):
    """Answers "loss" (gradients to the folder) and "step" (a timed call) with a JSON line each."""
    captions, images = (
        torch.frombuffer(bytearray((folder / name).read_bytes()), dtype=torch.float32).reshape(rows, width).requires_grad_() for name in ("captions", "images")
    )
    log_scale = torch.tensor(2.6, requires_grad=True)
    for line in sys.stdin:
        loss, milliseconds = timed(captions, images, log_scale)
        if line.strip() == "loss":
            (folder / "dcaptions").write_bytes(captions.grad.numpy().tobytes())
            (folder / "dimages").write_bytes(images.grad.numpy().tobytes())
        print(json.dumps({"loss": loss, "ms": milliseconds}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", default="1024,4096")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--serve", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    compare()
    if args.serve:
        serve(args.serve, int(args.rows), args.width)
        return
    for rows in map(int, args.rows.split(",")):
        captions = torch.randn(rows, args.width, requires_grad=True)
        images = torch.randn(rows, args.width, requires_grad=True)
        log_scale = torch.tensor(2.6, requires_grad=True)
        times = []
        for _ in range(args.rounds + 1):
            loss, milliseconds = timed(captions, images, log_scale)
            times.append(milliseconds)
        times = sorted(times[1:])
        print(
            json.dumps(
                {
                    "framework": f"torch {torch.__version__}",
                    "threads": args.threads,
                    "allocator": os.environ.get("GLIBC_TUNABLES", "default"),
                    "B": rows,
                    "E": args.width,
                    "loss": loss,
                    "bestMs": times[0],
                    "p50Ms": times[len(times) // 2],
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
