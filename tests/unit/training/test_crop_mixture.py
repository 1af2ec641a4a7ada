"""Batches of crops: the same for the same step, photographs masked where nothing is labelled."""

import cv2
import numpy as np
import pytest

from engines.skeleton import MIRROR
from training.convert import photos, run
from training.datasets import CropPool, Mixture, StoredCrop, plain_look, see, validation_crops
from training.errors import TrainingError
from training.prefetch import Prefetch
from training.synth.shards import is_validation

N = 40


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """A folder of photographs whose joints are bright dots, some of them not labelled."""
    folder = tmp_path_factory.mktemp("album")
    (folder / "crops").mkdir()
    rng = np.random.default_rng(3)
    joints = np.concatenate([rng.uniform(40, 160, (N, 14, 2)), np.ones((N, 14, 1))], -1).astype(np.float32)
    joints[:, 3:5, :] *= rng.random((N, 2, 1)) > 0.5
    names = [f"im{i:05d}.jpg" for i in range(N)]
    for name, row in zip(names, joints, strict=True):
        picture = np.full((200, 180, 3), 40, np.uint8)
        for x, y, known in row:
            if known:
                cv2.circle(picture, (round(float(x)), round(float(y))), 3, (250, 250, 250), -1)
        cv2.imwrite(str(folder / "crops" / name), picture)
    np.savez(folder / "joints.npz", filename=names, joints=joints, joint_names=list(photos.NAMES))
    return folder, joints


@pytest.fixture(scope="module")
def shards_of_album(album, tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "photos"
    assert run.convert(photos.read(album[0]), out) == N
    return out


def test_fourteen_joints_find_their_places():
    row = np.zeros((14, 3), np.float32)
    row[:, 0], row[:, 2] = np.arange(14), 1
    points, known = photos.to_skeleton(row)
    assert points[3, 0] == 0 and points[16, 0] == 6 and points[11, 0] == 9  # right ankle, right wrist, left shoulder
    assert points[0, 0] == 2.5 and points[8, 0] == 12 and points[10, 0] == 12.75  # mid-hips, neck, below the crown
    assert not known[[7, 9]].any() and known.sum() == 15
    row[2, 2] = 0
    assert not photos.to_skeleton(row)[1][[0, 1]].any()


def test_a_stored_photograph_shows_its_joints_where_the_label_says(shards_of_album):
    pool = CropPool(shards_of_album, validation=False)
    hits = []
    for index in range(len(pool)):
        stored = pool[index]
        picture = cv2.imdecode(np.frombuffer(stored.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        joints = stored.joints_cam_m[:, :2] * stored.focal_px + (stored.side_px - 1) / 2
        limbs = [j for j in photos.LIMBS if stored.labelled[j]]
        hits += [picture[round(float(y)), round(float(x))] > 150 for x, y in joints[limbs]]
        assert not stored.metric
    assert np.mean(hits) > 0.97


def test_the_split_is_fixed_by_the_name_and_covers_every_photograph(shards_of_album):
    training, held_out = (len(CropPool(shards_of_album, validation=v)) for v in (False, True))
    assert training + held_out == N
    assert held_out == sum(is_validation(photos.photo_key(f"im{i:05d}.jpg")) for i in range(N)) > 0


def test_a_batch_follows_from_seed_and_step_alone(shards_of_album, data):
    pools = (CropPool(data.root / "crops", False), CropPool(shards_of_album, False))
    mixture = Mixture(pools, (0.5, 0.5), seed=7)
    size = (64, 48, 12)
    first, again, next_one = mixture.make(3, size), mixture.make(3, size), mixture.make(4, size)
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())
    assert not np.array_equal(first.picture.numpy(), next_one.picture.numpy())
    assert 0 < first.metric.sum() < 12
    unlabelled = first.weight[first.metric < 0.5][:, [7, 9]]
    assert float(unlabelled.sum()) == 0 and float(first.weight[first.metric > 0.5].mean()) > 0.8


def test_workers_make_the_same_batches(shards_of_album):
    mixture = Mixture((CropPool(shards_of_album, False),), (1.0,), seed=7)
    ahead, here = Prefetch(mixture.make, 1), Prefetch(mixture.make, 0)
    try:
        for step, size in ((0, (64, 48, 4)), (1, (64, 48, 4)), (2, (96, 72, 2)), (9, (64, 48, 4))):
            for a, b in zip(ahead.get(step, size), here.get(step, size), strict=True):
                assert np.array_equal(a.numpy(), b.numpy())
    finally:
        ahead.close()


def test_a_mirrored_look_exchanges_what_is_labelled():
    labelled = np.ones(17, bool)
    labelled[[4, 5]] = False
    joints = np.random.default_rng(1).uniform(-0.1, 0.1, (17, 3)).astype(np.float32) + np.array([0, 0, 1])
    stored = StoredCrop(b"", joints.astype(np.float32), 400.0, 200, labelled, metric=False)
    plain = plain_look()
    seen = see(stored, type(plain)(0.0, True, (0.0, 0.0), 1.0, (0.0, 0.0)), 64, 48)
    assert np.array_equal(seen.labelled, labelled[list(MIRROR)])


def test_a_validation_photograph_is_cut_upright_and_whole(shards_of_album):
    crops = validation_crops(shards_of_album, 10, 128, 96, turned=False)
    inside = crops.weight.numpy()[:, [1, 2, 3]]
    assert inside.min() == 1
    spread = np.ptp(crops.joints_px.numpy()[:, list(photos.LIMBS)], axis=1)
    assert (spread[:, 1] < 128).all() and (spread[:, 1] > 40).all()


def test_wrong_folders_are_one_clear_line(tmp_path, album):
    with pytest.raises(TrainingError, match="expected crops"):
        photos.read(tmp_path)
    with pytest.raises(TrainingError, match="no crops of this split"):
        CropPool(tmp_path, validation=False)
    (tmp_path / "broken.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(TrainingError, match="not a whole shard"):
        CropPool(tmp_path, validation=False)
    np.savez(tmp_path / "joints.npz", filename=["../x.jpg"], joints=album[1][:1])
    with pytest.raises(TrainingError, match="leaves the folder"):
        photos.read(tmp_path)
