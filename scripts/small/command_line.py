"""What every script of the experiment does alike: options, one-line refusals, files and signals.

Nothing in here knows what the experiment is about.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys


class OneLineParser(argparse.ArgumentParser):
    """An option parser whose refusal is one line on standard error and exit status 2."""

    def error(self, message):
        stop(message)


def stop(message: str, status: int = 2):
    """Ends the script with one line on standard error; status 2 means that what it was given is wrong."""
    sys.stderr.write("%s: %s\n" % (os.path.basename(sys.argv[0]), message))
    sys.exit(status)


def run(main) -> None:
    """Runs a script's `main`: a signal ends it quietly, and a file that cannot be used gives one line.

    Any other exception is a crash and keeps its traceback.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    try:
        main()
        sys.stdout.flush()
    except OSError as error:
        stop("%s: %s" % (error.filename, error.strerror) if error.filename else str(error), status=1)


def whole_number(text: str) -> int:
    """An option's value that must be 1 or more."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("%r is not a whole number above zero" % text)
    return int(text)


def count(text: str) -> int:
    """An option's value that must be 0 or more."""
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError("%r is not a whole number" % text)
    return int(text)


def rate(text: str) -> float:
    """An option's value that must be a number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError("%r is not a number above zero" % text)
    return value


def counts(text: str) -> list[int]:
    """An option's value that is several numbers of 0 or more, spaces or commas between."""
    return [count(word) for word in text.replace(",", " ").split()]


def words(text: str) -> list[str]:
    """An option's value that is several words, spaces or commas between."""
    return text.replace(",", " ").split()


def one_of(names, what: str):
    """The type of an option that takes one of `names`; `what` says what they name."""
    def check(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError("no %s %r; there are %s" % (what, text, ", ".join(names)))
        return text
    return check


def some_of(names, what: str):
    """The type of an option that takes several of `names` (spaces or commas between), or `all`."""
    check = one_of(names, what)

    def check_each(text: str) -> list[str]:
        chosen = list(names) if text == "all" else [check(name) for name in text.replace(",", " ").split()]
        if not chosen:
            raise argparse.ArgumentTypeError("names no %s; there are %s" % (what, ", ".join(names)))
        return chosen
    return check_each


def write_json(path: str, value) -> None:
    """Writes `value` as JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: str, text: str) -> None:
    """Writes `text` to `path`, whole or not at all, and makes the folders it needs."""
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    partial = os.path.join(folder, ".%s.partial-%d" % (os.path.basename(path), os.getpid()))
    try:
        write_durably(partial, text)
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise
    sync_folder(folder)


def write_durably(path: str, text: str) -> None:
    """Writes a new file and waits until the disk has it."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: str) -> None:
    """Waits until the disk has the names in a folder."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
