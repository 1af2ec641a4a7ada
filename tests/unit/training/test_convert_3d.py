"""A user's data sets with joints in space into shards: lenses, turned cameras, bones, left and right."""

import av
import cv2
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from calibration.camera import Camera
from engines.skeleton import BONES, JOINT_NAMES, MIRROR
from tests.people import check_picture, check_share, drawn, shards_of, standing
from training.convert import crop, h36m, mpi_inf_3dhp, run
from training.errors import TrainingError
from training.synth.shards import is_validation

LENS = Camera(1000, 1002, 1145.0, (512.0, 515.0), (-0.2, 0.24, 0.0, -0.001, -0.0015), 1.0005)


@pytest.fixture(scope="module")
def h36m_folder(tmp_path_factory):
    """Two takes of one camera and one: as h5 with pictures, as npz with a video; the subject goes about the room."""
    folder = tmp_path_factory.mktemp("h36m")
    rng = np.random.default_rng(3)
    roots = [(x, y, z) for x in (-1.3, 0.4, 1.4) for y in (-0.9, 0.0, 0.8) for z in (4.0, 5.5)]
    joints = np.stack([standing(root) + rng.normal(0, 0.01, (17, 3)) for root in roots])
    wide = np.zeros((len(joints), 32, 3))
    wide[:, list(h36m.OF_32)] = joints
    flat = np.zeros((len(joints), 32, 2))
    flat[:, list(h36m.OF_32)] = LENS.project(joints)
    frames = np.arange(1, len(joints) + 1)
    take = folder / "S1" / "Directions-1"
    pictures = take / "imageSequence" / "54138969"
    pictures.mkdir(parents=True)
    with h5py.File(take / "annot.h5", "w") as file:
        file["pose/2d"], file["pose/3d"] = flat, 1000 * wide
        file["camera"], file["frame"] = np.full(len(joints), 54138969), frames
    for number in (1, 10):
        cv2.imwrite(str(pictures / f"img_{number:06d}.jpg"), drawn(LENS.project(joints[number - 1]), (1000, 1002)))
    take = folder / "S1" / "Walking 1"
    (take / "imageSequence").mkdir(parents=True)
    np.savez(
        take / "annot.npz",
        **{"pose/2d": LENS.project(joints), "pose/3d": 1000 * joints, "frame": frames},
        camera=np.full(len(joints), 55011271),
    )
    with av.open(str(take / "imageSequence" / "55011271.avi"), "w") as video:
        stream = video.add_stream("mjpeg", rate=50)
        stream.width, stream.height, stream.pix_fmt = 1000, 1002, "yuvj420p"
        for pose in joints[:10]:
            picture = drawn(LENS.project(pose), (1000, 1002))
            video.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        video.mux(stream.encode())
    return folder


def check_solid(label):
    """2D labels are the projection of the 3D labels by a pinhole in the middle of the crop."""
    joints = np.array(label["joints_cam_m"]) + label["root_cam_m"]
    middle = (label["side_px"] - 1) / 2
    projected = joints[:, :2] / joints[:, 2:] * label["focal_crop_px"] + middle
    assert np.abs(projected - label["joints_crop_px"]).max() < 0.2
    assert np.allclose(label["joints_cam_m"][0], 0)


def test_h36m_crops_are_pinhole_pictures_of_a_turned_camera(h36m_folder, tmp_path):
    run.convert(h36m.read(h36m_folder, every=9), tmp_path / "out")
    samples = {key: (jpeg, label) for key, jpeg, label in shards_of(tmp_path / "out")}
    assert list(samples) == [
        "h36m-gS1_Directions-1-54138969_000001", "h36m-gS1_Directions-1-54138969_000010",
        "h36m-gS1_Walking_1-55011271_000001", "h36m-gS1_Walking_1-55011271_000010",
    ]  # fmt: skip
    assert len({is_validation(key) for key in list(samples)[:2]}) == 1
    distance = []
    for jpeg, label in samples.values():
        check_solid(label)
        check_share(label)
        check_picture(jpeg, label)
        assert label["labelled"] == [1] * 17
        distance.append(np.linalg.norm(label["root_cam_m"]))
    # A turn keeps distances: the first root stands at (-1.3, -0.9, 4.0), the tenth at (0.4, 0, 5.5).
    assert distance == pytest.approx([np.linalg.norm(v) for v in ((-1.3, -0.9, 4.0), (0.4, 0, 5.5))] * 2, abs=0.05)


def test_the_lens_is_found_from_labels_and_a_pinhole_would_miss(h36m_folder):
    with h5py.File(h36m_folder / "S1" / "Directions-1" / "annot.h5") as file:
        points, joints = file["pose/2d"][:, list(h36m.OF_32)], file["pose/3d"][:, list(h36m.OF_32)] / 1000
    lens, pinhole = (crop.fitted_camera(joints, points, h36m.SIZE_PX, flag, "x") for flag in (True, False))
    assert np.abs(lens.project(joints) - points).max() < 0.05
    assert np.abs(pinhole.project(joints) - points).max() > 1.0
    assert lens.focal_px == pytest.approx(1145, abs=1)
    with pytest.raises(TrainingError, match="3D labels miss the 2D labels"):
        crop.fitted_camera(joints, points[:, list(MIRROR)], h36m.SIZE_PX, True, "x")


def test_a_video_that_ends_early_is_named(h36m_folder, tmp_path):
    with pytest.raises(TrainingError, match=r"55011271.avi: frame 10 is labelled, the video ends before"):
        run.convert(run.DataSet("x", h36m_folder, h36m.read(h36m_folder, every=5).athletes[4:], []), tmp_path)
    assert not list(tmp_path.glob("*.tar")) + list(tmp_path.glob("*.part"))


def test_mpi_inf_3dhp_joints_by_name(tmp_path):
    folder = tmp_path / "3dhp" / "S2" / "Seq1"
    (folder / "imageFrames" / "video_4").mkdir(parents=True)
    camera = Camera(2048, 2048, 1500.0, (1024.0, 1050.0))
    roots = [(-0.5, 0.1, 3.5), (0.6, -0.1, 4.2), (0.1, 0.3, 3.0), (0.3, -0.3, 5.0), (-0.9, -0.2, 4.0), (0.9, 0.3, 4.6)]
    ours = np.stack([standing(root) for root in roots])
    full = np.repeat(ours[:, :1], 28, axis=1)
    named = {"thorax": "neck", "nose": "head", "head": "head_top"}
    for joint, name in enumerate(JOINT_NAMES):
        full[:, mpi_inf_3dhp.ALL.index(named.get(name, name))] = ours[:, joint]
    annot2, annot3 = (np.empty((14, 1), object) for _ in range(2))
    for c in range(14):
        annot2[c, 0], annot3[c, 0] = camera.project(full).reshape(6, 56), 1000 * full.reshape(6, 84)
    savemat(folder / "annot.mat", {"annot2": annot2, "annot3": annot3, "frames": np.arange(6)})
    for row in (0, 5):
        picture = drawn(camera.project(ours[row]), (2048, 2048))
        cv2.imwrite(str(folder / "imageFrames" / "video_4" / f"frame_{row + 1:06d}.jpg"), picture)
    run.convert(mpi_inf_3dhp.read(tmp_path / "3dhp"), tmp_path / "out")
    samples = shards_of(tmp_path / "out")
    assert [key for key, _, _ in samples] == ["mpi3dhp-gS2_Seq1-4_000000", "mpi3dhp-gS2_Seq1-4_000005"]
    for _, jpeg, label in samples:
        check_solid(label)
        check_share(label)
        assert [n for n, flag in zip(JOINT_NAMES, label["labelled"], strict=True) if not flag] == ["nose"]
        check_picture(jpeg, label, [i for i in range(17) if JOINT_NAMES[i] not in ("nose", "head")])
    head = np.array(samples[0][2]["joints_cam_m"])[[8, 10]]
    assert np.linalg.norm(head[1] - head[0]) == pytest.approx(0.75 * np.linalg.norm(ours[0, 10] - ours[0, 8]), abs=1e-3)


def test_bones_keep_their_lengths(h36m_folder, tmp_path):
    run.convert(h36m.read(h36m_folder, every=9), tmp_path)
    _, _, label = shards_of(tmp_path)[0]
    with h5py.File(h36m_folder / "S1" / "Directions-1" / "annot.h5") as file:
        truth = file["pose/3d"][0, list(h36m.OF_32)] / 1000
    made = np.array(label["joints_cam_m"])
    for a, b in BONES:
        assert np.linalg.norm(made[a] - made[b]) == pytest.approx(np.linalg.norm(truth[a] - truth[b]), abs=3e-4)
    # A turned camera is no mirror: the triple product of three directions keeps its sign.
    assert np.sign(np.linalg.det(made[[1, 8, 13]])) == np.sign(np.linalg.det((truth - truth[0])[[1, 8, 13]]))
