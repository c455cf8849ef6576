#!/usr/bin/env python3
"""Encoding throughput of a 12-layer, 768-wide XLM-R: `crossalign embed` over PyTorch, in turns on the same machine and threads.

The same random weights and token ids go through both. PyTorch encodes batches of 64 in three ways: padded to the longest of the batch
(--ratio batch), the same with captions sorted by length first (sorted), and padded to 128 tokens as the paper's code does (128, on
fewer captions, since it takes so long). Vectors are compared before anything is timed. The program's time leaves out loading the
weights and counts everything after it; the peer's counts the forward passes alone, after one that warms up.

Prints one JSON line a round and a last one with the median ratios and their ranges (above 1: the program is faster).

    dotnet build src/Cli -c Release
    python3 benchmarks/torch/encoding_ratio.py --threads 2 --rounds 5 --lengths lengths.txt

--lengths: a file with a token count a line (`<s>` and `</s>` included), drawn from in order; without it forty quantiles of the token
counts of the photo album's captions. Needs PyTorch and NumPy (Debian: python3-torch).
"""

import argparse
import json
import os
import statistics
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from two_tower_training import ALBUM_LENGTHS

ROOT = Path(__file__).resolve().parents[2]
LAYERS, WIDTH, HEADS, FEED_FORWARD, VOCABULARY, POSITIONS = 12, 768, 12, 3072, 1000, 514
BATCH, PAPER_LENGTH, PAD = 64, 128, 1


def save(path, tensors):
    """A safetensors file of float32 and int64 arrays."""
    header, offset = {}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": {"float32": "F32", "int64": "I64"}[str(array.dtype)], "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())


def load(path, name):
    data = Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    entry = json.loads(data[8:8 + size])[name]
    start, end = entry["data_offsets"]
    return np.frombuffer(data[8 + size + start:8 + size + end], np.float32).reshape(entry["shape"])


def random_weights(seed):
    generator = np.random.default_rng(seed)

    def normal(*shape, scale):
        return (generator.standard_normal(shape, dtype=np.float32) * np.float32(scale)).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": normal(VOCABULARY, WIDTH, scale=0.1),
        "embeddings.position_embeddings.weight": normal(POSITIONS, WIDTH, scale=0.1),
        "embeddings.token_type_embeddings.weight": normal(1, WIDTH, scale=0.1),
    }

    def norm(name):
        weights[name + ".weight"] = 1 + normal(WIDTH, scale=0.1)
        weights[name + ".bias"] = normal(WIDTH, scale=0.1)

    def linear(name, inputs, outputs):
        weights[name + ".weight"] = normal(outputs, inputs, scale=inputs ** -0.5)
        weights[name + ".bias"] = normal(outputs, scale=0.1)

    norm("embeddings.LayerNorm")
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}."
        for part in ("query", "key", "value"):
            linear(layer + "attention.self." + part, WIDTH, WIDTH)
        linear(layer + "attention.output.dense", WIDTH, WIDTH)
        norm(layer + "attention.output.LayerNorm")
        linear(layer + "intermediate.dense", WIDTH, FEED_FORWARD)
        linear(layer + "output.dense", FEED_FORWARD, WIDTH)
        norm(layer + "output.LayerNorm")
    return weights


class Peer:
    """XLM-R's forward pass as a fluent user writes it: padded batches, fused query, key and value."""

    def __init__(self, weights):
        self.w = {name: torch.from_numpy(array) for name, array in weights.items()}
        self.qkv = []
        for i in range(LAYERS):
            parts = [f"encoder.layer.{i}.attention.self.{part}" for part in ("query", "key", "value")]
            self.qkv.append((torch.cat([self.w[p + ".weight"] for p in parts]), torch.cat([self.w[p + ".bias"] for p in parts])))

    def norm(self, x, name):
        return F.layer_norm(x, (WIDTH,), self.w[name + ".weight"], self.w[name + ".bias"], 1e-5)

    def linear(self, x, name):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def __call__(self, ids, mask):
        b, t = ids.shape
        positions = torch.cumsum(mask.long(), 1) * mask.long() + PAD
        x = F.embedding(ids, self.w["embeddings.word_embeddings.weight"]) + F.embedding(positions, self.w["embeddings.position_embeddings.weight"])
        x = self.norm(x + self.w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        hidden = ~mask[:, None, None, :]
        for i in range(LAYERS):
            layer = f"encoder.layer.{i}."
            q, k, v = F.linear(x, *self.qkv[i]).view(b, t, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
            logits = (q @ k.transpose(-1, -2)) * (WIDTH // HEADS) ** -0.5
            mixed = (logits.masked_fill(hidden, float("-inf")).softmax(-1) @ v).transpose(1, 2).reshape(b, t, WIDTH)
            x = self.norm(x + self.linear(mixed, layer + "attention.output.dense"), layer + "attention.output.LayerNorm")
            x = self.norm(x + self.linear(F.gelu(self.linear(x, layer + "intermediate.dense")), layer + "output.dense"), layer + "output.LayerNorm")
        weight = mask.float().unsqueeze(-1)
        return F.normalize((x * weight).sum(1) / weight.sum(1), dim=-1)

    def encode(self, ids, mask, order, pad_to=None):
        """Vectors in the order of the rows, and the seconds that they took."""
        lengths = mask.sum(1)
        vectors = torch.empty(len(order), WIDTH)
        start = time.perf_counter()
        with torch.no_grad():
            for first in range(0, len(order), BATCH):
                rows = order[first:first + BATCH]
                length = pad_to or int(lengths[rows].max())
                vectors[rows] = self(ids[rows, :length], mask[rows, :length])
        return vectors.numpy(), time.perf_counter() - start


def ours(program, folder, threads):
    """Vectors, and the seconds that the program names."""
    output = folder / "out.safetensors"
    command = [program, "embed", "--model", str(folder / "model"), "--ids", str(folder / "ids.safetensors"), "--pooling", "mean",
               "--normalize", "true", "--threads", str(threads), "--out", str(output), "--json"]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return load(output, "embeddings"), result["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "src/Cli/bin/Release/net10.0/crossalign"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--captions", type=int, default=512)
    parser.add_argument("--paper-captions", type=int, default=64, help="how many are padded to 128")
    parser.add_argument("--lengths")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    known = [int(n) for n in (Path(args.lengths).read_text().split() if args.lengths else ALBUM_LENGTHS.split(","))]
    generator = np.random.default_rng(1)
    lengths = np.minimum(generator.choice(known, args.captions), PAPER_LENGTH)
    ids = np.full((args.captions, PAPER_LENGTH), PAD, np.int64)
    for row, length in enumerate(lengths):
        ids[row, :length] = np.concatenate([[0], generator.integers(4, VOCABULARY, length - 2), [2]])
    mask = (np.arange(PAPER_LENGTH) < lengths[:, None])
    weights = random_weights(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model").mkdir()
        save(folder / "model" / "model.safetensors", weights)
        save(folder / "ids.safetensors", {"input_ids": ids, "attention_mask": mask.astype(np.int64)})
        config = {"model_type": "xlm-roberta", "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
                  "intermediate_size": FEED_FORWARD, "vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS, "type_vocab_size": 1,
                  "layer_norm_eps": 1e-5, "hidden_act": "gelu", "pad_token_id": PAD, "bos_token_id": 0, "eos_token_id": 2}
        (folder / "model" / "config.json").write_text(json.dumps(config))
        peer = Peer(weights)
        tensors = torch.from_numpy(ids), torch.from_numpy(mask)
        given, by_length, few = np.arange(args.captions), np.argsort(lengths, kind="stable"), np.arange(min(args.paper_captions, args.captions))
        own, _ = ours(args.program, folder, args.threads)
        theirs, _ = peer.encode(*tensors, given)
        difference = float(np.abs(own - theirs).max())
        if not difference <= 2e-5:
            raise SystemExit(f"the vectors differ by {difference}")
        print(json.dumps({"captions": args.captions, "tokens": int(lengths.sum()), "threads": args.threads, "largestDifference": difference,
                          "torch": torch.__version__, "load": os.getloadavg()[0]}), flush=True)
        rounds = []
        for number in range(1, args.rounds + 1):
            rate = args.captions / ours(args.program, folder, args.threads)[1]
            rates = {"batch": args.captions / peer.encode(*tensors, given)[1],
                     "sorted": args.captions / peer.encode(*tensors, by_length)[1],
                     "128": len(few) / peer.encode(*tensors, few, PAPER_LENGTH)[1]}
            rate = (rate + args.captions / ours(args.program, folder, args.threads)[1]) / 2
            rounds.append({key: rate / value for key, value in rates.items()})
            print(json.dumps({"round": number, "ours": rate, "torch": rates, "ratio": rounds[-1], "load": os.getloadavg()[0]}), flush=True)
        print(json.dumps({"medianRatio": {key: statistics.median(r[key] for r in rounds) for key in rounds[0]},
                          "range": {key: [min(r[key] for r in rounds), max(r[key] for r in rounds)] for key in rounds[0]}}))


if __name__ == "__main__":
    main()
