"""Fine-tuning all-MiniLM-L6-v2 on the pairs of `make-text-pairs.py` in PyTorch: retrieval before and after, and seconds.

    .venv/bin/python scripts/reference-pairs.py PAIRS --minilm MODEL [--steps N] [--batch N] [--threads N] [--unfreeze LAYERS]

In-batch negatives in both directions at a scale of 20, AdamW with a rate that rises over a tenth of the steps and then falls,
the rate, batch, steps and lengths of `deepfit train PAIRS/train.csv --validation PAIRS/validation.csv --test PAIRS/test.csv
--from MODEL`. Each column is encoded by itself. `--unfreeze` trains so many of the last layers alone.
"""

import argparse
import csv
import pathlib
import resource
import time

import torch
import torch.nn.functional as F
from transformers import AutoModel, AutoTokenizer

SCALE, RATE, DECAY, TOKENS = 20.0, 1e-4, 0.01, 256


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return [row[0] for row in rows], [row[1] for row in rows]


class Encoder:
    def __init__(self, model):
        self.tokenizer, self.network = AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model)

    def __call__(self, texts):
        inputs = self.tokenizer(texts, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
        hidden = self.network(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1)
        return F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


@torch.no_grad()
def retrieval(encode, pairs):
    encode.network.eval()
    whole = lambda texts: torch.cat([encode(texts[i : i + 32]) for i in range(0, len(texts), 32)])
    cosines = whole(pairs[0]) @ whole(pairs[1]).T
    ranks = 1 + (cosines > cosines.diagonal()[:, None]).sum(1)
    return f"mrr {(1 / ranks).mean():.4f}, recall@1 {(ranks <= 1).double().mean():.4f}, recall@10 {(ranks <= 10).double().mean():.4f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pairs", type=pathlib.Path)
    parser.add_argument("--minilm", required=True)
    parser.add_argument("--steps", type=int, default=374)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--unfreeze", type=int, help="train so many of the last layers alone")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    encode = Encoder(arguments.minilm)
    train, test = read(arguments.pairs / "train.csv"), read(arguments.pairs / "test.csv")
    print("before:", retrieval(encode, test), flush=True)
    if arguments.unfreeze is not None:
        encode.network.requires_grad_(False)
        for layer in encode.network.encoder.layer[-arguments.unfreeze :]:
            layer.requires_grad_(True)
    trained = [value for value in encode.network.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY)
    steps = arguments.steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    # As deepfit trains: without dropout.
    encode.network.eval()
    begun, order = time.time(), torch.randperm(len(train[0]))
    for step in range(steps):
        at = (step * arguments.batch) % (len(order) - arguments.batch + 1)
        rows = order[at : at + arguments.batch].tolist()
        logits = SCALE * encode([train[0][row] for row in rows]) @ encode([train[1][row] for row in rows]).T
        own = torch.arange(len(rows))
        loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    seconds = time.time() - begun
    print(f"{steps} steps in {seconds:.1f} s, {steps * arguments.batch / seconds:.1f} pairs a second")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    print("after:", retrieval(encode, test))


if __name__ == "__main__":
    main()
