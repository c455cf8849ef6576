#!/usr/bin/env python3
"""Training throughput of `crossalign train --recipe album` over that of its PyTorch peer, in turns on the same machine and threads.

Prints one JSON line a round (captions a second of both, their ratio) and a last one with the median ratio. The program's rate counts
everything that a step does (drawing, augmenting and tokenising included); the peer's batches are random numbers.

    dotnet build src/Cli -c Release
    python3 benchmarks/torch/training_ratio.py --rounds 5

Needs what two_tower_training.py needs, and the photo album (`crossalign data photo-album`) or --data shapes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def ours(program, data, threads, steps):
    """Captions a second between step `steps` / 4 and the last step, from the run's own clock."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [program, "train", "--data", data, "--threads", str(threads), "--stop-after", str(steps), "--out", str(run), "--set", "evaluateEvery=0"]
        subprocess.run(command, check=True, capture_output=True)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        times = {line["step"]: datetime.fromisoformat(line["time"]) for line in lines if "loss" in line}
        config = json.loads((run / "config.json").read_text())
    first, last = steps // 4, steps
    captions = (last - first) * config["batchSize"] * config["captionsPerPicture"]
    return captions / (times[last] - times[first]).total_seconds()


def peer(threads, steps):
    script = Path(__file__).with_name("two_tower_training.py")
    command = [sys.executable, str(script), "--threads", str(threads), "--steps", str(steps)]
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return json.loads(output.splitlines()[-1])["captionsPerSecond"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "src/Cli/bin/Release/net10.0/crossalign"))
    parser.add_argument("--data", default="photo-album")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=120)
    args = parser.parse_args()
    ratios = []
    for number in range(1, args.rounds + 1):
        theirs = peer(args.threads, args.steps)
        own = ours(args.program, args.data, args.threads, args.steps)
        ratios.append(own / theirs)
        print(json.dumps({"round": number, "torch": theirs, "crossalign": own, "ratio": ratios[-1]}), flush=True)
    print(json.dumps({"medianRatio": statistics.median(ratios)}))


if __name__ == "__main__":
    main()
