"""A longer video made of a short one, for what takes longer to measure."""

from pathlib import Path

import av


def repeated(source: Path, times: int, out: Path) -> Path:
    """The video several times one after another, its packets copied as they are."""
    with av.open(str(source)) as first, av.open(str(out), "w") as output:
        stream = output.add_stream_from_template(first.streams.video[0])
        length = 0
        for turn in range(times):
            with av.open(str(source)) as again:
                for packet in again.demux(video=0):
                    if packet.dts is None or packet.pts is None:
                        continue
                    length = max(length, packet.pts + packet.duration) if turn == 0 else length
                    packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length
                    packet.stream = stream
                    output.mux(packet)
    return out
