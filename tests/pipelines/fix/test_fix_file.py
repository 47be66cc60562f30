"""A fixed file is in sync; an uncertain repair is refused; the input is not changed."""

import numpy as np
import pytest
from pipelines.answers import answer

from avsync.pipelines.fix.fix_file import FixRefused, fix
from avsync.scoring.result import Fault, OffsetSegment, StreamResult

FLASHES = {"flashes": (0.8, 1.2, 1.6)}


@pytest.fixture
def by_flash(clip_sync):
    """Measure a clip by its flashes and clicks: late audio has a negative offset."""

    def measure(path, progress=None):
        for share in (0.5, 1.0):
            if progress is not None:
                progress(share)
        return answer(path, float(-np.mean(clip_sync(path))))

    return measure


@pytest.mark.parametrize("lead_s", [0.24, -0.16, 0.0])
def test_the_audio_of_a_fixed_file_is_in_sync_with_its_frames(
    make_clip, clip_sync, tmp_path, by_flash, lead_s
):
    clip = make_clip("clip.mp4", clicks=[t - lead_s for t in FLASHES["flashes"]], **FLASHES)
    untouched = clip.read_bytes()
    done = fix(clip, tmp_path / "fixed.mp4", measure=by_flash)
    assert done.shift_ms == pytest.approx(1000 * lead_s, abs=1)
    assert done.before.offset_ms == pytest.approx(1000 * lead_s, abs=1)
    assert done.after.offset_ms == pytest.approx(0, abs=1)
    assert np.abs(clip_sync(done.output)).max() < 1
    assert clip.read_bytes() == untouched


def test_jumps_are_moved_segment_by_segment(make_clip, clip_sync, tmp_path, by_flash):
    flashes = (0.8, 1.6, 2.4, 3.2, 4.6, 5.4)
    clicks = [t - 0.2 if t < 3 else t + 0.12 for t in flashes]
    clip = make_clip("clip.mp4", duration_s=6.0, flashes=flashes, clicks=clicks)
    segments = (OffsetSegment(0, 3, 200.0, 0.0), OffsetSegment(3, 6, -120.0, 0.0))

    def measure(path, progress=None):
        jumps = answer(path, 40.0, fault=Fault("jumps", segments))
        return jumps if path == clip else by_flash(path)

    done = fix(clip, tmp_path / "new.mp4", measure=measure)
    np.testing.assert_allclose(clip_sync(done.output), 0, atol=1)
    assert done.repair.kind == "jumps"
    assert done.shift_ms == 200.0
    # Between the clicks it is silent throughout: the cut stays where the offset changes.
    assert [segment.offset_ms for segment in done.repair.pieces] == [200.0, -120.0]
    assert done.repair.pieces[1].start_s == pytest.approx(3, abs=0.3)
    assert done.after.file == str(tmp_path / "new.mp4")


def test_a_drift_is_resampled(make_clip, clip_sync, tmp_path, by_flash):
    flashes = (0.8, 2.4, 4.8, 7.2)
    clicks = [0.9955 * t - 0.05 for t in flashes]
    clip = make_clip("clip.mkv", duration_s=8.0, flashes=flashes, clicks=clicks)
    drift = Fault("drift", (OffsetSegment(0, 8, 50.0, 4500.0),), drift_ppm=4500.0)

    def measure(path, progress=None):
        return answer(path, 68.0, fault=drift) if path == clip else by_flash(path)

    done = fix(clip, tmp_path / "new.mkv", measure=measure)
    np.testing.assert_allclose(clip_sync(done.output), 0, atol=1.5)
    assert (done.repair.kind, done.repair.ppm) == ("drift", 4500.0)
    assert done.repair.encoded[0].startswith("aac at ")


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({"offset_ms": -300.0}, "would be off by 300 ms, and was by 120 ms; it was not kept"),
        (
            {
                "offset_ms": 0.0,
                "status": "cannot_tell",
                "reason": "no_match",
                "detail": "no speech",
            },
            "cannot be measured again: no speech; it was not kept",
        ),
    ],
)
def test_a_repair_that_is_no_better_is_not_kept_unless_forced(make_clip, tmp_path, after, words):
    clip, target = make_clip("clip.mp4"), tmp_path / "new.mp4"
    target.write_bytes(b"precious")

    def measure(path, progress=None):
        return answer(path) if path == clip else answer(path, **after)

    with pytest.raises(FixRefused, match=words) as caught:
        fix(clip, target, measure=measure, overwrite=True)
    assert caught.value.after.offset_ms == after["offset_ms"]
    assert target.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "new.mp4"]
    fix(clip, target, measure=measure, overwrite=True, force=True)
    assert target.read_bytes() != b"precious"


def test_a_container_that_cannot_hold_it_is_refused_before_anything_is_written(make_clip, tmp_path):
    for name in ("new.webm", "new.txt", "new"):
        for options in ({"dry_run": True}, {"force": True}):
            with pytest.raises(RuntimeError, match=r"clip\.mp4 cannot be copied into"):
                fix(make_clip("clip.mp4"), tmp_path / name, measure=lambda *_: answer(), **options)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_force_accepts_no_loss_and_allow_loss_does(make_clip, tmp_path):
    clip = make_clip("clip.mp4", rotation=90, video_codec="mpeg4")

    def repaired(**options):
        return fix(clip, tmp_path / "new.avi", measure=lambda *_: answer(), **options)

    for options in ({}, {"dry_run": True}):
        with pytest.raises(RuntimeError, match=r"without losing rotation .*--allow-loss"):
            repaired(force=True, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    assert "rotation (stream 0)" in repaired(allow_loss=True).repair.left_out


def test_a_repaired_file_in_tolerance_may_be_off_by_20_ms_more(make_clip, tmp_path):
    clip = make_clip("clip.mp4")

    def repaired(after_ms):
        def measure(path, progress=None):
            offset_ms = 5.0 if path == clip else after_ms
            return answer(path, offset_ms=offset_ms, verdict="in_sync")

        return fix(clip, tmp_path / "new.mp4", measure=measure)

    with pytest.raises(FixRefused, match="would be off by 26 ms, and was by 5 ms"):
        repaired(26.0)
    assert repaired(24.0).output.exists()


def test_a_repair_that_makes_one_of_the_streams_worse_is_not_kept(make_clip, tmp_path):
    clip = make_clip("clip.mkv", tracks=2)

    def result(first_ms, second_ms, first="in_sync", second="in_sync"):
        streams = [
            StreamResult(
                at, at + 1, "aac", 2, status="ok", verdict=verdict, offset_ms=ms, confidence=0.9
            )
            for at, (ms, verdict) in enumerate([(first_ms, first), (second_ms, second)])
        ]
        return answer(offset_ms=first_ms, verdict=first, audio=0, streams=tuple(streams))

    def measure(path, progress=None):
        if path == clip:
            return result(120.0, 3.0, first="audio_leads")
        return result(1.0, -90.0, second="audio_lags")

    with pytest.raises(FixRefused, match="audio 1 of the repaired file would be off by 90 ms"):
        fix(clip, tmp_path / "new.mkv", measure=measure)
    assert not (tmp_path / "new.mkv").exists()


def test_a_dry_run_writes_nothing(make_clip, tmp_path, by_flash):
    clip = make_clip("clip.mp4", clicks=(0.7, 1.1, 1.5), **FLASHES)
    done = fix(clip, tmp_path / "fixed.mp4", measure=by_flash, dry_run=True)
    assert done.after is None
    assert done.shift_ms == pytest.approx(100, abs=1)
    assert not done.output.exists()


def test_progress_runs_once_from_start_to_end(make_clip, tmp_path, by_flash):
    shares = []
    fix(make_clip("clip.mp4"), tmp_path / "new.mp4", measure=by_flash, progress=shares.append)
    assert shares == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("force", [False, True])
def test_without_an_offset_the_repair_is_always_refused(make_clip, tmp_path, force):
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


def test_an_uncertain_offset_is_refused_unless_forced(make_clip, tmp_path):
    clip = make_clip("clip.mp4")
    with pytest.raises(FixRefused, match=r"confidence of 0\.70, below 0\.80; nothing was written"):
        fix(clip, tmp_path / "new.mp4", measure=lambda *_: answer(confidence=0.7))
    fix(clip, tmp_path / "new.mp4", measure=lambda *_: answer(confidence=0.7), force=True)
    assert (tmp_path / "new.mp4").exists()


def test_an_offset_that_changes_is_refused_unless_forced(make_clip, tmp_path):
    result = answer(timeline=[120.0] * 10 + [400.0] * 10)
    clip = make_clip("clip.mp4")
    with pytest.raises(FixRefused, match=r"not constant: \+120 ms overall, \+400 ms"):
        fix(clip, tmp_path / "new.mp4", measure=lambda *_: result)
    fix(clip, tmp_path / "new.mp4", measure=lambda *_: result, force=True)


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
