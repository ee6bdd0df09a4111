"""Compression baseline: the classifier sees only the most informative words of each text.

How much a word tells of the subject is its mutual information with the label, measured on the
checkpoint's training set. The words kept stay in their order. OUTPUT_DIR, DATASET and SAMPLES in the
environment stand for --output-dir, --dataset and --samples.
"""

from __future__ import annotations

import math
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import command_line
import corpus
import shortened

_NAMED_WORDS = 10


def main() -> None:
    """Reads the options and measures what the `--token-budget` most informative words are worth."""
    options = shortened.options_for(__doc__.split("\n", 1)[0], os.environ).parse_args()
    shortened.measure("compression", options, Compressor, lambda compressor: {
        "most_informative": [corpus.spell(word) for word in compressor.most_informative(_NAMED_WORDS)]})


class Compressor:
    """Keeps the `budget` words of a text that told most of the label in a checkpoint's training set."""

    def __init__(self, trained, budget: int):
        texts = corpus.draw("train", trained.settings["samples"], trained.settings["seed"])
        self.information = information_of_words(texts)
        self.budget = budget

    def __call__(self, words: list[int]) -> list[int]:
        by_worth = sorted(range(len(words)), key=lambda place: (-self.information[words[place]], place))
        return [words[place] for place in sorted(by_worth[:self.budget])]

    def most_informative(self, count: int) -> list[int]:
        """The `count` words that tell most, the best first."""
        return sorted(range(corpus.VOCABULARY), key=lambda word: (-self.information[word], word))[:count]


def information_of_words(texts) -> list[float]:
    """For each word the mutual information, in nats, of "the text has it" and the text's label."""
    subjects = range(len(corpus.SUBJECTS))
    texts_of = [sum(label == subject for _, label in texts) for subject in subjects]
    with_word = [[0] * len(corpus.SUBJECTS) for _ in range(corpus.VOCABULARY)]
    for words, label in texts:
        for word in set(words):
            with_word[word][label] += 1
    return [_mutual_information(counts, texts_of) for counts in with_word]


def _mutual_information(with_word: list[int], texts_of: list[int]) -> float:
    total, having = sum(texts_of), sum(with_word)
    terms = []
    for there, of_subject in zip(with_word, texts_of):
        for joint, alone in ((there, having), (of_subject - there, total - having)):
            if joint:
                terms.append(joint / total * math.log(joint * total / (alone * of_subject)))
    return math.fsum(terms)


if __name__ == "__main__":
    command_line.run(main)
