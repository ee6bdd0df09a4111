"""The generated corpus: short texts about one of four subjects, and the five sets drawn from it.

A text is a few sentences. Most sentences are about the text's own subject, some digress to another
one; a sentence mixes words of its subject, words two subjects share, words that mean nothing, and
negations ("not" before a word of another subject), so that a word can only be judged together with
the word before it. The language itself is fixed; which texts are drawn is decided by the seed alone.

Only `Random.random()` is used, because it is the one stream that every Python version must keep.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from random import Random

SUBJECTS = ("garden", "harbour", "kitchen", "market")
HELD_OUT_SETS = ("clean", "noisy", "short", "shifted")
MAX_TOKENS = 160

_WORDS_PER_SUBJECT = 30
_WORDS_PER_PAIR = 15
_NEGATORS = 2
_FILLER_WORDS = 288
_PAIRS = [(a, b) for a in range(len(SUBJECTS)) for b in range(a + 1, len(SUBJECTS))]
_FIRST_SHARED = len(SUBJECTS) * _WORDS_PER_SUBJECT
_FIRST_NEGATOR = _FIRST_SHARED + len(_PAIRS) * _WORDS_PER_PAIR
_FIRST_FILLER = _FIRST_NEGATOR + _NEGATORS
VOCABULARY = _FIRST_FILLER + _FILLER_WORDS


class Style:
    """How the texts of one set are written: lengths, the shares of each kind of word, and the noise."""

    def __init__(self, sentences=(3, 6), words=(5, 13), focus=0.76, signal=0.20, negated=0.12,
                 shared=0.10, typos=0.0, wrong_labels=0.03, rank_shift=0, prior=(0.34, 0.26, 0.22, 0.18)):
        self.sentences = sentences          # fewest and most sentences of a text
        self.words = words                  # fewest and most words of a sentence
        self.focus = focus                  # chance that a sentence is about the text's subject
        self.signal = signal                # share of words that belong to the sentence's subject
        self.negated = negated              # share of negations of another subject's word
        self.shared = shared                # share of words that two subjects have in common
        self.typos = typos                  # chance that a word is replaced by any other
        self.wrong_labels = wrong_labels    # chance that the label is not the text's subject
        self.rank_shift = rank_shift        # by how many ranks the frequent words have changed
        self.prior = prior                  # how often each subject is written about


STYLES = {
    "train": Style(),
    "validation": Style(),
    "clean": Style(wrong_labels=0.0, focus=0.80),
    "noisy": Style(wrong_labels=0.06, typos=0.12, focus=0.72),
    "short": Style(sentences=(2, 3), words=(6, 10), negated=0.16, wrong_labels=0.02, focus=0.86),
    "shifted": Style(rank_shift=15, sentences=(3, 6), prior=(0.18, 0.22, 0.26, 0.34)),
}


def draw(set_name: str, size: int, seed: int) -> list[tuple[list[int], int]]:
    """Draws `size` labelled texts of a set, the same ones whenever the seed is the same.

    Returns (words, label) pairs: word numbers below VOCABULARY, and an index into SUBJECTS.
    """
    stream = Random("small:%s:%d" % (set_name, seed)).random
    writer = _Writer(STYLES[set_name], stream)
    return [writer.text() for _ in range(size)]


def shuffled(items: list, stream) -> list:
    """A copy of `items` in an order that `stream`, a function like Random.random, decides."""
    order = list(items)
    for last in range(len(order) - 1, 0, -1):
        other = int(stream() * (last + 1))
        order[last], order[other] = order[other], order[last]
    return order


def spell(word: int) -> str:
    """A word's spelling, for people: its kind and number, as in `kitchen-07`."""
    if word < _FIRST_SHARED:
        return "%s-%02d" % (SUBJECTS[word // _WORDS_PER_SUBJECT], word % _WORDS_PER_SUBJECT)
    if word < _FIRST_NEGATOR:
        pair, rank = divmod(word - _FIRST_SHARED, _WORDS_PER_PAIR)
        return "%s/%s-%02d" % (SUBJECTS[_PAIRS[pair][0]], SUBJECTS[_PAIRS[pair][1]], rank)
    if word < _FIRST_FILLER:
        return "not-%d" % (word - _FIRST_NEGATOR)
    return "filler-%03d" % (word - _FIRST_FILLER)


def _rank_table(size: int) -> list[float]:
    """Cumulative chances of ranks 0 … size-1, each rank rarer than the one before."""
    weights = [1.0 / (rank + 4) for rank in range(size)]
    total = math.fsum(weights)
    return [math.fsum(weights[: rank + 1]) / total for rank in range(size)]


class _Writer:
    """Writes the texts of one style from one stream of random numbers."""

    _SUBJECT_RANKS = _rank_table(_WORDS_PER_SUBJECT)
    _PAIR_RANKS = _rank_table(_WORDS_PER_PAIR)
    _FILLER_RANKS = _rank_table(_FILLER_WORDS)

    def __init__(self, style: Style, stream):
        self.style = style
        self.stream = stream

    def text(self) -> tuple[list[int], int]:
        style, stream = self.style, self.stream
        subject = self._subject()
        words: list[int] = []
        for _ in range(self._between(style.sentences)):
            theme = subject if stream() < style.focus else self._other_than(subject)
            for _ in range(self._between(style.words)):
                words.extend(self._words_about(theme))
        if style.typos:
            words = [int(stream() * VOCABULARY) if stream() < style.typos else word for word in words]
        label = self._other_than(subject) if stream() < style.wrong_labels else subject
        return words[:MAX_TOKENS], label

    def _words_about(self, theme: int) -> list[int]:
        style, stream = self.style, self.stream
        kind = stream()
        if kind < style.signal:
            return [self._subject_word(theme)]
        kind -= style.signal
        if kind < style.negated:
            negator = _FIRST_NEGATOR + int(stream() * _NEGATORS)
            return [negator, self._subject_word(self._other_than(theme))]
        kind -= style.negated
        if kind < style.shared:
            pair = _PAIRS.index(tuple(sorted((theme, self._other_than(theme)))))
            return [_FIRST_SHARED + pair * _WORDS_PER_PAIR + self._rank(self._PAIR_RANKS)]
        return [_FIRST_FILLER + self._rank(self._FILLER_RANKS)]

    def _subject_word(self, subject: int) -> int:
        rank = (self._rank(self._SUBJECT_RANKS) + self.style.rank_shift) % _WORDS_PER_SUBJECT
        return subject * _WORDS_PER_SUBJECT + rank

    def _rank(self, table: list[float]) -> int:
        return min(bisect_right(table, self.stream()), len(table) - 1)

    def _between(self, bounds: tuple[int, int]) -> int:
        return bounds[0] + int(self.stream() * (bounds[1] - bounds[0] + 1))

    def _other_than(self, subject: int) -> int:
        return (subject + 1 + int(self.stream() * (len(SUBJECTS) - 1))) % len(SUBJECTS)

    def _subject(self) -> int:
        chance = self.stream()
        for subject, share in enumerate(self.style.prior[:-1]):
            if chance < share:
                return subject
            chance -= share
        return len(SUBJECTS) - 1
