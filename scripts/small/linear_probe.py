"""Linear-probe baseline: how far a linear classifier gets on the checkpoint's frozen word layer.

The word layer is what the model knows of single words, before word pairs and tanh. The probe is fitted
to it by ridge regression on part of a held-out set and judged on the rest, in a stratified k-fold
cross-validation; the model is not changed. Unlike the model, the probe learns from the set it is
judged on, which helps it where a set differs from the training set.
"""

from __future__ import annotations

import math
import os
import sys
from operator import mul
from random import Random

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import checkpoint as checkpoints
import command_line
import corpus
import metrics
import results

_RIDGE = 1.0


def main() -> None:
    """Reads the options, cross-validates, writes the result and prints one line."""
    options = _options()
    trained = checkpoints.load_or_stop(options.checkpoint)
    if not 2 <= options.cv_folds <= options.samples:
        command_line.stop("%d folds of %d texts: give 2 folds or more, and no more than texts" % (
            options.cv_folds, options.samples))
    texts = corpus.draw(options.dataset, options.samples, options.seed)
    features = []
    for start in range(0, len(texts), options.batch_size):
        features.extend(trained.model.word_layer(words) + [1.0] for words, _ in texts[start:start + options.batch_size])
    labels = [label for _, label in texts]
    folds = stratified_folds(labels, options.cv_folds, Random("small:folds:%d" % options.seed).random)
    scores = cross_validate(features, labels, folds)
    path = os.path.join(options.output_dir, "%s.json" % options.dataset)
    results.write(path, "linear_probe", {
        "dataset": options.dataset, "seed": options.seed, "epoch": trained.epoch, "examples": len(texts),
        "features": len(features[0]) - 1, "cv_folds": options.cv_folds, "fold_accuracies": scores,
        "accuracy": metrics.mean(scores), "accuracy_deviation": metrics.deviation(scores)})
    print("%s: linear probe accuracy %.3f, standard deviation %.3f over %d folds" % (
        options.dataset, metrics.mean(scores), metrics.deviation(scores), len(scores)))


def stratified_folds(labels: list[int], count: int, stream) -> list[list[int]]:
    """The texts' indices dealt into `count` folds, each with its share of every label."""
    folds: list[list[int]] = [[] for _ in range(count)]
    dealt = 0
    for label in sorted(set(labels)):
        for index in corpus.shuffled([i for i, other in enumerate(labels) if other == label], stream):
            folds[dealt % count].append(index)
            dealt += 1
    return folds


def cross_validate(features: list[list[float]], labels: list[int], folds: list[list[int]]) -> list[float]:
    """The accuracy on each fold of a probe that was fitted on all others."""
    per_fold = [_products([features[i] for i in fold], [labels[i] for i in fold]) for fold in folds]
    scores = []
    for held_out, fold in enumerate(folds):
        others = [products for index, products in enumerate(per_fold) if index != held_out]
        summed = [[math.fsum(cells) for cells in zip(*rows)] for rows in zip(*others)]
        probe = list(zip(*_solve(summed, len(features[0]))))
        right = 0
        for index in fold:
            scored = [math.fsum(map(mul, row, features[index])) for row in probe]
            right += scored.index(max(scored)) == labels[index]
        scores.append(right / len(fold))
    return scores


def _products(features: list[list[float]], labels: list[int]) -> list[list[float]]:
    """The sums that least squares needs of some texts: a row per feature, features × [features | subjects]."""
    columns = list(zip(*features))
    targets = [[1.0 if label == subject else 0.0 for label in labels] for subject in range(len(corpus.SUBJECTS))]
    rows = [[0.0] * (len(columns) + len(targets)) for _ in columns]
    for i, column in enumerate(columns):
        for j in range(i, len(columns)):
            rows[i][j] = rows[j][i] = math.fsum(map(mul, column, columns[j]))
        for subject, target in enumerate(targets):
            rows[i][len(columns) + subject] = math.fsum(map(mul, column, target))
    return rows


def _solve(rows: list[list[float]], size: int) -> list[list[float]]:
    """The ridge solution, a row per feature; the matrix is positive definite, so no pivoting is needed."""
    for i in range(size):
        rows[i][i] += _RIDGE
    for i in range(size):
        pivot = rows[i]
        for j in range(i + 1, size):
            factor = rows[j][i] / pivot[i]
            if factor:
                rows[j][i:] = [value - factor * above for value, above in zip(rows[j][i:], pivot[i:])]
    solution: list[list[float]] = [[] for _ in range(size)]
    for i in range(size - 1, -1, -1):
        solved = list(zip(*solution[i + 1:])) or [()] * (len(rows[i]) - size)
        solution[i] = [(target - math.fsum(map(mul, rows[i][i + 1:size], below))) / rows[i][i]
                       for target, below in zip(rows[i][size:], solved)]
    return solution


def _options():
    parser = command_line.OneLineParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--ckpt", "--checkpoint", dest="checkpoint", default=os.environ.get("JUMAR_CHECKPOINT"),
                        help="folder of the checkpoint (JUMAR_CHECKPOINT)")
    parser.add_argument("--dataset", required=True, type=command_line.one_of(corpus.HELD_OUT_SETS, "held-out set"),
                        help="one of " + ", ".join(corpus.HELD_OUT_SETS))
    parser.add_argument("--cv-folds", type=command_line.whole_number, default=5, help="(%(default)s)")
    parser.add_argument("--samples", type=command_line.whole_number, default=400, help="texts (%(default)s)")
    parser.add_argument("--seed", type=command_line.count, default=42, help="draws set and folds (%(default)s)")
    parser.add_argument("--batch-size", type=command_line.whole_number, default=16, help="(%(default)s)")
    parser.add_argument("--output-dir", required=True, help="folder for DATASET.json")
    return parser.parse_args()


if __name__ == "__main__":
    command_line.run(main)
