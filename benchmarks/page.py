"""What the sections of docs/performance.md are made of, and what every script here has in common.

A script measures, keeps its figures as JSON (`--json`) and turns figures into Markdown by its function `markdown`
(`--markdown` writes it to a file; `performance.py` puts it into the page).
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from engines.errors import EngineError
from pipeline.errors import PosecastError

Figures = dict[str, Any]


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the options of every script."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the section for docs/performance.md to this file")
    return parser


def chosen(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What was typed. Folders of results are made now: that they cannot be is told before the measuring."""
    options = parser.parse_args()
    for path in (options.json, options.markdown):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    return options


def finish(figures: Figures, markdown: Callable[[Figures], str], options: argparse.Namespace) -> None:
    """Print the section, and write what was asked for."""
    section = markdown(figures)
    print(section, end="")
    if options.json:
        write(options.json, json.dumps(figures, indent=2) + "\n")
    if options.markdown:
        write(options.markdown, section)


def write(path: Path, text: str) -> None:
    """Write a whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def guarded(main: Callable[[], None]) -> None:
    """Run `main`; what a user can cause ends in one line and exit code 2."""
    try:
        main()
    except (PosecastError, EngineError) as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}; check the path")
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def refuse(line: str) -> None:
    """End with one line on stderr and exit code 2."""
    print(line, file=sys.stderr)
    raise SystemExit(2)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A Markdown table whose first columns are words, the others figures."""
    lines = [_row(head), "|" + "---|" * words + "---:|" * (len(head) - words), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def facts(figures: Figures, data: str, samples: str, command: str) -> str:
    """On what, with what and how often the figures were measured, and by which command."""
    machine = figures["machine"]
    on = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']:.0f} GB"
    return f"- machine: {on}\n- data: {data}\n- samples: {samples}\n- command: `{command}`\n"


def left_out(lines: Sequence[str]) -> str:
    """What was not measured and why; nothing where all was."""
    return "\nLeft out:\n\n" + "".join(f"- {line}\n" for line in lines) if lines else ""
