"""A fixed file is in sync; what is unsure is refused in plain words; the input stays as it is."""

import numpy as np
import pytest

from avsync.pipelines.fix import FixRefused, doubt, fix
from avsync.scoring.result import CheckResult, TimelinePoint, TrackResult

SEEN = {"flashes": (0.8, 1.2, 1.6)}


def answer(path="clip.mp4", offset_ms=120.0, confidence=0.95, timeline=(), **changes):
    """A result of check: one face, whose timeline is a list of offsets, 0.4 s apart."""
    points = tuple(TimelinePoint(0.4 * k, offset, 0.9) for k, offset in enumerate(timeline))
    track = TrackResult(
        0,
        0,
        9,
        (0, 0, 99, 99),
        "ok",
        None,
        offset_ms,
        (offset_ms - 5, offset_ms + 5),
        confidence,
        points,
    )
    values = {
        "file": str(path), "status": "ok", "reason": None, "detail": "", "verdict": "audio_leads",
        "borderline": False, "offset_ms": offset_ms, "interval_ms": track.interval_ms,
        "confidence": confidence, "duration_s": 9.0, "tracks": (track,), "model": "flash and click",
        "profile": "ebu", "search_s": 1.0,
    }  # fmt: skip
    return CheckResult(**{**values, **changes})


@pytest.fixture
def by_flash(clip_sync):
    """Measures a clip by its flashes and clicks: sound that comes late has a negative offset."""

    def measure(path, progress=None):
        for share in (0.5, 1.0):
            if progress is not None:
                progress(share)
        return answer(path, float(-np.mean(clip_sync(path))))

    return measure


@pytest.mark.parametrize("lead_s", [0.24, -0.16, 0.0])
def test_the_sound_of_a_fixed_file_is_on_its_pictures(
    make_clip, clip_sync, tmp_path, by_flash, lead_s
):
    clip = make_clip("clip.mp4", clicks=[t - lead_s for t in SEEN["flashes"]], **SEEN)
    untouched = clip.read_bytes()
    done = fix(clip, tmp_path / "fixed.mp4", measure=by_flash)
    assert done.shift_ms == pytest.approx(1000 * lead_s, abs=1)
    assert done.before.offset_ms == pytest.approx(1000 * lead_s, abs=1)
    assert done.after.offset_ms == pytest.approx(0, abs=1)
    assert np.abs(clip_sync(done.output)).max() < 1
    assert clip.read_bytes() == untouched


def test_a_dry_run_writes_nothing(make_clip, tmp_path, by_flash):
    clip = make_clip("clip.mp4", clicks=(0.7, 1.1, 1.5), **SEEN)
    done = fix(clip, tmp_path / "fixed.mp4", measure=by_flash, dry_run=True)
    assert done.after is None
    assert done.shift_ms == pytest.approx(100, abs=1)
    assert not done.output.exists()


def test_progress_runs_once_from_start_to_end(make_clip, tmp_path, by_flash):
    told = []
    fix(make_clip("clip.mp4"), tmp_path / "new.mp4", measure=by_flash, progress=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("force", [False, True])
def test_without_an_offset_nothing_helps(make_clip, tmp_path, force):
    blank = answer(offset_ms=0.0, status="cannot_tell", reason="no_face", detail="no face found")
    unread = answer(
        offset_ms=0.0, status="unreadable", reason="damaged", detail="the file is empty"
    )
    clip = make_clip("clip.mp4")
    for result, words in ((blank, "no offset was found: no face"), (unread, "cannot be read: the")):
        with pytest.raises(FixRefused, match=words) as caught:
            fix(clip, tmp_path / "new.mp4", measure=lambda *_, r=result: r, force=force)
        assert caught.value.before is result
    assert not (tmp_path / "new.mp4").exists()


def test_an_unsure_offset_is_refused_unless_forced(make_clip, tmp_path):
    clip = make_clip("clip.mp4")
    with pytest.raises(FixRefused, match=r"confidence of 0\.70, below 0\.80; nothing was written"):
        fix(clip, tmp_path / "new.mp4", measure=lambda *_: answer(confidence=0.7))
    fix(clip, tmp_path / "new.mp4", measure=lambda *_: answer(confidence=0.7), force=True)
    assert (tmp_path / "new.mp4").exists()


def test_an_offset_that_changes_is_refused_unless_forced(make_clip, tmp_path):
    result = answer(timeline=[120.0] * 10 + [400.0] * 10)
    clip = make_clip("clip.mp4")
    with pytest.raises(
        FixRefused, match=r"not the same all along: \+120 ms on the whole, \+400 ms"
    ):
        fix(clip, tmp_path / "new.mp4", measure=lambda *_: result)
    fix(clip, tmp_path / "new.mp4", measure=lambda *_: result, force=True)


@pytest.mark.parametrize(
    ("timeline", "constant"),
    [
        ([120.0] * 20, True),
        ([120.0, 60.0, 199.0, 41.0] * 5, True),
        ([120.0] * 30 + [None] * 60, True),
        # One misjudged moment colours all points that see it, 4.4 s of them.
        ([120.0] * 60 + [-700.0] * 11 + [120.0] * 60, True),
        ([120.0] * 15 + [330.0] * 5, False),
        # A minute of a long file that is off is no misjudged moment.
        ([120.0] * 3000 + [330.0] * 150 + [120.0] * 3000, False),
        # A slow drift is off at both ends.
        (list(np.linspace(-80, 320, 50)), False),
    ],
)
def test_a_constant_offset_is_told_from_one_that_changes(timeline, constant):
    assert (doubt(answer(timeline=timeline)) is None) is constant


def test_the_input_and_existing_files_are_safe_before_anything_is_measured(make_clip, tmp_path):
    def never(*_):
        raise AssertionError("measured")

    clip, other = make_clip("clip.mp4"), make_clip("other.mp4")
    with pytest.raises(ValueError, match="destination must not be the source itself"):
        fix(clip, clip, measure=never, overwrite=True)
    with pytest.raises(FileExistsError, match=r"other\.mp4 exists already"):
        fix(clip, other, measure=never)
    with pytest.raises(ValueError, match=r"min_confidence must lie in \[0, 1\], got 80"):
        fix(clip, tmp_path / "new.mp4", measure=never, min_confidence=80)
