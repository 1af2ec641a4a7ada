"""Puts what was measured into docs/performance.md, so that no figure there is typed by hand.

    python benchmarks/performance.py results docs/performance.md

Each part of the page between the markers of a script is replaced by that script's section, made from the JSON file
that it left in the folder. A script that has no function for it here left its section as Markdown beside the JSON.
Where nothing was left, the part stays as it is; an empty one says with which command it is measured.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import chain, cost, engines, gpu, page, precision, profile  # noqa: E402

SECTIONS: dict[str, tuple[str, Callable[[page.Figures], str]]] = {
    "engines": ("engines.json", engines.markdown),
    "chain": ("chain.json", chain.markdown),
    "cost": ("bench.json", cost.markdown),
    "profile": ("profile.json", profile.markdown),
    "precision": ("precision.json", precision.markdown),
    "gpu": ("gpu.json", gpu.markdown),
}
"""Of a script the file that it leaves, and the function that makes its section."""
_PART = re.compile(r"<!-- figures: benchmarks/(\w+)\.py -->\n(.*?)<!-- end of figures -->\n", re.DOTALL)


def main() -> None:
    """Replace the parts of the page."""
    if len(sys.argv) != 3:
        page.refuse("usage: python benchmarks/performance.py RESULTS PAGE")
    results, target = Path(sys.argv[1]), Path(sys.argv[2])
    if not results.is_dir():
        page.refuse(f"{results}: no such folder; measure first, by the commands in benchmarks/README.md")
    page.write(target, assembled(target.read_text(encoding="utf-8"), results))


def assembled(text: str, results: Path) -> str:
    """The page with the parts replaced for which there are figures."""
    if not _PART.search(text):
        page.refuse("the page has no part between <!-- figures: benchmarks/NAME.py --> and <!-- end of figures -->")
    return _PART.sub(lambda found: _part(found.group(1), found.group(2), results), text)


def _part(name: str, before: str, results: Path) -> str:
    section = _section(name, results) or before or not_run(name)
    return f"<!-- figures: benchmarks/{name}.py -->\n{section}<!-- end of figures -->\n"


def _section(name: str, results: Path) -> str:
    """What a script left, as Markdown; empty where it left nothing."""
    if name not in SECTIONS:
        written = results / f"{name}.md"
        return written.read_text(encoding="utf-8") if written.is_file() else ""
    file, markdown = SECTIONS[name]
    figures = _figures(results / file)
    if figures is None:
        return ""
    try:
        if name == "gpu":
            return gpu.markdown(figures, _gflop(results))
        return markdown(figures)
    except (KeyError, TypeError, ValueError) as error:
        page.refuse(f"{results / file}: not the figures of benchmarks/{name}.py ({error!r}); measure again")
        raise


def _figures(path: Path) -> page.Figures | None:
    if not path.is_file():
        return None
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        page.refuse(f"{path}: not JSON of figures ({error}); measure again")
        raise


def _gflop(results: Path) -> dict[str, float]:
    """Operations of a call by network, as the engines' benchmark counted them: the GPU's machine may lack onnx."""
    engines_figures = _figures(results / "engines.json") or {"rows": []}
    return {row["name"]: row["gflop"] for row in engines_figures["rows"]}


def not_run(name: str) -> str:
    """What stands where nothing was measured."""
    if name in SECTIONS:
        return f"Not run. Measured by `python benchmarks/{name}.py --json results/{SECTIONS[name][0]}`.\n"
    return f"Not run. Measured by `python benchmarks/{name}.py --markdown results/{name}.md`.\n"


if __name__ == "__main__":
    page.guarded(main)
