"""Evaluates a checkpoint on one held-out set, drawn with a seed.

Beside the figures it keeps for every text whether the model, and whether the majority baseline, was
right (as strings of 0 and 1), which is what bootstrap.py resamples.
"""

from __future__ import annotations

import math
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import checkpoint as checkpoints
import command_line
import corpus
import metrics
import results


def main() -> None:
    """Reads the options, evaluates, writes the result and prints one line."""
    options = _options()
    trained = checkpoints.load_or_stop(options.checkpoint)
    texts = corpus.draw(options.dataset, options.samples, options.seed)
    answers, losses = [], []
    for start in range(0, len(texts), options.batch_size):
        for answer, loss in _judge(trained.model, texts[start:start + options.batch_size]):
            answers.append(answer)
            losses.append(loss)
    figures = {
        "accuracy": metrics.accuracy(answers, texts),
        "macro_f1": metrics.macro_f1(answers, texts),
        "loss": metrics.mean(losses),
        "majority_accuracy": metrics.accuracy([trained.majority] * len(texts), texts),
    }
    results.write(options.output_file, "evaluation", dict({
        "dataset": options.dataset, "seed": options.seed, "epoch": trained.epoch, "examples": len(texts),
        "training": trained.settings,
    }, **figures, correct=_marks(answers, texts), majority_correct=_marks([trained.majority] * len(texts), texts)))
    print("%s seed %d: accuracy %.3f, macro-F1 %.3f, loss %.3f, majority baseline %.3f" % (
        options.dataset, options.seed, figures["accuracy"], figures["macro_f1"], figures["loss"],
        figures["majority_accuracy"]))


def _judge(model, batch) -> list[tuple[int, float]]:
    """The most likely subject and the loss (nats) of each text of a batch."""
    chances = [model.predict(words) for words, _ in batch]
    return [(chance.index(max(chance)), -math.log(max(chance[label], 1e-12)))
            for chance, (_, label) in zip(chances, batch)]


def _marks(answers: list[int], texts) -> str:
    return "".join("1" if answer == label else "0" for answer, (_, label) in zip(answers, texts))


def _options():
    parser = command_line.OneLineParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--ckpt", "--checkpoint", dest="checkpoint", default=os.environ.get("JUMAR_CHECKPOINT"),
                        help="folder of the checkpoint (JUMAR_CHECKPOINT)")
    parser.add_argument("--dataset", required=True, type=command_line.one_of(corpus.HELD_OUT_SETS, "held-out set"),
                        help="one of " + ", ".join(corpus.HELD_OUT_SETS))
    parser.add_argument("--seed", type=command_line.count, default=42, help="draws the set (%(default)s)")
    parser.add_argument("--samples", type=command_line.whole_number, default=400, help="texts (%(default)s)")
    parser.add_argument("--batch-size", type=command_line.whole_number, default=16, help="(%(default)s)")
    parser.add_argument("--output-file", required=True, help="JSON file for the result")
    return parser.parse_args()


if __name__ == "__main__":
    command_line.run(main)
