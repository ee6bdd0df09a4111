#!/usr/bin/env python3
"""Draws run.svg: a terminal in which docs/example really fails and is resumed, as the current binary shows it.

    python3 docs/picture.py target/debug/jumar > docs/run.svg

Needs tmux. The colours and attributes are those that `tmux capture-pane -e` reports (ECMA-48 SGR sequences).
"""

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

COLUMNS, ROWS = 104, 80
CELL_WIDTH, LINE_HEIGHT, MARGIN, BAR = 8.4, 18, 14, 30
COMMANDS = ["jumar run pipeline.rhai", "BATCH_SIZE=4 jumar resume"]
PALETTE = ["#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4",
           "#6e7681", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#f0f6fc"]
FOREGROUND, BACKGROUND = "#c9d1d9", "#0d1117"


def record(binary):
    """The lines that the terminal shows, with their escape sequences."""
    socket = "jumar-picture-%d" % os.getpid()
    tmux = lambda *words: subprocess.run(["tmux", "-L", socket, *words], check=True, stdout=subprocess.PIPE, text=True).stdout
    with tempfile.TemporaryDirectory() as home:
        work = os.path.join(home, "work")
        shutil.copytree(os.path.join(os.path.dirname(os.path.abspath(__file__)), "example"), work)
        os.mkdir(os.path.join(home, "bin"))
        os.symlink(os.path.abspath(binary), os.path.join(home, "bin", "jumar"))
        shell = "env -i HISTFILE= HOME=%s TERM=tmux-256color PATH=%s/bin:%s PS1='$ ' bash --norc --noprofile -i" % (home, home, os.environ["PATH"])
        tmux("-f", "/dev/null", "new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), "-c", work, shell)
        try:
            for count, command in enumerate(COMMANDS, 1):
                wait(lambda: prompts(tmux("capture-pane", "-p")) == count)
                tmux("send-keys", "-l", command)
                tmux("send-keys", "Enter")
            wait(lambda: prompts(tmux("capture-pane", "-p")) == len(COMMANDS) + 1)
            lines = tmux("capture-pane", "-p", "-e", "-S", "-").rstrip("\n").split("\n")
        finally:
            tmux("kill-server")
    return lines[:-1] if plain(lines[-1]).strip() == "$" else lines


def plain(line):
    return re.sub(r"\x1b\[[0-9;:]*m", "", line)


def prompts(text):
    return sum(line.startswith("$") for line in text.splitlines())


def wait(is_true):
    for _ in range(600):
        if is_true():
            return
        time.sleep(0.05)
    sys.exit("the terminal did not come to its prompt")


def pieces(line, style):
    """Splits a line into text and the style that it has; returns the style at its end, too."""
    found = []
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b["):
            style = changed(style, [int(code or 0) for code in part[2:-1].split(";")])
        elif part:
            found.append((part, style))
    return found, style


def changed(style, codes):
    style, codes = dict(style), list(codes)
    while codes:
        code = codes.pop(0)
        if code == 0:
            style = {}
        elif code == 1:
            style["bold"] = True
        elif code == 2:
            style["dim"] = True
        elif code == 22:
            style.pop("bold", None), style.pop("dim", None)
        elif 30 <= code <= 37:
            style["color"] = PALETTE[code - 30]
        elif 90 <= code <= 97:
            style["color"] = PALETTE[code - 82]
        elif code == 38 and codes[:1] == [5] and codes[1] < 16:
            style["color"] = PALETTE[codes[1]]
            del codes[:2]
        elif code == 39:
            style.pop("color", None)
    return style


def draw(lines):
    width = round(COLUMNS * CELL_WIDTH + 2 * MARGIN)
    height = BAR + len(lines) * LINE_HEIGHT + MARGIN
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">' % (width, height, width, height),
           "<title>A run of a pipeline that runs out of GPU memory, and its resume with a smaller batch</title>",
           '<rect width="100%%" height="100%%" rx="8" fill="%s"/>' % BACKGROUND]
    for place, color in enumerate(["#ff5f56", "#ffbd2e", "#27c93f"]):
        out.append('<circle cx="%d" cy="16" r="5.5" fill="%s"/>' % (20 + 18 * place, color))
    out.append('<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" font-size="14" fill="%s" xml:space="preserve">' % FOREGROUND)
    style = {}
    for row, line in enumerate(lines):
        parts, style = pieces(line, style)
        column = 0
        for text, look in parts:
            if text.strip():
                lead = len(text) - len(text.lstrip())
                shown = text.strip()
                marks = ""
                if "color" in look:
                    marks += ' fill="%s"' % look["color"]
                if look.get("bold"):
                    marks += ' font-weight="bold"'
                if look.get("dim"):
                    marks += ' opacity="0.65"'
                out.append('<text x="%.1f" y="%d" textLength="%.1f"%s>%s</text>' % (
                    MARGIN + (column + lead) * CELL_WIDTH, BAR + row * LINE_HEIGHT + 13, len(shown) * CELL_WIDTH, marks, html.escape(shown)))
            column += len(text)
    out += ["</g>", "</svg>"]
    return "\n".join(out)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(draw(record(sys.argv[1])))
