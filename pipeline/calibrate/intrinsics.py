"""`posecast calibrate intrinsics`: from pictures of a board to a camera file, its plot and its uncertainty."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from calibration.board import Pattern
from calibration.detection import View
from calibration.distortion import COEFFICIENTS
from calibration.errors import CalibrationError
from calibration.intrinsics import Fit, Fitted, calibrated
from calibration.store import Calibration, save
from calibration.views import MAX_VIEWS, TOO_BLURRED_PX, chosen, to_film
from pipeline.address import masked
from pipeline.calibrate.coverage import write_coverage
from pipeline.calibrate.fit_plot import write_fit_plot
from pipeline.calibrate.watching import Moment, Span, Watch, watch
from pipeline.config import Config
from pipeline.edges.output import make_folder
from pipeline.sources import Source

_REDRAWN_S: Final = 1.0
_MANY: Final = 3 * MAX_VIEWS
"""Views of a live camera from which on only the chosen ones are kept."""


@dataclass(frozen=True)
class Wanted:
    """What was typed."""

    sources: tuple[str, ...]
    out: Path
    pattern: Pattern
    model: Fitted
    name: str
    span: Span


def calibrate_intrinsics(wanted: Wanted, console: Console) -> Fit:
    """Watch the sources, calibrate, write the camera file and its plot. Raises CalibrationError and PosecastError."""
    make_folder(wanted.out.parent)
    watched = Watch(wanted.pattern)
    with _progress(console) as progress:
        for uri in wanted.sources:
            task = progress.add_task(f"board    {Path(masked(uri)).name}", total=None, said="")
            _Watcher(wanted, watched, progress, task).run(uri)
    views = _usable(watched, wanted)
    assert watched.size_px is not None
    with console.status(f"calibrating with {len(views)} views"):
        fit = calibrated(views, wanted.pattern, watched.size_px, wanted.model)
    calibration = Calibration(
        camera=fit.camera,
        reprojection_px=fit.reprojection_px,
        focal_sd_px=fit.sd["focal_px"],
        source=f"calibrate intrinsics, {datetime.now(UTC):%Y-%m-%d}: {len(fit.views)} views of a {wanted.pattern}",
        name=wanted.name,
    )
    save(wanted.out, calibration)
    plot = wanted.out.with_suffix(".png")
    write_fit_plot(fit, wanted.pattern, plot, wanted.name)
    _report(fit, wanted, watched, plot, console)
    return fit


@dataclass
class _Watcher:
    """Follows one source: moves the bar, redraws the coverage of a live one, and tells when it will do."""

    wanted: Wanted
    watched: Watch
    progress: Progress
    task: TaskID
    _drawn_s: float = 0.0

    def run(self, uri: str) -> None:
        watch(self.watched, uri, Config(), self.wanted.span, self._done)
        self.progress.update(
            self.task, total=1, completed=1, said=f"seen in {self.watched.found} of {self.watched.searched} pictures"
        )

    def _done(self, source: Source, moment: Moment, view: View | None) -> bool:
        watched = self.watched
        said, enough = f"seen in {watched.found} of {watched.searched} pictures", False
        if source.info.live:
            size = (source.info.width, source.info.height)
            views = chosen(watched.views, self.wanted.pattern, size)
            advice = to_film(views, self.wanted.pattern, size)
            said = advice[0] if advice else "that will do"
            enough = not advice
            self._draw(moment, view, views, advice)
            if len(watched.views) > _MANY:
                watched.views[:] = views
        self.progress.update(self.task, total=source.info.frames, completed=moment.number + 1, said=said)
        return enough

    def _draw(self, moment: Moment, view: View | None, views: list[View], advice: list[str]) -> None:
        now = time.monotonic()
        if now - self._drawn_s < _REDRAWN_S and advice:
            return
        self._drawn_s = now
        write_coverage(coverage_beside(self.wanted.out), moment.luma, view, views, advice)


def coverage_beside(out: Path) -> Path:
    """Where the picture of what is covered lies while a live camera is watched."""
    return out.with_suffix(".coverage.png")


def _usable(watched: Watch, wanted: Wanted) -> list[View]:
    """The chosen views. Raises CalibrationError when the board was not there or never sharp."""
    where = masked(wanted.sources[0]) if len(wanted.sources) == 1 else f"{len(wanted.sources)} sources"
    assert watched.size_px is not None
    views = chosen(watched.views, wanted.pattern, watched.size_px)
    if views:
        return views
    if watched.views:
        rise = min(view.rise_px for view in watched.views)
        raise CalibrationError(
            f"{where}: the board is blurred in all {len(watched.views)} pictures (edges of {rise:.0f} pixels, at most "
            f"{TOO_BLURRED_PX:.0f}); focus on it, hold it still, more light"
        )
    other = watched.instead()
    if other is not None:
        raise CalibrationError(
            f"{where}: no {wanted.pattern}; what was found is {other}; say so with --kind, --columns, --rows, --markers"
        )
    raise CalibrationError(
        f"{where}: no {wanted.pattern} in {watched.searched} pictures; show the whole board, larger, in even "
        "light, with white around it"
    )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        console=console,
    )


def _report(fit: Fit, wanted: Wanted, watched: Watch, plot: Path, console: Console) -> None:
    camera, sd = fit.camera, fit.sd
    u, v = camera.centre_px
    names = COEFFICIENTS[camera.model]
    bends = [
        f"{name} {value:.4f} ({sd[name]:.4f})"
        for name, value in zip(names, camera.distortion, strict=True)
        if name in sd
    ]
    dropped = f", {len(fit.dropped)} dropped because they contradict the others" if fit.dropped else ""
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in (
        ("focal length", f"{camera.focal_px:.1f} px (sd {sd['focal_px']:.1f}, {sd['focal_px'] / camera.focal_px:.2%})"),
        ("pixel aspect", f"{camera.pixel_aspect:.5f}"),
        ("optical axis", f"u {u:.1f} ({sd['centre_u_px']:.1f}), v {v:.1f} ({sd['centre_v_px']:.1f}) px"),
        ("distortion", f"{camera.model}: {', '.join(bends)}"),
        ("reprojection", f"{fit.reprojection_px:.2f} px rms, of the worst view {fit.views_px.max():.2f}"),
        ("views", f"{len(fit.views)} of {watched.found} with the board in {watched.searched} pictures{dropped}"),
    ):
        table.add_row(*row)
    console.print(table)
    for advice in to_film(fit.views, wanted.pattern, (camera.width, camera.height)):
        console.print(f"better still: {advice}", style="dim", soft_wrap=True, highlight=False)
    console.print(
        f"{wanted.out} and {plot.name}; next: posecast calibrate show {wanted.out} --out show.png",
        soft_wrap=True,
        highlight=False,
    )
