"""An edge for tests that crashes whenever it is started."""

from pipeline.edge import EdgeHost


def build(host: EdgeHost) -> None:
    raise RuntimeError("broken on purpose")
