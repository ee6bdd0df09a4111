"""How well predictions agree with labels, and small figures made of lists of numbers."""

from __future__ import annotations

import math

from corpus import SUBJECTS


def predictions(model, texts) -> list[int]:
    """The subject that the model thinks most likely for each (words, label) text."""
    answers = []
    for words, _ in texts:
        chances = model.predict(words)
        answers.append(chances.index(max(chances)))
    return answers


def accuracy(answers: list[int], texts) -> float:
    """The share of texts whose label the answers name, 0 to 1."""
    return sum(answer == label for answer, (_, label) in zip(answers, texts)) / len(texts)


def macro_f1(answers: list[int], texts) -> float:
    """The mean over the subjects of the harmonic mean of precision and recall, 0 to 1."""
    scores = []
    for subject in range(len(SUBJECTS)):
        right = sum(answer == subject == label for answer, (_, label) in zip(answers, texts))
        named = sum(answer == subject for answer in answers)
        there = sum(label == subject for _, label in texts)
        scores.append(2.0 * right / (named + there) if named + there else 0.0)
    return mean(scores)


def most_frequent(labels: list[int]) -> int:
    """The label that occurs most often, the lowest of several."""
    return max(range(len(SUBJECTS)), key=lambda label: (labels.count(label), -label))


def mean(numbers: list[float]) -> float:
    """The arithmetic mean of one or more numbers."""
    return math.fsum(numbers) / len(numbers)


def deviation(numbers: list[float]) -> float:
    """The sample standard deviation; 0 for a single number."""
    if len(numbers) < 2:
        return 0.0
    middle = mean(numbers)
    return math.sqrt(math.fsum([(number - middle) ** 2 for number in numbers]) / (len(numbers) - 1))


def percentile(ordered: list[float], percent: float) -> float:
    """The nearest-rank percentile of numbers in ascending order."""
    return ordered[max(0, math.ceil(percent / 100.0 * len(ordered)) - 1)]
