"""Trains the classifier epoch by epoch, and leaves a checkpoint after each.

A training that was killed goes on from its newest whole epoch when it is started again with the same
--out, and ends with the same bytes as one that was never killed. SMALL_MEMORY_MB limits the memory
that its batches may take (MiB beyond what data and model hold): a batch too large dies of MemoryError.
Of two trainings with the same --out the second waits, and then has nothing left to do.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import checkpoint as checkpoints
import command_line
import corpus
import metrics
from model import TextClassifier, frequent_pairs
from trainer import INPUT_MIB, Trainer

_VALIDATION_SIZE = 150


def main() -> None:
    """Reads the options and trains until the last epoch's checkpoint is there."""
    options = _options()
    settings = {"samples": options.samples, "seed": options.seed,
                "latent_len": options.latent_len, "d_z": options.d_z}
    os.makedirs(options.out, exist_ok=True)
    alone = _wait_until_alone(options.out)
    checkpoints.clear_partial(options.out)
    start = _start(options, settings)
    if start and start.epoch >= options.epochs - 1:
        if not os.path.isdir(os.path.join(options.out, "epoch%d" % start.epoch)):
            checkpoints.save(options.out, start)
        _say("all %d epochs are there already, nothing to train" % options.epochs)
    else:
        train(options, settings, start)
    os.close(alone)


def train(options, settings, start) -> None:
    """Trains the epochs that are missing after the checkpoint `start` (None: all of them)."""
    texts = corpus.draw("train", options.samples, options.seed)
    majority = metrics.most_frequent([label for _, label in texts])
    if start:
        trainer = Trainer(start.model, options.learning_rate, options.batch_size, start.squares, start.head_squares)
    else:
        pairs = frequent_pairs([words for words, _ in texts])
        fresh = TextClassifier.fresh(options.latent_len, options.d_z, pairs, options.seed)
        trainer = Trainer.fresh(fresh, options.learning_rate, options.batch_size)
    model = trainer.model
    examples = [(model.slots(words), label) for words, label in texts]
    validation = corpus.draw("validation", _VALIDATION_SIZE, options.seed)
    history = list(start.history) if start else []
    _limit_memory()
    _say("training on %d texts, batch %d (%d MiB of inputs held), latent %d x %d, learning rate %g" % (
        len(texts), options.batch_size, round(INPUT_MIB * options.batch_size),
        options.latent_len, options.d_z, options.learning_rate))
    for epoch in range(len(history), options.epochs):
        began = time.perf_counter()
        loss, accuracy = trainer.epoch(examples, epoch, options.seed)
        seconds = time.perf_counter() - began
        validated = metrics.accuracy(metrics.predictions(model, validation), validation)
        history.append({"epoch": epoch, "loss": loss, "train_accuracy": accuracy, "validation_accuracy": validated,
                        "batch_size": options.batch_size, "learning_rate": options.learning_rate})
        path = checkpoints.save(options.out, checkpoints.Checkpoint(
            epoch, model, trainer.squares, trainer.head_squares, settings, majority, history))
        _say("epoch %d of 0-%d  loss %.4f  train accuracy %.3f  validation accuracy %.3f  %.0f examples/s  %s" % (
            epoch, options.epochs - 1, loss, accuracy, validated, len(texts) / seconds, path))


def _wait_until_alone(folder: str) -> int:
    """Waits until no other training writes to `folder`; the lock on it goes with what is returned, or with this process."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say("another training writes to %s: waiting for it" % folder)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        _say("%s cannot be locked: nothing keeps another training away" % folder)
    return lock


def _start(options, settings):
    """The checkpoint to go on from, or None: the one that is named, else the newest in --out."""
    named = options.resume or os.environ.get("JUMAR_CHECKPOINT")
    if named:
        start = checkpoints.load_or_stop(named)
    else:
        start = checkpoints.newest_whole(options.out, _say)
    if start is None:
        return None
    for name, value in settings.items():
        if start.settings.get(name) != value:
            command_line.stop("the checkpoint epoch%d was trained with %s %s, not %s: use that, or another --out" % (
                start.epoch, name, start.settings.get(name), value))
    _say("going on after epoch %d of %s" % (start.epoch, named or options.out))
    return start


def _limit_memory() -> None:
    """Lets this process grow by SMALL_MEMORY_MB MiB of address space and no more."""
    text = os.environ.get("SMALL_MEMORY_MB", "").strip()
    if not text:
        return
    if not text.isdecimal() or int(text) < 1:
        command_line.stop("SMALL_MEMORY_MB is %r, which is not a whole number of MiB" % text)
    try:
        import resource
        with open("/proc/self/statm", encoding="ascii") as file:
            held = int(file.read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = held + int(text) * 2**20
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    except (ImportError, OSError, ValueError) as error:
        command_line.stop("SMALL_MEMORY_MB cannot be kept on this system: %s" % error)


def _options():
    parser = command_line.OneLineParser(description=__doc__.split("\n", 1)[0])
    number, count = command_line.whole_number, command_line.count
    parser.add_argument("--out", required=True, help="folder for the checkpoints epoch0, epoch1 and so on")
    parser.add_argument("--samples", type=number, default=800, help="texts in the training set (%(default)s)")
    parser.add_argument("--epochs", type=number, default=24, help="passes over the training set (%(default)s)")
    parser.add_argument("--batch-size", type=number, default=8, help="texts in a step (%(default)s)")
    parser.add_argument("--latent-len", type=number, default=8, help="slots of the latent (%(default)s)")
    parser.add_argument("--d-z", type=number, default=8, help="numbers in a slot (%(default)s)")
    parser.add_argument("--learning-rate", type=command_line.rate, default=0.05, help="(%(default)s)")
    parser.add_argument("--seed", type=count, default=42, help="decides data, weights and order (%(default)s)")
    parser.add_argument("--resume", metavar="CHECKPOINT",
                        help="checkpoint to go on from (JUMAR_CHECKPOINT, else the newest in --out)")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    command_line.run(main)
