"""`posecast import hrnet`: files, what may be read of them, and the run that comes out."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from models.hrnet import build
from training import checkpoint
from training.convert import cli
from training.convert.hrnet import import_hrnet
from training.errors import TrainingError

SMALL = "w18_small_v2"


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(2)
    return {k: v for k, v in build(SMALL).state_dict().items() if not k.startswith("embed.")}


class Trap:
    """Would write a file if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("kind", ["pth", "wrapped", "safetensors"])
def test_the_run_starts_another(state, tmp_path, kind):
    file = tmp_path / ("x.safetensors" if kind == "safetensors" else "x.pth")
    if kind == "safetensors":
        save_file(state, file)
    else:
        torch.save({"state_dict": state, "epoch": 210} if kind == "wrapped" else state, file)
    imported = import_hrnet(file, out=tmp_path / "run")
    assert imported.checkpoint == tmp_path / "run" / "last.safetensors"
    assert imported.variant == SMALL
    header = checkpoint.read_header(imported.checkpoint)
    assert header["variant"] == SMALL
    assert "x." in header["recipe"]
    modules = nn.ModuleDict({"hrnet": build(SMALL)})
    assert checkpoint.initialise(imported.checkpoint, modules) == len(modules.state_dict())
    assert torch.equal(modules["hrnet"].layer1[0].conv1.weight, state["layer1.0.conv1.weight"])
    with pytest.raises(TrainingError, match="choose another --out"):
        import_hrnet(file, out=tmp_path / "run")


def test_export_takes_the_run(state, tmp_path):
    from training.export import load_model

    torch.save(state, tmp_path / "x.pth")
    imported = import_hrnet(tmp_path / "x.pth", out=tmp_path / "backbone")
    model, header = load_model(f"hrnet_{SMALL}", imported.checkpoint)
    assert torch.equal(model.conv2.weight, state["conv2.weight"])
    assert header["step"] == 0


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    trap = tmp_path / "sprung"
    (tmp_path / "x.pth").write_bytes(pickle.dumps({"conv1.weight": Trap(trap)}))
    torch.save({"state_dict": {"conv1.weight": Trap(trap)}}, tmp_path / "y.pth")
    for name in ("x.pth", "y.pth"):
        with pytest.raises(TrainingError, match="could run code") as caught:
            import_hrnet(tmp_path / name, out=tmp_path / "run")
        assert "\n" not in str(caught.value)
    assert not trap.exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"abc", None])
def test_broken_files_are_one_line(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainingError) as caught:
        import_hrnet(tmp_path / name, out=tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_file_without_tensors_and_unknown_choices(state, tmp_path):
    torch.save({"epoch": 3}, tmp_path / "x.pth")
    with pytest.raises(TrainingError, match="no state dict"):
        import_hrnet(tmp_path / "x.pth")
    with pytest.raises(TrainingError, match="have w18_small_v2"):
        import_hrnet(tmp_path / "x.pth", "w64")
    with pytest.raises(TrainingError, match="have coco"):
        import_hrnet(tmp_path / "x.pth", joints="hand")


def test_the_command_reports_what_was_taken(state, tmp_path):
    torch.save(state, tmp_path / "x.pth")
    arguments = ["hrnet", str(tmp_path / "x.pth"), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli.import_, arguments)
    assert result.exit_code == 0, result.output
    assert "--init-from" in result.output
    assert "embed.weight" in result.output
    again = CliRunner().invoke(cli.import_, arguments, standalone_mode=False)
    assert isinstance(again.exception, cli.Refused)
    assert "choose another --out" in again.exception.format_message()
