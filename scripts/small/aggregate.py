"""Combines the results that exist into final_results.json and a table in Markdown and LaTeX.

What is missing is named as missing: a phase without a result, a dataset without a figure, a seed that
was not evaluated, a file that cannot be read. Nothing is filled in.
"""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import command_line
import metrics
import results
import tables

_PHASE_OF_KIND = {
    "evaluation": "phase1_statistical", "statistics": "phase1_statistical", "linear_probe": "phase2_linear_probe",
    "token_budget": "phase3_baselines", "compression": "phase3_baselines", "efficiency": "phase4_efficiency",
}

_SHORTENED = ("accuracy", "full_text_accuracy", "compression_ratio", "token_budget", "examples")


def main() -> None:
    """Reads every result, writes the three files and says what is missing."""
    options = _options()
    found, unreadable = results.read_all(options.results_dir)
    found = results.only(found, options.datasets or None, options.seeds or None)
    if not any(found.get(kind) for kind in _PHASE_OF_KIND):
        command_line.stop("there are no results to combine in %s" % options.results_dir)
    combined = combine(found, unreadable)
    stem = os.path.splitext(options.output_file)[0]
    results.write(options.output_file, "final_results", combined)
    command_line.write_text(stem + ".md", tables.markdown(combined))
    command_line.write_text(stem + ".tex", tables.latex(combined))
    sys.stdout.write(tables.markdown(combined))


def combine(found: dict, unreadable: list[str]) -> dict:
    """All figures by dataset, and lines that say what is missing."""
    names = {result["dataset"] for kind in _PHASE_OF_KIND if kind != "statistics" for result in found.get(kind, [])}
    for summary in found.get("statistics", []):
        names.update(summary["datasets"])
    datasets = {name: _figures(name, found) for name in sorted(names)}
    missing = {}
    for kind, phase in _PHASE_OF_KIND.items():
        if not found.get(kind):
            missing.setdefault(phase, []).append(kind)
    return {"datasets": datasets, "missing_phases": missing, "incomplete": _incomplete(datasets, missing, unreadable)}


def _figures(dataset: str, found: dict) -> dict:
    """What was measured of one dataset; a figure that was not is not there."""
    figures = {}
    evaluations = sorted(_of(dataset, found, "evaluation"), key=lambda result: result["seed"])
    if evaluations:
        accuracies = [result["accuracy"] for result in evaluations]
        figures["model"] = {
            "accuracy": metrics.mean(accuracies), "accuracy_deviation_over_seeds": metrics.deviation(accuracies),
            "macro_f1": metrics.mean([result["macro_f1"] for result in evaluations]),
            "majority_accuracy": metrics.mean([result["majority_accuracy"] for result in evaluations]),
            "seeds": [result["seed"] for result in evaluations]}
    for summary in found.get("statistics", []):
        statistics = summary["datasets"].get(dataset)
        if statistics and evaluations and statistics["seeds"] == figures["model"]["seeds"]:
            figures["model"].update({name: statistics[name] for name in
                                     ("accuracy_interval", "gain", "gain_interval", "p_value")})
    for kind, names in (("linear_probe", ("accuracy", "accuracy_deviation", "cv_folds")),
                        ("token_budget", _SHORTENED), ("compression", _SHORTENED),
                        ("efficiency", ("latency_ms", "throughput_examples_per_second", "peak_memory_mib"))):
        for result in _of(dataset, found, kind):
            figures[kind] = {name: result[name] for name in names}
    return figures


def _of(dataset: str, found: dict, kind: str) -> list[dict]:
    return [result for result in found.get(kind, []) if result["dataset"] == dataset]


def _incomplete(datasets: dict, missing: dict, unreadable: list[str]) -> list[str]:
    """One line for each gap within a phase that did leave results."""
    lines = []
    absent = {kind for kinds in missing.values() for kind in kinds}
    for kind, name in (("evaluation", "model"), ("linear_probe", "linear_probe"), ("token_budget", "token_budget"),
                       ("compression", "compression"), ("efficiency", "efficiency")):
        without = [dataset for dataset, figures in datasets.items() if name not in figures]
        if without and kind not in absent:
            lines.append("%s: not measured for %s" % (kind, ", ".join(without)))
    seeds = {seed for figures in datasets.values() for seed in figures.get("model", {}).get("seeds", [])}
    for dataset, figures in datasets.items():
        lacking = sorted(seeds.difference(figures.get("model", {}).get("seeds", seeds)))
        if lacking:
            lines.append("evaluation: %s lacks seed %s" % (dataset, ", ".join(map(str, lacking))))
        if "model" in figures and "statistics" not in absent and "accuracy_interval" not in figures["model"]:
            lines.append("statistics: none for the evaluations that %s has now" % dataset)
    return lines + ["cannot be read: %s" % path for path in unreadable]


def _options():
    parser = command_line.OneLineParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--results-dir", required=True, help="folder with the results of all phases")
    results.add_options(parser)
    parser.add_argument("--output-file", required=True, help="JSON file; the tables are written beside it")
    return parser.parse_args()


if __name__ == "__main__":
    command_line.run(main)
