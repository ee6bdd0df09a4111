"""What the token-budget and the compression baseline share: the same model, given shortened texts."""

from __future__ import annotations

import os

import checkpoint as checkpoints
import command_line
import corpus
import metrics
import results


def options_for(description: str, environment):
    """A parser with the options of both baselines; `environment` gives defaults for the three named."""
    parser = command_line.OneLineParser(description=description)
    sets = corpus.HELD_OUT_SETS
    parser.add_argument("--ckpt", "--checkpoint", dest="checkpoint", default=os.environ.get("JUMAR_CHECKPOINT"),
                        help="folder of the checkpoint (JUMAR_CHECKPOINT)")
    parser.add_argument("--dataset", type=command_line.some_of(sets, "held-out set"),
                        default=environment.get("DATASET") or "all", help="all, or some of " + ", ".join(sets))
    parser.add_argument("--samples", type=command_line.whole_number, default=environment.get("SAMPLES") or "200",
                        help="texts of each set (%(default)s)")
    parser.add_argument("--token-budget", type=command_line.whole_number,
                        help="words kept of each text (the checkpoint's latent length)")
    parser.add_argument("--seed", type=command_line.count, default=42, help="draws the sets (%(default)s)")
    parser.add_argument("--output-dir", default=environment.get("OUTPUT_DIR") or None, help="folder for DATASET.json")
    return parser


def measure(kind: str, options, shortener_for, details=None) -> None:
    """Classifies every set shortened, writes a result of `kind` for each and prints one line for each.

    `shortener_for(checkpoint, budget)` returns a function from a text's words to those it keeps;
    `details(shortener)` returns more to write down.
    """
    if not options.output_dir:
        command_line.stop("which folder for the results? give --output-dir")
    trained = checkpoints.load_or_stop(options.checkpoint)
    budget = options.token_budget or trained.model.latent_len
    shorten = shortener_for(trained, budget)
    for dataset in options.dataset:
        texts = corpus.draw(dataset, options.samples, options.seed)
        shortened = [(shorten(words), label) for words, label in texts]
        accuracy = metrics.accuracy(metrics.predictions(trained.model, shortened), shortened)
        full = metrics.accuracy(metrics.predictions(trained.model, texts), texts)
        ratio = sum(len(words) for words, _ in texts) / sum(len(words) for words, _ in shortened)
        results.write(os.path.join(options.output_dir, "%s.json" % dataset), kind, dict({
            "dataset": dataset, "seed": options.seed, "epoch": trained.epoch, "examples": len(texts),
            "token_budget": budget, "accuracy": accuracy, "full_text_accuracy": full, "compression_ratio": ratio,
        }, **(details(shorten) if details else {})))
        print("%s: accuracy %.3f with %d words of each text (%.3f with all), compression ratio %.2f" % (
            dataset, accuracy, budget, full, ratio))
