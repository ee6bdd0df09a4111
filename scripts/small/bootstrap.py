"""Bootstrap statistics over all evaluations: confidence intervals, and a test against the majority baseline.

A bootstrap sample of n texts draws n of them with replacement. All that its accuracy depends on is how
often it drew a text that was classified rightly, and that number is binomial; how often it drew one
that only the model, or only the baseline, classified rightly is multinomial. So the resampled counts
are drawn from exactly those distributions instead of text by text: the same bootstrap, much faster.
Each seed's texts are resampled by themselves, and the mean over the seeds is taken each time.
"""

from __future__ import annotations

import math
import os
import sys
from bisect import bisect_left
from itertools import accumulate
from random import Random

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import command_line
import metrics
import results

_CONFIDENCE = 95.0


def main() -> None:
    """Reads the evaluations, writes the summary of each dataset and prints one line for each."""
    options = _options()
    found, unreadable = results.read_all(options.results_dir)
    for path in unreadable:
        sys.stderr.write("bootstrap.py: passing over %s, which cannot be read\n" % path)
    found = results.only(found, options.datasets or None, options.seeds or None)
    by_dataset = _by_dataset(found.get("evaluation", []))
    if not by_dataset:
        command_line.stop("there are no evaluations in %s" % options.results_dir)
    summary = {}
    for dataset, evaluations in sorted(by_dataset.items()):
        stream = Random("small:bootstrap:%s:%d" % (dataset, options.seed)).random
        summary[dataset] = summarize(evaluations, options.bootstrap_samples, stream)
        print("%s: accuracy %.3f (%.3f to %.3f) over %s, %+.3f against the majority baseline, p = %.4g" % (
            (dataset, summary[dataset]["accuracy"]) + tuple(summary[dataset]["accuracy_interval"])
            + ("1 seed" if len(evaluations) == 1 else "%d seeds" % len(evaluations), summary[dataset]["gain"], summary[dataset]["p_value"])))
    results.write(options.output_file, "statistics", {
        "bootstrap_samples": options.bootstrap_samples, "confidence_percent": _CONFIDENCE, "datasets": summary})


def summarize(evaluations: list[dict], resamples: int, stream) -> dict:
    """The statistics of one dataset from its evaluations, one for each seed.

    `gain` is the model's accuracy less the majority baseline's on the same texts, `p_value` the
    two-sided bootstrap probability of a gain that far from zero if there were none.
    """
    accuracies = [[] for _ in evaluations]
    gains = [[] for _ in evaluations]
    for place, evaluation in enumerate(evaluations):
        marks, baseline = evaluation["correct"], evaluation["majority_correct"]
        size = len(marks)
        right = marks.count("1")
        better = sum(ours > theirs for ours, theirs in zip(marks, baseline))
        worse = sum(ours < theirs for ours, theirs in zip(marks, baseline))
        draws = _Binomials(stream)
        for _ in range(resamples):
            accuracies[place].append(draws.draw(size, right, size) / size)
            differing = draws.draw(size, better + worse, size)
            gained = draws.draw(differing, better, better + worse)
            gains[place].append((2 * gained - differing) / size)
    mean_accuracies = sorted(metrics.mean(drawn) for drawn in zip(*accuracies))
    mean_gains = sorted(metrics.mean(drawn) for drawn in zip(*gains))
    not_above = sum(gain <= 0.0 for gain in mean_gains)
    not_below = sum(gain >= 0.0 for gain in mean_gains)
    measured = [evaluation["accuracy"] for evaluation in evaluations]
    majority = metrics.mean([evaluation["majority_accuracy"] for evaluation in evaluations])
    return {
        "seeds": [evaluation["seed"] for evaluation in evaluations],
        "examples": sum(len(evaluation["correct"]) for evaluation in evaluations),
        "accuracy": metrics.mean(measured),
        "accuracy_deviation_over_seeds": metrics.deviation(measured),
        "accuracy_interval": _interval(mean_accuracies),
        "macro_f1": metrics.mean([evaluation["macro_f1"] for evaluation in evaluations]),
        "loss": metrics.mean([evaluation["loss"] for evaluation in evaluations]),
        "majority_accuracy": majority,
        "gain": metrics.mean(measured) - majority,
        "gain_interval": _interval(mean_gains),
        "p_value": min(1.0, 2.0 * (min(not_above, not_below) + 1) / (resamples + 1)),
    }


class _Binomials:
    """Draws binomial numbers by the inverse of their distribution, keeping each distribution it has met."""

    def __init__(self, stream):
        self._stream = stream
        self._tables: dict[tuple[int, int, int], list[float]] = {}

    def draw(self, trials: int, hits: int, out_of: int) -> int:
        """How many of `trials` succeed when each does with the chance hits / out_of."""
        if trials == 0 or hits == 0:
            return 0
        if hits == out_of:
            return trials
        key = (trials, hits, out_of)
        table = self._tables.get(key)
        if table is None:
            table = self._tables[key] = _cumulative(trials, hits / out_of)
        return min(bisect_left(table, self._stream()), trials)


def _cumulative(trials: int, chance: float) -> list[float]:
    """The chance of at most 0, 1, …, `trials` successes."""
    odds = math.log(chance) - math.log1p(-chance)
    logs = list(accumulate(range(1, trials + 1), lambda so_far, k: so_far + math.log((trials - k + 1) / k) + odds,
                           initial=trials * math.log1p(-chance)))
    return list(accumulate(map(math.exp, logs)))


def _interval(ordered: list[float]) -> list[float]:
    tail = (100.0 - _CONFIDENCE) / 2.0
    return [metrics.percentile(ordered, tail), metrics.percentile(ordered, 100.0 - tail)]


def _by_dataset(evaluations: list[dict]) -> dict[str, list[dict]]:
    """The evaluations of each dataset in the order of their seeds; ends the script when one is there twice."""
    by_dataset: dict[str, dict[int, dict]] = {}
    for evaluation in evaluations:
        seeds = by_dataset.setdefault(evaluation["dataset"], {})
        if evaluation["seed"] in seeds:
            command_line.stop("two evaluations of %s with seed %d" % (evaluation["dataset"], evaluation["seed"]))
        seeds[evaluation["seed"]] = evaluation
    return {dataset: [seeds[seed] for seed in sorted(seeds)] for dataset, seeds in by_dataset.items()}


def _options():
    parser = command_line.OneLineParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--results-dir", required=True, help="folder with what evaluate.py wrote")
    results.add_options(parser)
    parser.add_argument("--bootstrap-samples", type=command_line.whole_number, default=10000, help="(%(default)s)")
    parser.add_argument("--seed", type=command_line.count, default=42, help="decides the resampling (%(default)s)")
    parser.add_argument("--output-file", required=True, help="JSON file for the summary")
    return parser.parse_args()


if __name__ == "__main__":
    command_line.run(main)
