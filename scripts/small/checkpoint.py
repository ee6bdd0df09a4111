"""Checkpoints: one folder `epoch<k>` per epoch, always whole, and everything training needs to go on.

`model.json` holds the parameters, `optimizer.json` the optimizer's state, `metrics.json` the settings
and what was measured in each epoch so far. Numbers are stored as the bytes of little-endian doubles in
base64, so that what is read is what was written to the last bit. Nothing in a checkpoint depends on
the clock: two trainings alike leave the same bytes.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from array import array
from itertools import chain

from command_line import stop, sync_folder, write_durably
from corpus import SUBJECTS, VOCABULARY
from model import TextClassifier

_FORMAT = 1


class TornCheckpoint(Exception):
    """A folder that is no whole checkpoint; the message says what is wrong with it."""


class Checkpoint:
    """What is kept of a training after epoch number `epoch` (the first is 0).

    `settings` are the options that decide the training set and the model's shape, `majority` the most
    frequent label of that training set, `history` one dictionary of measurements per epoch.
    """

    def __init__(self, epoch: int, model: TextClassifier, squares, head_squares, settings, majority, history):
        self.epoch = epoch
        self.model = model
        self.squares = squares
        self.head_squares = head_squares
        self.settings = settings
        self.majority = majority
        self.history = history


def save(folder: str, checkpoint: Checkpoint) -> str:
    """Writes `folder/epoch<k>` so that it is there whole or not at all; returns its path."""
    model = checkpoint.model
    files = {
        "model.json": {
            "format": _FORMAT, "epoch": checkpoint.epoch, "latent_len": model.latent_len, "d_z": model.d_z,
            "pairs": [list(pair) for pair in model.pairs], "table": _pack(chain.from_iterable(model.table)),
            "weights": _pack(chain.from_iterable(model.weights)), "bias": _pack(model.bias),
        },
        "optimizer.json": {
            "squares": _pack(checkpoint.squares), "head_squares": _pack(checkpoint.head_squares),
        },
        "metrics.json": {
            "epoch": checkpoint.epoch, "settings": checkpoint.settings, "majority": checkpoint.majority,
            "history": checkpoint.history,
        },
    }
    name = "epoch%d" % checkpoint.epoch
    path = os.path.join(folder, name)
    partial = os.path.join(folder, ".%s.partial-%d" % (name, os.getpid()))
    os.makedirs(partial)
    for file_name, value in files.items():
        write_durably(os.path.join(partial, file_name), json.dumps(value))
    sync_folder(partial)
    replaced = os.path.join(folder, ".%s.replaced-%d" % (name, os.getpid()))
    if os.path.exists(path):
        os.rename(path, replaced)
    os.rename(partial, path)
    sync_folder(folder)
    shutil.rmtree(replaced, ignore_errors=True)
    return path


def load(path: str) -> Checkpoint:
    """Reads the checkpoint in folder `path`; raises TornCheckpoint when it is not whole."""
    if not os.path.isdir(path):
        raise TornCheckpoint("there is no folder %s" % path)
    try:
        parts = {}
        for name in ("model", "optimizer", "metrics"):
            with open(os.path.join(path, name + ".json"), encoding="utf-8") as file:
                parts[name] = json.load(file)
        return _assemble(parts["model"], parts["optimizer"], parts["metrics"])
    except FileNotFoundError as error:
        raise TornCheckpoint("%s is not there" % error.filename) from error
    except (ValueError, KeyError, TypeError) as error:
        raise TornCheckpoint("%s is not whole: %s" % (path, error)) from error


def load_or_stop(path: str) -> Checkpoint:
    """Reads the checkpoint in folder `path`; ends the script with one line when it is not whole."""
    if not path:
        stop("which checkpoint? give --ckpt FOLDER, or set JUMAR_CHECKPOINT")
    try:
        return load(path)
    except TornCheckpoint as error:
        stop("no checkpoint to use: %s" % error)


def newest_whole(folder: str, note) -> Checkpoint | None:
    """The newest whole checkpoint in `folder`, or None; `note` is told of each torn one passed over."""
    for epoch in sorted(_epochs(folder), reverse=True):
        try:
            return load(os.path.join(folder, "epoch%d" % epoch))
        except TornCheckpoint as error:
            note("passing over a torn checkpoint: %s" % error)
    return None


def clear_partial(folder: str) -> None:
    """Removes what a training that was killed while it wrote a checkpoint left behind."""
    for name in os.listdir(folder):
        if name.startswith(".epoch") and (".partial-" in name or ".replaced-" in name):
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)


def _epochs(folder: str) -> list[int]:
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [int(name[5:]) for name in names if name.startswith("epoch") and name[5:].isdecimal()]


def _assemble(model, optimizer, metrics) -> Checkpoint:
    if model["format"] != _FORMAT:
        raise ValueError("its format is %r, this program reads %d" % (model["format"], _FORMAT))
    if metrics["epoch"] != model["epoch"] or len(metrics["history"]) != model["epoch"] + 1:
        raise ValueError("its files are of different epochs")
    latent_len, d_z = model["latent_len"], model["d_z"]
    pairs = [tuple(pair) for pair in model["pairs"]]
    rows = VOCABULARY + len(pairs)
    classifier = TextClassifier(
        latent_len, d_z, pairs, _unpack_rows(model["table"], rows, d_z),
        _unpack_rows(model["weights"], len(SUBJECTS), latent_len * d_z), _unpack(model["bias"], len(SUBJECTS)))
    return Checkpoint(
        model["epoch"], classifier, _unpack(optimizer["squares"], rows),
        _unpack(optimizer["head_squares"], len(SUBJECTS)), metrics["settings"], metrics["majority"], metrics["history"])


def _pack(numbers) -> str:
    packed = array("d", numbers)
    if sys.byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode("ascii")


def _unpack(text: str, expected: int) -> list[float]:
    packed = array("d")
    packed.frombytes(base64.b64decode(text, validate=True))
    if sys.byteorder == "big":
        packed.byteswap()
    if len(packed) != expected:
        raise ValueError("%d numbers where %d belong" % (len(packed), expected))
    return packed.tolist()


def _unpack_rows(text: str, rows: int, width: int) -> list[list[float]]:
    numbers = _unpack(text, rows * width)
    return [numbers[row * width:(row + 1) * width] for row in range(rows)]
