"""The result files that the scripts leave for one another: JSON, each naming its kind and dataset."""

from __future__ import annotations

import json
import os

import command_line
from command_line import stop, write_json

EXPERIMENT = "small"


def write(path: str, kind: str, values: dict) -> None:
    """Writes one result of a kind (`evaluation`, `linear_probe`, …) to `path`, whole or not at all."""
    write_json(path, dict({"experiment": EXPERIMENT, "kind": kind}, **values))


def read_all(folder: str) -> tuple[dict, list[str]]:
    """The results anywhere below `folder`, by kind, in the order of their paths.

    Returns them with the paths of JSON files that cannot be read; JSON that is no result of this
    experiment is left out. Ends the script with one line when there is no such folder.
    """
    if not os.path.isdir(folder):
        stop("there is no results folder %s" % folder)
    by_kind: dict[str, list[dict]] = {}
    unreadable = []
    for path in _json_files(folder):
        try:
            with open(path, encoding="utf-8") as file:
                value = json.load(file)
        except (OSError, ValueError):
            unreadable.append(path)
            continue
        if isinstance(value, dict) and value.get("experiment") == EXPERIMENT and "kind" in value:
            by_kind.setdefault(value["kind"], []).append(value)
    return by_kind, unreadable


def only(found: dict, datasets: list[str] | None, seeds: list[int] | None) -> dict:
    """The results of these data sets, and the evaluations with these seeds; `None` leaves all."""
    def is_wanted(kind: str, result: dict) -> bool:
        of_a_dataset = datasets is None or result.get("dataset", datasets[0]) in datasets
        # Other measurements have a seed of their own.
        return of_a_dataset and (kind != "evaluation" or seeds is None or result["seed"] in seeds)

    chosen = {kind: [result for result in results if is_wanted(kind, result)] for kind, results in found.items()}
    for summary in chosen.get("statistics", []):
        summary["datasets"] = {name: figures for name, figures in summary["datasets"].items()
                               if datasets is None or name in datasets}
    return chosen


def add_options(parser) -> None:
    """The options that choose which of the results count."""
    parser.add_argument("--datasets", type=command_line.words, help="only these data sets count (all that are there)")
    parser.add_argument("--seeds", type=command_line.counts, help="only evaluations with these seeds count (all)")


def _json_files(folder: str) -> list[str]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.extend(os.path.join(place, name) for name in names
                     if name.endswith(".json") and not name.startswith("."))
    return sorted(found)
