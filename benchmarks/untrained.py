"""Networks that are not shipped, with random weights: as fast as trained ones, and good for nothing else.

They are exported once, by `training.export`, into a folder that the benchmarks share.
"""

from pathlib import Path

from engines.contracts import STN, encoder
from engines.examples import noise
from engines.store import SHIPPED_WEIGHTS

FOLDER = Path(__file__).resolve().parent.parent / "results" / "untrained"


class UntrainedError(Exception):
    """Why a network could not be made."""


def exported(network: str, folder: Path = FOLDER) -> Path:
    """File of the network with random weights, written by the first call (a minute). Raises UntrainedError."""
    path = folder / f"{network}.onnx"
    if path.is_file():
        return path
    try:
        from training.export import export_networks
    except ImportError as error:
        raise UntrainedError(
            f"{network} with random weights: {error.name} is missing; pip install 'posecast[train]'"
        ) from error
    export_networks(network, folder / "no-runs", folder, True)
    _write_int8(network, path)
    return path


def _write_int8(network: str, path: Path) -> None:
    """Scales found on noise: right for the speed and nothing else. The STN is in whole numbers throughout."""
    import onnx

    from training.quantise import PLANS, Plan, quantised

    contract, plan = STN, Plan()
    if network.startswith("hrnet_"):
        contract, plan = encoder(network.removeprefix("hrnet_")), PLANS["hrnet"]
    made = quantised(onnx.load(path), noise(contract, {"B": 8}), plan)
    onnx.save(made, path.with_suffix(".int8.onnx"))


def weights_with(network: str, folder: Path, into: Path) -> Path:
    """A folder of weights that has the shipped networks and, in whichever precisions it lies there, an untrained one.

    `into` is emptied of links first. The files are links; no manifest, so they are taken as they are.
    """
    into.mkdir(parents=True, exist_ok=True)
    for old in into.iterdir():
        old.unlink()
    for source in (*SHIPPED_WEIGHTS.glob("*.onnx"), *folder.glob(f"{network}*.onnx")):
        link = into / source.name
        link.unlink(missing_ok=True)
        link.symlink_to(source.resolve())
    return into
