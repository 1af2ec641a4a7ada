"""Finding, following, coasting, losing and finding again; no subject is said as data; an overtaken reader counts it."""

import numpy as np
import pytest

from engines.codecs import theta_of_box, window_of_picture
from engines.contracts import CROP_H, CROP_W, STN, STN_PX
from engines.view import Views
from pipeline import config
from pipeline.detector import Detector
from pipeline.messages import Frame, Track
from pipeline.picture import Picture
from pipeline.ring import Ring, slot_bytes_for
from pipeline.sources import SourceInfo
from pipeline.stages.capture import Capture
from pipeline.stages.track import Tracker

WIDTH, HEIGHT, RATE_HZ = 640, 360, 50.0
SIDE = 40


class Bright:
    """A detector that finds the bright square of these pictures; what it sees is the real window, cut for it."""

    contract = STN
    device = "bright square"

    def __init__(self, least: int = 1) -> None:
        self.looks, self.least = 0, least

    def run(self, inputs):
        self.looks += 1
        bright = inputs["picture"][0].mean(axis=-1) > 150
        if bright.sum() < self.least:
            return {"theta": np.array([[0.5, 0.5, 0, 0]], np.float32), "presence": np.array([[0.02]], np.float32)}
        y, x = np.nonzero(bright)
        box = (x.min() - 0.5, y.min() - 0.5, x.max() + 0.5, y.max() + 0.5)
        theta = theta_of_box(box, window_of_picture(STN_PX, STN_PX))
        return {"theta": theta[None].astype(np.float32), "presence": np.array([[0.95]], np.float32)}


def picture(centre: tuple[float, float] | None, t_s: float) -> Picture:
    luma = np.full((HEIGHT, WIDTH), 40, np.uint8)
    if centre is not None:
        u, v = round(centre[0]), round(centre[1])
        luma[max(0, v - SIDE) : max(0, v + SIDE), max(0, u - SIDE // 2) : max(0, u + SIDE // 2)] = 230
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    return Picture((luma, chroma, chroma), "yuv420p", t_media_ns=round(t_s * 1e9))


class Stand:
    """Capture and track on one ring, without processes."""

    def __init__(self, tmp_path, slots: int = 6) -> None:
        self.settings = config.Config()
        self.ring = Ring.create(tmp_path / "ring", slots, slot_bytes_for(WIDTH, HEIGHT))
        info = SourceInfo("test", WIDTH, HEIGHT, RATE_HZ, 0, False, None)
        self.capture = Capture(self.settings, self.ring, info)
        self.seq = -1
        self.rate_hz = RATE_HZ
        self.tracker = self.fresh(None)

    def fresh(self, ring: Ring | None) -> Tracker:
        return Tracker(self.settings.track, Detector(Bright()), lambda: self.ring, ring, Views(None, 25.0))

    def frame(self, centre: tuple[float, float] | None) -> Frame:
        self.seq += 1
        return self.capture.step(picture(centre, self.seq / self.rate_hz), self.seq, 0)

    def track(self, centre: tuple[float, float] | None) -> Track:
        (track,) = self.tracker.step([self.frame(centre)])
        return track


@pytest.fixture
def stand(tmp_path):
    made = Stand(tmp_path)
    yield made
    made.ring.close()


def middle(track: Track) -> tuple[float, float]:
    left, top, right, bottom = track.box_img_px
    return (left + right) / 2, (top + bottom) / 2


def test_nobody_is_said_as_data(stand) -> None:
    track = stand.track(None)
    assert (track.state, track.subject, track.box_img_px, track.crop) == ("none", 0, None, None)


def test_found_followed_and_cut(stand) -> None:
    states = []
    for step in range(30):
        centre = (100 + 8 * step, 100 + 4 * step)
        track = stand.track(centre)
        states.append(track.state)
        assert middle(track) == pytest.approx(centre, abs=6)
        crop = np.frombuffer(track.crop, np.uint8).reshape(CROP_H, CROP_W, 3)
        assert crop[CROP_H // 2, CROP_W // 2].mean() > 150
        assert crop[2, 2].mean() < 100
    assert states == ["acquired"] + ["followed"] * 29
    assert track.subject == 1


def test_coasts_through_a_short_loss_at_its_velocity(stand) -> None:
    stand.settings = config.Config(track=config.TrackSettings(sport="ground"))
    stand.tracker = stand.fresh(None)
    for step in range(25):
        stand.track((100 + 6 * step, 150))
    coasted = [stand.track(None) for _ in range(10)]
    assert {track.state for track in coasted[1:]} == {"coasted"}, "the first may be told before it is looked at"
    assert middle(coasted[-1])[0] == pytest.approx(100 + 6 * 34, abs=15)
    assert stand.track((100 + 6 * 35, 150)).state == "followed"


def fallen(step: int) -> tuple[float, float]:
    """Where somebody is so many frames after leaving a platform, 38 pixels to the metre."""
    t_s = step / RATE_HZ
    return 200 + 40 * t_s, 70 - 100 * t_s + 9.81 * 38 / 2 * t_s**2


def test_coasts_through_an_occlusion_in_flight_by_the_fall(stand) -> None:
    for _ in range(20):
        stand.track((200, 70))
    for step in range(30):
        stand.track(fallen(step))
    coasted = [(stand.track(None), fallen(step)) for step in range(30, 45)]
    assert {track.state for track, _ in coasted[3:]} == {"coasted"}
    assert middle(coasted[-1][0]) == pytest.approx(coasted[-1][1], abs=0.35 * 2 * SIDE)
    assert [stand.track(fallen(step)).state for step in range(45, 48)][-1] == "followed"


def test_lost_for_long_is_given_up_and_the_next_is_another(stand) -> None:
    for _ in range(10):
        stand.track((200, 150))
    states = [stand.track(None).state for _ in range(30)]
    assert states[:3] in (["followed", "coasted", "coasted"], ["followed", "followed", "coasted"])
    assert states[-1] == "none"
    assert states.count("coasted") <= 0.4 * RATE_HZ + 1
    again = stand.track((500, 200))
    assert (again.state, again.subject) == ("acquired", 2)


def looks_before_and_after(stand, centre: tuple[float, float] | None) -> tuple[Track, int, int]:
    """What is told of the next frame, and how often the detector looked before that and after it."""
    detector = stand.tracker._detector._session
    start = detector.looks
    told = iter(stand.tracker.step([stand.frame(centre)]))
    track = next(told)
    before = detector.looks
    assert next(told, None) is None
    return track, before - start, detector.looks - before


def test_a_steady_subject_is_told_before_it_is_looked_at(stand) -> None:
    stand.rate_hz = 30.0
    for _ in range(6):
        stand.track((200, 150))
    for _ in range(20):
        track, before, after = looks_before_and_after(stand, (200, 150))
        assert (track.state, before, after) == ("followed", 0, 1)


def test_a_fast_camera_is_looked_at_in_every_other_frame(stand) -> None:
    for _ in range(6):
        stand.track((200, 150))
    looks = [sum(looks_before_and_after(stand, (200, 150))[1:]) for _ in range(20)]
    assert looks in ([0, 1] * 10, [1, 0] * 10)


def test_an_unsteady_subject_is_looked_at_before_it_is_told(stand) -> None:
    stand.rate_hz = 12.5  # too long between two frames to know where it is
    for _ in range(6):
        stand.track((200, 150))
    for centre in [None, None, None, (200, 150), (204, 150)]:
        track, before, after = looks_before_and_after(stand, centre)
        assert (track.state, after) == ("coasted" if centre is None else "followed", 0)
        assert before in ((1, 2) if centre is None else (1,)), "where nobody is found, farther off once more"


def test_a_source_that_began_again_is_searched_anew(stand) -> None:
    for _ in range(50):
        stand.track((200, 150))
    again = [stand.capture.step(picture((480, 200), step / RATE_HZ), 50 + step, 0) for step in range(4)]
    tracks = [track for frame in again for track in stand.tracker.step([frame])]
    assert [track.state for track in tracks] == ["acquired", "followed", "followed", "followed"]
    assert {track.subject for track in tracks} == {2}
    assert middle(tracks[-1]) == pytest.approx((480, 200), abs=6)


def test_overtaken_during_the_look_after_it_nothing_is_lost(stand) -> None:
    stand.rate_hz = 30.0
    for _ in range(6):
        stand.track((200, 150))
    told = iter(stand.tracker.step([stand.frame((204, 150))]))
    assert next(told).state == "followed"
    for _ in range(8):
        newest = stand.frame((204, 150))
    assert next(told, None) is None
    assert stand.tracker.dropped["overrun"] == 0
    (track,) = stand.tracker.step([newest])
    assert track.state == "followed"


def test_overtaken_reader_counts_and_goes_on(stand) -> None:
    stale = stand.frame((200, 150))
    for _ in range(8):
        newest = stand.frame((200, 150))
    assert list(stand.tracker.step([stale])) == []
    assert stand.tracker.dropped["overrun"] == 1
    (track,) = stand.tracker.step([newest])
    assert track.state == "acquired"


def test_restarted_reader_releases_what_died_with_the_former_one(stand) -> None:
    for _ in range(6):
        stand.frame((200, 150))
    assert not stand.ring.writable()
    stand.tracker = stand.fresh(stand.ring)
    assert stand.ring.writable()
    assert stand.tracker.dropped["restart"] == 6
    assert stand.track((200, 150)).state == "acquired"


def test_drifted_box_is_left_for_the_subject_elsewhere(stand) -> None:
    """Something bright keeps the search window busy while the larger subject stands elsewhere in the picture."""
    for _ in range(3):
        stand.track((100, 100))
    assert stand.tracker._around._suspicions == 0
    for _ in range(120):
        track = stand.track((500, 250))
    assert middle(track) == pytest.approx((500, 250), abs=8)


def test_a_subject_too_small_for_the_whole_picture_is_found_in_a_square_of_it(stand) -> None:
    """The square is 8 x 28 pixels of the detector's in the whole picture, 16 x 28 in a large square of it."""
    stand.tracker._detector._session.least = 400
    tracks = [stand.track((520, 200)) for _ in range(8)]
    assert [track.state for track in tracks].index("acquired") < 8
    assert middle(tracks[-1]) == pytest.approx((520, 200), abs=4)


def test_an_empty_picture_is_looked_over_quickly_once_and_then_at_leisure(stand) -> None:
    looks = []
    for _ in range(30):
        before = stand.tracker._detector._session.looks
        stand.track(None)
        looks.append(stand.tracker._detector._session.looks - before)
    assert max(looks[:3]) == 7 and max(looks[5:]) == 3


def test_the_likeliest_of_a_sweep_is_taken_up_and_nobody_unlikely(stand) -> None:
    class Doubtful(Bright):
        def run(self, inputs):
            found = super().run(inputs)
            return found | {"presence": np.minimum(found["presence"], 0.7).astype(np.float32)}

    stand.tracker._detector._session = Doubtful()
    states = [stand.track((520, 200)).state for _ in range(8)]
    assert states[0] == "none" and "acquired" in states
    stand.tracker = stand.fresh(None)
    stand.tracker._detector._session = Bright(least=10**6)
    assert {stand.track((520, 200)).state for _ in range(20)} == {"none"}


def test_somebody_clearer_elsewhere_twice_in_a_row_ends_a_drifted_box(stand) -> None:
    for _ in range(3):
        stand.track((100, 100))

    class Drifted(Bright):
        """Sure of the subject, and in doubt about whatever the followed window shows."""

        def run(self, inputs):
            found = super().run(inputs)
            if inputs["picture"][0].mean(axis=-1).max() < 150:
                return {"theta": np.array([[0.5, 0.5, 0, 0]], np.float32), "presence": np.array([[0.4]], np.float32)}
            return found

    stand.tracker._detector._session = Drifted()
    tracks = [stand.track((500, 250)) for _ in range(300)]
    assert tracks[50].subject == 1 and tracks[50].state == "followed"
    assert tracks[-1].subject == 2 and middle(tracks[-1]) == pytest.approx((500, 250), abs=6)


def furnished(centre: tuple[float, float] | None, t_s: float) -> Picture:
    """As `picture`, with a bright table that never moves."""
    made = picture(centre, t_s)
    made.planes[0][220:300, 60:100] = 230
    return made


class Gullible(Bright):
    """Takes every bright thing for an athlete; of several, the one nearest to the window's left."""

    def run(self, inputs):
        bright = inputs["picture"][0].mean(axis=-1) > 150
        columns = np.flatnonzero(bright.any(0))
        if len(columns):
            gaps = np.flatnonzero(np.diff(columns) > 1)
            last = columns[gaps[0]] if len(gaps) else columns[-1]
            inputs = {"picture": inputs["picture"].copy()}
            inputs["picture"][:, :, last + 1 :] = 0
        return super().run(inputs)


def seen(stand, centre: tuple[float, float] | None) -> Track:
    stand.seq += 1
    frame = stand.capture.step(furnished(centre, stand.seq / RATE_HZ), stand.seq, 0)
    (track,) = stand.tracker.step([frame])
    return track


def test_a_table_gives_way_to_the_first_who_moves(stand) -> None:
    stand.tracker._detector._session = Gullible()
    assert [seen(stand, None).subject for _ in range(60)][-1] == 1
    tracks = [seen(stand, (600 - 5 * step, 120)) for step in range(30)]
    assert [track.subject for track in tracks].index(2) < 10
    assert middle(tracks[-1]) == pytest.approx((600 - 5 * 29, 120), abs=8)


def test_an_athlete_who_moved_once_may_stand_still_while_others_pass(stand) -> None:
    stand.tracker._detector._session = Gullible()
    for step in range(10):
        stand.track((100 + 6 * step, 260))
    for step in range(120):
        luma = picture((154, 260), 0.0)
        passer = picture((600 - 3 * step, 80), 0.0).planes[0]
        luma.planes[0][passer > 150] = 230
        stand.seq += 1
        both = Picture(luma.planes, "yuv420p", t_media_ns=round(stand.seq / RATE_HZ * 1e9))
        (track,) = stand.tracker.step([stand.capture.step(both, stand.seq, 0)])
        assert track.subject == 1 and middle(track) == pytest.approx((154, 260), abs=10)


def test_what_moves_and_is_nobody_does_not_keep_from_searching(stand) -> None:
    """Rippling water seems somebody at first and nobody when looked at closer; the athlete stands still."""

    class Ripples(Bright):
        """Sure of the bright square; of the grey one only from afar."""

        def run(self, inputs):
            found = super().run(inputs)
            grey = (np.abs(inputs["picture"][0].astype(int).mean(axis=-1) - 110) < 25).mean()
            if found["presence"].max() < 0.5 and 0.02 < grey < 0.2:
                return {"theta": np.array([[0.1, 0.1, 0, 0]], np.float32), "presence": np.array([[0.8]], np.float32)}
            return found

    stand.tracker._detector._session = Ripples(least=400)
    states = []
    for step in range(20):
        made = picture((520, 150), 0.0)
        made.planes[0][250:330, 40 + 4 * (step % 2) : 120 + 4 * (step % 2)] = 110
        stand.seq += 1
        moment = Picture(made.planes, "yuv420p", t_media_ns=round(stand.seq / RATE_HZ * 1e9))
        (track,) = stand.tracker.step([stand.capture.step(moment, stand.seq, 0)])
        states.append(track.state)
    assert "acquired" in states and middle(track) == pytest.approx((520, 150), abs=6)
