"""A stand-in for an evaluation: how often the trained number lies near a fresh sample."""

import argparse
import json
import os
import random

parser = argparse.ArgumentParser()
parser.add_argument("--ckpt", required=True)
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--out", required=True)
options = parser.parse_args()

with open(options.ckpt, encoding="utf-8") as file:
    weight = float(file.read())
generator = random.Random(options.seed)
near = sum(abs(generator.gauss(3.0, 1.0) - weight) < 1.0 for _ in range(500))
os.makedirs(os.path.dirname(options.out), exist_ok=True)
with open(options.out, "w", encoding="utf-8") as file:
    json.dump({"accuracy": near / 500, "seed": options.seed}, file)
print("accuracy", near / 500)
