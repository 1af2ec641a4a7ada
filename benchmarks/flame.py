"""Sampled stacks as a flame graph: an SVG whose width is share of samples, the root at the bottom."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

Stacks = Mapping[tuple[str, ...], int]
"""How often each stack was seen; a stack is its functions, outermost first."""

WIDTH_PX = 1400
ROW_PX = 17
LETTER_PX = 7
LEAST = 0.001
"""A block of less than this share of the samples is not drawn."""


@dataclass
class Block:
    """A function where it was called from: how often it was seen there, and what it called."""

    name: str
    count: int = 0
    inner: dict[str, "Block"] = field(default_factory=dict)


def merged(stacks: Stacks) -> Block:
    """All stacks as a tree."""
    root = Block("all")
    for stack, count in stacks.items():
        block = root
        block.count += count
        for name in stack:
            block = block.inner.setdefault(name, Block(name))
            block.count += count
    return root


def svg(stacks: Stacks, title: str) -> str:
    """The flame graph; a browser shows a block's full name and share where the pointer rests."""
    root = merged(stacks)
    height = ROW_PX * (_depth(root, root.count) + 2)
    drawn = "\n".join(_blocks(root, 0.0, 0, height, max(1, root.count)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height}" '
        f'font-family="monospace" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="4" y="13" font-size="13">{escape(title)}, {root.count} samples</text>\n{drawn}\n</svg>\n'
    )


def _depth(block: Block, total: int) -> int:
    return 1 + max((_depth(inner, total) for inner in _shown(block, total)), default=0)


def _shown(block: Block, total: int) -> list[Block]:
    return [inner for _, inner in sorted(block.inner.items()) if inner.count >= LEAST * total]


def _blocks(block: Block, left_px: float, row: int, height: int, total: int) -> list[str]:
    """A block and those on it, as SVG."""
    width_px = WIDTH_PX * block.count / total
    top_px = height - ROW_PX * (row + 1)
    drawn = [
        f"<g><title>{escape(block.name)}: {block.count} samples, {block.count / total:.1%}</title>"
        f'<rect x="{left_px:.1f}" y="{top_px}" width="{width_px:.1f}" height="{ROW_PX - 1}" '
        f'fill="{_colour(block.name)}"/>'
        f'<text x="{left_px + 3:.1f}" y="{top_px + 12}">{escape(block.name[: int(width_px / LETTER_PX)])}</text></g>'
    ]
    for inner in _shown(block, total):
        drawn += _blocks(inner, left_px, row + 1, height, total)
        left_px += WIDTH_PX * inner.count / total
    return drawn


def _colour(name: str) -> str:
    """Blue for the machine's own libraries, yellow to red for Python, the same for a name at all times."""
    shade = zlib.crc32(name.encode()) % 60
    return f"hsl({205 + shade % 20}, 60%, 75%)" if ".so" in name else f"hsl({shade}, 85%, 70%)"
