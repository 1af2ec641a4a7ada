"""Made-up scenes with a diver, divers who wait and people who pass: what is in them, and what is counted."""

import numpy as np

from training.synth import trackscenes


def test_a_scene_holds_a_diver_who_is_hidden_for_a_while_and_others() -> None:
    scene = trackscenes.scene(np.random.default_rng(1))
    frames, people, sides = scene.boxes_img_px.shape
    assert people >= 2 and sides == 4
    assert 0 < scene.hidden.sum() < frames / 2


def test_gravity_brings_the_box_nearer_to_a_diver_who_is_hidden() -> None:
    found, blind = trackscenes.track_scenes(8, 1), trackscenes.track_scenes(8, 1, gravity=False)
    assert found.count == blind.count == 8
    assert found.occlusions > 0
    assert found.hidden_overlap > blind.hidden_overlap
