"""The excerpts of a scored clip against the engine, on files that are cut out of it."""

import numpy as np
import pytest
from evaluation.brightness import Brightness

from avsync.evaluation.clip_scores import compare_clip, encode_steps, encode_windows, join_clips
from avsync.evaluation.sync_accuracy import score_clip
from avsync.scoring.peak import find_peak
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLES_PER_FRAME

FRAMES, STEP_SAMPLES = 90, 320


class Levels(Brightness):
    """Its audio begins before the frames and ends after them; it sees no context."""

    spec = ClipSpec("mouth", 8, 8, window_frames=5, audio_from_s=-0.02, audio_until_s=0.22)


def clip(seed=0, lead_frames=0):
    levels = np.random.default_rng(seed).uniform(0, 1, FRAMES + 20)
    shown = (255 * levels[10:-10]).round() / 255
    crops = np.broadcast_to((255 * shown)[:, None, None, None], (FRAMES, 8, 8, 3)).round()
    heard = levels[10 + lead_frames : 10 + lead_frames + FRAMES]
    return crops.astype(np.uint8), np.repeat(heard, SAMPLES_PER_FRAME).astype(np.float32)


def scored(crops, wav, lead_ms=0.0):
    model = Levels()
    return compare_clip(model, encode_windows(model, crops), encode_steps(model, wav, lead_ms))


def assert_same(found, expected):
    np.testing.assert_array_equal(found.offsets_ms, expected.offsets_ms)
    np.testing.assert_array_equal(found.bins, expected.bins)
    np.testing.assert_array_equal(found.windows, expected.windows)
    np.testing.assert_allclose(found.evidence, expected.evidence, atol=1e-4)


def test_the_whole_clip_has_the_scores_of_the_engine():
    crops, wav = clip()
    expected = score_clip(Levels(), crops, wav, search_s=1.0)
    assert_same(scored(crops, wav).excerpt(reach_s=2.0), expected)


@pytest.mark.parametrize(("start", "frames", "steps"), [(0, 40, 7), (13, 50, -9), (30, 60, 0)])
def test_a_shifted_excerpt_has_the_scores_of_a_file_that_holds_it(start, frames, steps):
    crops, wav = clip()
    first = start * SAMPLES_PER_FRAME + steps * STEP_SAMPLES
    length = frames * SAMPLES_PER_FRAME
    inside = max(0, -first), min(length, len(wav) - first)
    cut = np.zeros(length, np.float32)
    cut[slice(*inside)] = wav[max(first, 0) : first + length]
    expected = score_clip(Levels(), crops[start : start + frames], cut, search_s=1.0)
    found = scored(crops, wav).excerpt(start, frames, steps, reach_s=2.0)
    # Audio beyond the clip is unknown here and silence in the file.
    if inside == (0, length):
        assert_same(found, expected)
    peaks = [find_peak(s.curve, 1000) for s in (found, expected)]
    assert peaks[0].offset_ms == pytest.approx(peaks[1].offset_ms, abs=3)
    assert peaks[0].offset_ms == pytest.approx(20 * steps, abs=5)


def test_a_lead_between_steps_moves_the_peak_by_itself():
    crops, wav = clip(lead_frames=2)
    at_ms = [
        find_peak(s.curve, 1000).offset_ms
        for s in (scored(crops, wav, lead_ms).excerpt() for lead_ms in (0.0, 10.0))
    ]
    assert at_ms[0] == pytest.approx(80, abs=3)
    assert at_ms[1] - at_ms[0] == pytest.approx(10, abs=2)


def test_the_audio_of_another_clip_does_not_match():
    (crops, wav), (_, other) = clip(), clip(seed=1)
    own, swapped = (scored(crops, w).excerpt().curve for w in (wav, other))
    z = [find_peak(c, 1000).z_score for c in (own, swapped)]
    assert z[0] > 2 * z[1]


def test_joined_clips_keep_all_evidence_and_share_no_block():
    clips = [scored(*clip(seed)).excerpt() for seed in (0, 1)]
    joined = join_clips(clips)
    np.testing.assert_allclose(
        joined.curve.evidence, sum(c.evidence.sum(0) for c in clips), atol=1e-3
    )
    assert len(joined.curve.blocks) == sum(len(c.curve.blocks) for c in clips)
    assert np.all(np.diff(joined.bins) > 0)


def test_an_excerpt_outside_the_clip_is_refused():
    found = scored(*clip())
    with pytest.raises(ValueError, match="frames 50 to 100 must lie in the clip's 90"):
        found.excerpt(50, 50)
    with pytest.raises(ValueError, match=r"the audio of a window, got 0\.100 s"):
        encode_steps(Levels(), np.zeros(1600, np.float32))
