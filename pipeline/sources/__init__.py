"""Where pictures come from: files, folders, cameras and network streams behind one protocol."""

from pathlib import Path

from pipeline.address import is_live
from pipeline.config import Config
from pipeline.packets import OnPacket
from pipeline.sources.container import ContainerSource
from pipeline.sources.folder import FolderSource
from pipeline.sources.live_pictures import LivePictures
from pipeline.sources.opened import Opened
from pipeline.sources.paced import Paced
from pipeline.sources.source import Source, SourceInfo

__all__ = ["Source", "SourceInfo", "open_source"]


def open_source(uri: str, config: Config, on_packet: OnPacket | None = None) -> Source:
    """The source at `uri`, opened and with its first picture decoded. Raises SourceError, in one line.

    `on_packet` is called with each packet of a container, before it is decoded.

    A folder of images, a video file (also file://), rtsp://, http(s):// (HLS too), anything else FFmpeg opens by
    address, and USB devices as usb:0 or /dev/video0.
    """
    source = _opened(uri, config, on_packet)
    if config.source.paced and not source.info.live:
        return Paced(source, config.source.speed)
    return source


def _opened(uri: str, config: Config, on_packet: OnPacket | None) -> Source:
    path = Path(uri.removeprefix("file://"))
    if "://" not in uri.removeprefix("file://") and path.is_dir():
        return FolderSource(path, config.source)
    if is_live(uri):
        return LivePictures(uri, config)
    notes: list[str] = []
    threads = config.capture.decoder_threads
    opened = Opened(uri.removeprefix("file://"), config.source, threads, notes.append, on_packet=on_packet)
    return LivePictures(uri, config, opened) if opened.live else ContainerSource(opened, notes)
