"""A stand-in for a training: fits one number, writes a checkpoint an epoch, goes on from the newest one, and has memory for
batches of 4 at most."""

import argparse
import glob
import os
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.add_argument("--epochs", type=int, required=True)
parser.add_argument("--batch-size", type=int, required=True)
parser.add_argument("--out", required=True)
options = parser.parse_args()

with open(options.data, encoding="utf-8") as file:
    data = [float(line) for line in file]

os.makedirs(options.out, exist_ok=True)
weight, first = 0.0, 0
for path in glob.glob(os.path.join(options.out, "epoch*")):
    epoch = int(path.rsplit("epoch", 1)[1])
    if epoch >= first:
        first = epoch + 1
        with open(path, encoding="utf-8") as file:
            weight = float(file.read())

for epoch in range(first, options.epochs):
    if options.batch_size > 4 and epoch == 2:
        sys.exit("torch.OutOfMemoryError: CUDA out of memory")
    for start in range(0, len(data), options.batch_size):
        batch = data[start:start + options.batch_size]
        weight += 0.02 * (sum(batch) / len(batch) - weight)
    path = os.path.join(options.out, "epoch%d" % epoch)
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write("%.6f\n" % weight)
    os.replace(path + ".part", path)
    time.sleep(0.2)
    print("epoch %d: weight %.3f" % (epoch, weight), flush=True)
