"""The peer of the tokenizer benchmark: the SentencePiece C++ library, one thread, through its Python module.

    encode.py MODEL TEXTS        (a text a line; needs python3-sentencepiece)

Reads a command a line from standard input, `batch` (one call for all texts) or `single` (one call a text), and answers each with
a JSON line: seconds and tokens. `pieces N` answers with the ids of the first N texts, to check before timing.
"""
import json
import sys
import time

import sentencepiece

processor = sentencepiece.SentencePieceProcessor(model_file=sys.argv[1])
with open(sys.argv[2], encoding="utf-8", newline="\n") as file:
    texts = [line.rstrip("\n") for line in file]

for command in sys.stdin:
    words = command.split()
    if words[0] == "pieces":
        print(json.dumps(processor.encode(texts[: int(words[1])])), flush=True)
        continue
    start = time.perf_counter()
    if words[0] == "batch":
        ids = processor.encode(texts, num_threads=1)
    else:
        ids = [processor.encode(text) for text in texts]
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "tokens": sum(map(len, ids))}), flush=True)
