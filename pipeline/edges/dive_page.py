"""The page of one flight: a single HTML file without script or outside request, for screen, phone and one sheet of A4.

A dive's page opens with its number and what not to trust; then come the numbers, and the motion drawn.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final

from flight.report import POSITIONS, Dive, DiveReport, Flag, Jump
from pipeline.edges import dive_numbers as numbers
from pipeline.edges.dive_moments import dive_moments, jump_moments
from pipeline.edges.dive_numbers import Number
from pipeline.edges.dive_plots import CHARTS_PX, charts
from pipeline.edges.dive_poses import STRIP_PX, strip
from pipeline.edges.dive_scene import Scene
from pipeline.edges.dive_text import board_words, dive_words, percent, turned_words
from pipeline.edges.dive_views import height_px, views
from pipeline.edges.plot import LEFT_HEX, MID_HEX, RIGHT_HEX
from pipeline.edges.versions import posecast_version

_TOLD_ANYHOW: Final = ("not_calibrated", numbers.NO_BOARD)
"""Flags that say what `_ESTIMATED` says."""
_ESTIMATED: Final = (
    "No calibrated camera: heights, distances and speeds are estimates from the fall itself, and without a measured "
    "board neither the distance from it nor the safety clearance can be told."
)
_JUMP_ESTIMATED: Final = (
    "No calibrated camera: lengths in the drawings are estimates; times, height and turns do not need it."
)
_SPREAD: Final = "± is one standard deviation: the true value lies within it about two times in three."


def dive_page(dive: Dive, name: str, source: str = "") -> str:
    """The page of a dive as HTML; `name` is that of the files beside it, `source` the recording it was seen in."""
    report = dive.report
    moments = dive_moments(dive)
    scene = Scene.of(dive.curves, moments, report.take_off_s.value, report.board_height_m, True)
    flight = _group("Take-off and flight", numbers.flight(report))
    turning = _group("Turning and position", numbers.turning(report), _shares(report))
    entry = _group("Entry", numbers.entry(report))
    measuring = _group("How well it was measured", numbers.measuring(report))
    body = [
        _headline(report),
        _trust(report.flags, _notes(report), report.world == "estimated"),
        _tiles(numbers.headline(report)),
        f'<div class="groups">{flight}{turning}<div>{entry}{measuring}</div></div>',
        _figures(scene, dive, "board's edge" if numbers.board_measured(report) else "take-off"),
        _foot(source, name, report.first_seq, report.last_seq),
    ]
    code = report.numbers[0].code if report.numbers else "Dive"
    return _document(f"{code} · {source or name}", body)


def jump_page(jump: Jump, name: str, source: str = "") -> str:
    """The page of a jump of another sport as HTML."""
    report = jump.report
    moments = jump_moments(jump)
    scene = Scene.of(jump.curves, moments, report.take_off_s.value, None, False)
    estimated = report.world == "estimated"
    turned = turned_words(report.somersaults_turned.value, report.twists_turned.value)
    body = [
        f'<header><h1>Jump</h1><div class="what"><p class="words">{escape(turned)}</p></div></header>',
        _trust(report.flags, [_JUMP_ESTIMATED] if estimated else [], estimated),
        _tiles(numbers.jump(report)),
        _figures(scene, jump, "take-off"),
        _foot(source, name, report.first_seq, report.last_seq),
    ]
    return _document(f"Jump · {source or name}", body)


def _headline(report: DiveReport) -> str:
    """Number, words, board and how sure it is."""
    first = report.numbers[0] if report.numbers else None
    code = first.code if first else "No number"
    words = (
        dive_words(first.code) if first else ""
    ) or f"{turned_words(report.somersaults, report.twists)}, {report.position}"
    place = board_words(report.board_height_m) or "board not known"
    if report.board_height_m is not None and not numbers.board_measured(report):
        place += ", judged by the fall"
    sure = ""
    if first:
        others = [f"next {other.code}, {percent(other.probability)}" for other in report.numbers[1:2]]
        following = "".join(f"<span>{escape(other)}</span>" for other in others)
        sure = f'<p class="sure"><b>{percent(first.probability)}</b> sure{following}</p>'
    return (
        f"<header><h1>{escape(code)}</h1>"
        f'<div class="what"><p class="words">{escape(words)}</p><p class="place">{escape(place)}</p></div>'
        f"{sure}</header>"
    )


def _notes(report: DiveReport) -> list[str]:
    """What the reader has to know of this report as a whole."""
    missing = numbers.missing(report)
    lacks = [f"Could not be measured: {', '.join(missing)}."] if missing else []
    return [*([_ESTIMATED] if report.world == "estimated" else []), *lacks]


def _trust(flags: Sequence[Flag], notes: Sequence[str], estimated: bool) -> str:
    """What not to trust and why, or that there is nothing to object. A note says once what an estimated world means."""
    parts: list[str] = []
    items = [f"<li>{escape(flag.text)}</li>" for flag in flags if not (estimated and flag.key in _TOLD_ANYHOW)]
    if items:
        parts.append(f'<section class="trust warn"><h2>Read with care</h2><ul>{"".join(items)}</ul></section>')
    elif not flags:
        parts.append(
            '<section class="trust good"><p><b>Nothing to object.</b> The recording passed every check.</p></section>'
        )
    if notes:
        told = "".join(f"<p>{note}</p>" for note in notes)
        parts.append(f'<section class="trust note">{told}</section>')
    return "".join(parts)


def _value(number: Number) -> str:
    """Value, unit and uncertainty; a degree sign keeps close to its number."""
    unit = f"<i>{escape(number.unit)}</i>" if number.unit else ""
    close = "" if number.unit.startswith("°") else " "
    about = f" <small>{escape(number.spread)}</small>" if number.spread else ""
    return f"<b>{escape(number.value)}</b>{close if unit else ''}{unit}{about}"


def _tiles(shown: Iterable[Number]) -> str:
    parts = [
        f'<section class="tile{" safety" if one.safety else ""}"><h3>{escape(one.name)}</h3>'
        f'<p class="value">{_value(one)}</p><p class="about">{escape(one.note)}</p></section>'
        for one in shown
    ]
    return f'<div class="tiles">{"".join(parts)}</div>'


def _group(title: str, shown: Sequence[Number], extra: str = "") -> str:
    rows = [
        f'<div class="row"><dt>{escape(one.name)}</dt><dd class="value">{_value(one)}</dd>'
        f'<dd class="about">{escape(one.note)}</dd></div>'
        for one in shown
    ]
    return f'<section class="group"><h2>{title}</h2>{extra}<dl>{"".join(rows)}</dl></section>' if rows else ""


def _shares(report: DiveReport) -> str:
    """The flight's position, and a bar of how much of its middle was spent in each."""
    shares = [(name, report.position_shares.get(name, 0.0)) for name in POSITIONS]
    shares = [(name, share) for name, share in shares if share >= 0.005]
    if not shares:
        return ""
    bars = "".join(f'<span class="{name}" style="flex-grow:{share:.3f}"></span>' for name, share in shares)
    names = "".join(f'<li class="{name}">{name} {percent(share)}</li>' for name, share in shares)
    return (
        f'<p class="told">Position in the middle of the flight: <b>{escape(report.position)}</b></p>'
        f'<div class="shares">{bars}</div><ul class="shares-names">{names}</ul>'
    )


def _figures(scene: Scene, seen: Dive | Jump, start: str) -> str:
    """Views and strip left or right, so that both columns are about as high."""
    curves = seen.curves
    way = _figure("The way through the air", views(scene, start), height_px(scene))
    over_time = _figure("Over time", charts(curves, scene.moments, scene.start_s), CHARTS_PX)
    poses = _figure("Pose at each moment", strip(scene, curves.hip_deg, curves.knee_deg), STRIP_PX)
    tall = height_px(scene) > CHARTS_PX
    left, right = (way, over_time + poses) if tall else (way + poses, over_time)
    if not left and not right:
        return '<p class="empty">There is no frame to draw.</p>'
    return f'<div class="figures"><div>{left}</div><div>{right}</div></div>'


def _figure(title: str, drawn: str, high_px: float) -> str:
    """A drawing in its frame; on paper, figures share a column by their heights."""
    return f'<figure style="--high:{high_px:.0f}"><h2>{title}</h2>{drawn}</figure>' if drawn else ""


def _foot(source: str, name: str, first_seq: int, last_seq: int) -> str:
    seen = f"{escape(source)}, frames" if source else "Frames"
    return (
        f"<footer><p>{_SPREAD}</p><p>{seen} {first_seq} to {last_seq}. Every frame in numbers: {escape(name)}.csv; "
        f"for programs: {escape(name)}.json. Made by posecast {escape(posecast_version())}.</p></footer>"
    )


@cache
def _style() -> str:
    """The style sheet, with the colours of the sides as in all pictures of posecast."""
    colours = f":root{{--left:{LEFT_HEX};--right:{RIGHT_HEX};--mid:{MID_HEX}}}"
    return colours + files("pipeline.edges").joinpath("dive.css").read_text(encoding="utf-8")


def _document(title: str, body: Iterable[str]) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )
