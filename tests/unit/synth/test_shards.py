"""Shards seen as an index: one split, pictures from their places, damage and labels of another kind in one line."""

import tarfile

import pytest

from training.datasets import CropPool
from training.errors import TrainingError
from training.scenes import ScenePool
from training.synth.shards import ShardError, ShardIndex, is_validation, read_shard, write_shard

SCENE = {"present": 1, "box": [-0.1, -0.1, 0.1, 0.1]}


def _written(path, label, groups=60):
    samples = [(f"s1-g{g:06d}-00", f"picture {g}".encode(), {**label, "group": g}) for g in range(groups)]
    write_shard(path, samples)
    return samples


def test_the_index_holds_one_split_and_finds_every_picture(tmp_path):
    samples = _written(tmp_path / "a.tar", SCENE)
    assert list(read_shard(tmp_path / "a.tar")) == samples
    for validation in (False, True):
        wanted = [(jpeg, label["group"]) for key, jpeg, label in samples if is_validation(key) is validation]
        index = ShardIndex([tmp_path / "a.tar"], validation, lambda label: label["group"])
        assert [(index.jpeg(i), index.labels[i]) for i in range(len(index))] == wanted
        assert wanted


@pytest.mark.parametrize("pool", [CropPool, ScenePool])
@pytest.mark.parametrize("damage", ["cut", "text", "empty", "another label", "no label", "a folder inside"])
def test_damage_is_the_same_line_for_crops_and_scenes(tmp_path, pool, damage):
    path = tmp_path / "a.tar"
    _written(path, {"box_px": [0, 0, 1, 1]} if damage == "another label" else SCENE)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage in ("text", "empty"):
        path.write_bytes(b"no tar at all" * 100 if damage == "text" else b"")
    elif damage == "no label":
        write_shard(path, [(f"s1-g{g:06d}-00", b"picture", 5) for g in range(60)])
    elif damage == "a folder inside":
        with tarfile.open(path, "w") as tar:
            for name, kind in (("s1-g000000-00.jpg", tarfile.REGTYPE), ("s1-g000000-00.msgpack", tarfile.DIRTYPE)):
                entry = tarfile.TarInfo(name)
                entry.type = kind
                tar.addfile(entry)
    with pytest.raises(ShardError, match=r"a\.tar: not a whole shard \(.+\); delete it and make it again$") as caught:
        pool(tmp_path, validation=False)
    assert isinstance(caught.value, TrainingError)
    assert "\n" not in str(caught.value)
