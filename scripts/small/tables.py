"""The combined results as a table for people: Markdown, and LaTeX that needs no package.

A row per dataset, a column per method. The best accuracy of a row is bold; a figure that was not
measured is a dash, and below the table stands what is missing.
"""

from __future__ import annotations

_METHODS = (("model", "model"), ("linear_probe", "linear probe"), ("token_budget", "token budget"),
            ("compression", "compression"))
_HEADINGS = ["dataset"] + [heading for _, heading in _METHODS] + ["latency p50 (ms)"]
_DASH = "-"


def markdown(combined: dict) -> str:
    """The table in Markdown, with a line for everything that is missing."""
    rows = [[dataset] + ["**%s**" % text if best else text for text, best in _cells(figures)]
            for dataset, figures in combined["datasets"].items()]
    widths = [max(len(row[column]) for row in rows + [_HEADINGS]) for column in range(len(_HEADINGS))]
    lines = ["| %s |" % " | ".join(cell.ljust(width) for cell, width in zip(row, widths))
             for row in [_HEADINGS, ["-" * width for width in widths]] + rows]
    return "\n".join(lines + [""] + ["- %s" % line for line in _notes(combined)]) + "\n"


def latex(combined: dict) -> str:
    """The table in LaTeX; what is missing stands below it in comments."""
    lines = [r"\begin{tabular}{l" + "r" * (len(_HEADINGS) - 1) + "}", r"\hline",
             " & ".join(_HEADINGS) + r" \\", r"\hline"]
    for dataset, figures in combined["datasets"].items():
        cells = [r"\textbf{%s}" % text if best else text for text, best in _cells(figures)]
        lines.append(" & ".join([_escaped(dataset)] + cells) + r" \\")
    lines += [r"\hline", r"\end{tabular}"] + ["%% %s" % line for line in _notes(combined)]
    return "\n".join(lines) + "\n"


def _cells(figures: dict) -> list[tuple[str, bool]]:
    """A row's figures as text, each with whether it is the row's best accuracy."""
    measured = {method: round(figures[method]["accuracy"], 3) for method, _ in _METHODS if method in figures}
    best = max(measured.values()) if len(measured) > 1 else None
    cells = [(_accuracy(figures.get(method)), method in measured and measured[method] == best)
             for method, _ in _METHODS]
    efficiency = figures.get("efficiency")
    return cells + [("%.3f" % efficiency["latency_ms"]["p50"] if efficiency else _DASH, False)]


def _accuracy(figures) -> str:
    if not figures:
        return _DASH
    text = "%.3f" % figures["accuracy"]
    if "accuracy_interval" in figures:
        return text + " (%.3f to %.3f)" % tuple(figures["accuracy_interval"])
    if "accuracy_deviation" in figures:
        return text + " (sd %.3f)" % figures["accuracy_deviation"]
    if "compression_ratio" in figures:
        return text + " (ratio %.1f)" % figures["compression_ratio"]
    return text


def _notes(combined: dict) -> list[str]:
    notes = ["missing: %s has left no result of %s" % (phase, ", ".join(kinds))
             for phase, kinds in combined["missing_phases"].items()]
    notes += ["incomplete: %s" % line for line in combined["incomplete"]]
    return ["accuracies, 0 to 1; the best of a row is bold; the model's interval is a 95 % bootstrap interval",
            *_same_texts(combined["datasets"])] + notes


def _same_texts(datasets: dict) -> list[str]:
    """A line for each baseline of shortened texts: what the model makes of the same texts unshortened."""
    lines = []
    for method, heading in _METHODS:
        measured = {dataset: figures[method] for dataset, figures in datasets.items()
                    if "full_text_accuracy" in figures.get(method, {})}
        if measured:
            lines.append("%s is measured on fewer texts; with all their words the model has %s" % (heading, ", ".join(
                "%.3f (%s, %d texts)" % (figures["full_text_accuracy"], dataset, figures["examples"])
                for dataset, figures in measured.items())))
    return lines


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(char, "\\" + char if char in "&%$#_{}" else char) for char in text)
