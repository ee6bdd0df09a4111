"""One epoch of learning: mini-batch gradient descent with row-wise Adagrad.

The trainer keeps what the backward pass needs of a batch as a dense trainer does: for each example of
the batch its whole input, features × table rows. Pure Python visits only the cells that are not zero,
but the memory is really held, INPUT_MIB for each example, so a batch costs what a batch costs.
"""

from __future__ import annotations

import math
from array import array
from random import Random

from corpus import SUBJECTS, shuffled
from model import MAX_FEATURES, MAX_ROWS, TextClassifier, pooling_scale

INPUT_MIB = MAX_FEATURES * MAX_ROWS * 8 / 2**20
_KEPT_FEATURES = 0.5
_FIRST_SQUARE = 0.01


class Trainer:
    """Trains one model.

    `squares` (one number per table row) and `head_squares` (one per subject) are the optimizer's
    state: the sums of squared gradients so far, by whose root a step is divided.
    """

    def __init__(self, model: TextClassifier, learning_rate: float, batch_size: int, squares, head_squares):
        self.model = model
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.squares = squares
        self.head_squares = head_squares
        self._inputs: list[array] = []

    @classmethod
    def fresh(cls, model: TextClassifier, learning_rate: float, batch_size: int) -> "Trainer":
        """A trainer before its first step."""
        squares = [_FIRST_SQUARE] * len(model.table)
        return cls(model, learning_rate, batch_size, squares, [_FIRST_SQUARE] * len(SUBJECTS))

    def epoch(self, examples, epoch: int, seed: int) -> tuple[float, float]:
        """Learns from every (slots, label) example once, in an order that seed and epoch decide.

        Returns the mean loss in nats and the accuracy, both as measured while learning.
        Raises MemoryError when the batch does not fit in the memory allowed.
        """
        stream = Random("small:epoch:%d:%d" % (seed, epoch)).random
        order = shuffled(examples, stream)
        losses: list[float] = []
        correct = 0
        for start in range(0, len(order), self.batch_size):
            for loss, is_right in self._step(order[start:start + self.batch_size], stream):
                losses.append(loss)
                correct += is_right
        return math.fsum(losses) / len(losses), correct / len(losses)

    def _step(self, batch, stream) -> list[tuple[float, bool]]:
        """One step of descent; returns each example's loss and whether it was classified rightly."""
        model, results, saved = self.model, [], []
        head_gradient = [[0.0] * len(row) for row in model.weights]
        bias_gradient = [0.0] * len(model.bias)
        for index, (all_slots, label) in enumerate(batch):
            slots = _thinned(all_slots, stream)
            scale = pooling_scale(slots)
            self._hold_input(index, slots, scale)
            latent = model.latent(slots, scale)
            chances = model.chances(latent)
            results.append((-math.log(max(chances[label], 1e-12)), chances.index(max(chances)) == label))
            errors = list(chances)
            errors[label] -= 1.0
            latent_gradient = [0.0] * len(latent)
            for subject, error in enumerate(errors):
                row = model.weights[subject]
                latent_gradient = [so_far + error * weight for so_far, weight in zip(latent_gradient, row)]
                head_gradient[subject] = [so_far + error * z for so_far, z in zip(head_gradient[subject], latent)]
                bias_gradient[subject] += error
            saved.append((slots, [g * (1.0 - z * z) for g, z in zip(latent_gradient, latent)]))
        for index, (slots, gradient) in enumerate(saved):
            self._update_table(index, slots, gradient)
        self._update_head(head_gradient, bias_gradient)
        return results

    def _hold_input(self, index: int, slots, scale: float) -> None:
        """Writes an example's dense input, one line of MAX_ROWS cells per feature, for the backward pass."""
        if index == len(self._inputs):
            self._inputs.append(array("d", [0.0]) * (MAX_FEATURES * MAX_ROWS))
        held, line = self._inputs[index], 0
        for _, rows in slots:
            for row in rows:
                held[line + row] = scale
                line += MAX_ROWS

    def _update_table(self, index: int, slots, gradient: list[float]) -> None:
        """Takes the step for the table rows of one example, and leaves its dense input empty again."""
        table, squares, rate, d_z = self.model.table, self.squares, self.learning_rate, self.model.d_z
        held, line, sqrt = self._inputs[index], 0, math.sqrt
        for slot, rows in slots:
            part = gradient[slot * d_z:(slot + 1) * d_z]
            mean_square = math.fsum([g * g for g in part]) / d_z
            for row in rows:
                value = held[line + row]
                held[line + row] = 0.0
                line += MAX_ROWS
                squares[row] += value * value * mean_square
                step = rate * value / sqrt(squares[row])
                table[row] = [weight - step * g for weight, g in zip(table[row], part)]

    def _update_head(self, head_gradient, bias_gradient) -> None:
        """Takes the step for the softmax layer."""
        model = self.model
        for subject, gradient in enumerate(head_gradient):
            self.head_squares[subject] += math.fsum([g * g for g in gradient]) / len(gradient)
            step = self.learning_rate / math.sqrt(self.head_squares[subject])
            model.weights[subject] = [weight - step * g for weight, g in zip(model.weights[subject], gradient)]
            model.bias[subject] -= step * bias_gradient[subject]


def _thinned(slots, stream):
    """The slots with some features dropped at random, so that no single word is relied on."""
    kept = [(slot, [row for row in rows if stream() < _KEPT_FEATURES]) for slot, rows in slots]
    return [(slot, rows) for slot, rows in kept if rows]
