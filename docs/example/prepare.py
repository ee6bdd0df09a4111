"""Writes the data that train.py reads: numbers, one a line."""

import argparse
import random

parser = argparse.ArgumentParser()
parser.add_argument("--out", required=True)
options = parser.parse_args()

generator = random.Random(1)
with open(options.out, "w", encoding="utf-8") as file:
    for _ in range(1000):
        file.write("%.6f\n" % generator.gauss(3.0, 1.0))
print("wrote 1000 numbers to", options.out)
