"""The classifier: words and frequent word pairs, pooled into a small latent, read by a softmax layer.

Every word, and every pair of neighbours that the training set shows often enough, has a row of `d_z`
numbers in one table. A text's rows are pooled into `latent_len` slots (which slot a row goes to
follows from its number) and squashed by tanh; the `latent_len * d_z` numbers that come out are the
text's latent. A softmax layer turns it into a chance per subject. This file predicts; trainer.py learns.

Sums that must be the same on every Python are taken with math.fsum or in a written order.
"""

from __future__ import annotations

import math
from operator import mul
from random import Random

from corpus import MAX_TOKENS, SUBJECTS, VOCABULARY

MAX_ROWS = 4096
MAX_FEATURES = 2 * MAX_TOKENS
_LEAST_SEEN = 6


class TextClassifier:
    """The parameters of one model, and what it says of a text.

    `pairs` are the word pairs it knows; `table` has a row of d_z numbers for each word and then each
    pair; `weights` a row of latent_len * d_z numbers and `bias` one number for each subject.
    """

    def __init__(self, latent_len: int, d_z: int, pairs, table, weights, bias):
        self.latent_len = latent_len
        self.d_z = d_z
        self.pairs = pairs
        self.table = table
        self.weights = weights
        self.bias = bias
        self._pair_rows = {pair: VOCABULARY + index for index, pair in enumerate(pairs)}

    @classmethod
    def fresh(cls, latent_len: int, d_z: int, pairs, seed: int) -> "TextClassifier":
        """A model that has learned nothing: a table of zeros and small random weights drawn with the seed."""
        stream = Random("small:weights:%d" % seed).random
        size = latent_len * d_z
        scale = 2.0 / math.sqrt(size)
        table = [[0.0] * d_z for _ in range(VOCABULARY + len(pairs))]
        weights = [[(stream() - 0.5) * scale for _ in range(size)] for _ in SUBJECTS]
        return cls(latent_len, d_z, pairs, table, weights, [0.0] * len(SUBJECTS))

    def slots(self, words: list[int]) -> list[tuple[int, list[int]]]:
        """A text's table rows by slot: (slot, row numbers) in slot order, empty slots left out."""
        words = words[:MAX_TOKENS]
        pairs = [self._pair_rows[pair] for pair in zip(words, words[1:]) if pair in self._pair_rows]
        by_slot: dict[int, list[int]] = {}
        for row in words + pairs:
            by_slot.setdefault(row % self.latent_len, []).append(row)
        return sorted(by_slot.items())

    def latent(self, slots: list[tuple[int, list[int]]], scale: float) -> list[float]:
        """The latent of a text whose rows, each times `scale`, are pooled slot by slot."""
        table, d_z, fsum, tanh = self.table, self.d_z, math.fsum, math.tanh
        latent = [0.0] * (self.latent_len * d_z)
        for slot, rows in slots:
            pooled = map(fsum, zip(*[table[row] for row in rows]))
            latent[slot * d_z:(slot + 1) * d_z] = [tanh(scale * value) for value in pooled]
        return latent

    def chances(self, latent: list[float]) -> list[float]:
        """The chance of each subject, given a latent; they sum to one."""
        scores = [math.fsum(map(mul, row, latent)) + bias for row, bias in zip(self.weights, self.bias)]
        top = max(scores)
        powers = [math.exp(score - top) for score in scores]
        total = math.fsum(powers)
        return [power / total for power in powers]

    def word_layer(self, words: list[int]) -> list[float]:
        """What the table alone says of a text's words, pooled by slot: no word pairs, no tanh."""
        table, d_z = self.table, self.d_z
        scale = 1.0 / math.sqrt(max(1, len(words)))
        pooled = [0.0] * (self.latent_len * d_z)
        for word in words[:MAX_TOKENS]:
            start = word % self.latent_len * d_z
            pooled[start:start + d_z] = [so_far + scale * value for so_far, value in zip(pooled[start:], table[word])]
        return pooled

    def encode(self, words: list[int]) -> list[float]:
        """A text's latent, as the trained model sees it."""
        slots = self.slots(words)
        return self.latent(slots, pooling_scale(slots))

    def predict(self, words: list[int]) -> list[float]:
        """The chance of each subject for a text."""
        return self.chances(self.encode(words))


def pooling_scale(slots: list[tuple[int, list[int]]]) -> float:
    """By what a text's rows are multiplied, so that long and short texts give latents of one size."""
    return 1.0 / math.sqrt(max(1, sum(len(rows) for _, rows in slots)))


def frequent_pairs(texts: list[list[int]]) -> list[tuple[int, int]]:
    """The neighbouring words that the texts show often enough to learn from, most frequent first."""
    seen: dict[tuple[int, int], int] = {}
    for words in texts:
        for pair in zip(words, words[1:]):
            seen[pair] = seen.get(pair, 0) + 1
    often = sorted((-count, pair) for pair, count in seen.items() if count >= _LEAST_SEEN)
    return [pair for _, pair in often[:MAX_ROWS - VOCABULARY]]
