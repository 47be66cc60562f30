"""Faults of the score ladder have the strengths that they say; ranks and changes are right."""

import json
from typing import get_type_hints

import av
import numpy as np
import pytest

from avsync.pipelines.evaluate.talking_scores import ClipScores
from avsync.synthetic import render
from benchmarks.clip_file import Clip
from benchmarks.sync import score_ladder
from benchmarks.sync.score_ladder_fixtures import (
    FAULTS,
    NEUTRAL,
    SPEECH_DB,
    Donors,
    delayed,
    drifting,
    dropped,
    frozen_from,
    musical,
    noisy,
    other_voice_from,
    shifted_crop,
    silent_from,
    speech_frames,
    with_margin_cut,
)

FRAMES, RATE = 50, 16000
BY_NAME = {fault.name: fault for fault in FAULTS}
# Shifted noise differs equally by any shift, and files of other rates are compared by their rates.
SHIFTS = ("delay", "drift", "crop shift")
GRADED = [fault for fault in FAULTS if fault.variant is None and fault.name not in SHIFTS]


@pytest.fixture(scope="module")
def clip():
    """Two seconds of noise images that speak from frame 10 to frame 40."""
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 255, (FRAMES, 64, 96, 3), np.uint8)
    wav = 1e-4 * rng.standard_normal(FRAMES * 640)
    wav[10 * 640 : 40 * 640] += 0.1 * rng.standard_normal(30 * 640)
    return Clip("a", "a", frames, wav.astype(np.float32))


@pytest.fixture(scope="module")
def donors():
    rng = np.random.default_rng(2)
    speech = 1e-4 * rng.standard_normal(FRAMES * 640)
    speech[5 * 640 : 20 * 640] += 0.02 * rng.standard_normal(15 * 640)
    return Donors(speech.astype(np.float32), np.sin(np.arange(9000) / 9).astype(np.float32))


def power(wav):
    return float(np.square(wav.astype(float)).mean())


def test_there_are_twelve_faults_of_five_strengths():
    assert len(BY_NAME) == len(FAULTS) == 12
    assert all(len(set(fault.strengths)) == 5 for fault in FAULTS)
    assert {change.kind for change in NEUTRAL} == {"codec", "crop", "fps"}


@pytest.mark.parametrize("fault", GRADED, ids=lambda fault: fault.name)
def test_each_strength_is_further_from_the_true_clip_than_the_one_before(fault, clip, donors):
    def distance(made):
        frames = np.abs(made.frames.astype(float) - clip.frames).mean()
        # At its own level: adding noise may scale the audio to stay below full scale.
        scale = power(clip.wav) / float(np.mean(made.wav.astype(float) * clip.wav))
        return frames + power(scale * made.wav - clip.wav)

    distances = [distance(fault.change(clip, value, donors)) for value in fault.strengths]
    assert distances[0] > 0
    assert distances == sorted(distances) and len(set(distances)) == 5


def test_a_delay_makes_the_audio_late(clip):
    np.testing.assert_allclose(delayed(clip, 80.0).wav[1280:], clip.wav[:-1280], atol=1e-3)


def test_a_drift_grows_linearly_from_nothing_to_its_size(clip):
    at_s = np.arange(FRAMES * 640) / RATE
    tone = clip._replace(wav=np.sin(2000 * at_s).astype(np.float32))
    # Late by 100 ms * t / 2 s: the output at t is the input at 0.95 t.
    np.testing.assert_allclose(drifting(tone, 100.0).wav, np.sin(2000 * 0.95 * at_s), atol=0.02)


def test_speech_is_where_it_is_loud(clip):
    assert speech_frames(clip) == (10, 40)
    quieter = clip._replace(wav=clip.wav * 10 ** (-SPEECH_DB / 20))
    assert speech_frames(quieter) == (10, 40)


def test_freeze_wrong_voice_and_leak_begin_within_the_speech(clip, donors):
    # 60 % of the speech from frame 10 to 40 begins at frame 22.
    frozen = frozen_from(clip, 60.0).frames
    assert (frozen[22:] == clip.frames[22]).all()
    np.testing.assert_array_equal(frozen[:22], clip.frames[:22])
    changed = {"wrong": other_voice_from(clip, 60.0, donors).wav, "leak": silent_from(clip, 60).wav}
    for wav in changed.values():
        np.testing.assert_array_equal(wav[: 22 * 640], clip.wav[: 22 * 640])
        np.testing.assert_array_equal(wav[40 * 640 :], clip.wav[40 * 640 :])
    assert power(changed["leak"][22 * 640 : 40 * 640]) == pytest.approx(1e-9, rel=0.1)
    # The donor's speech, not its silence, at the power of the clip.
    assert power(changed["wrong"][22 * 640 : 40 * 640]) == pytest.approx(power(clip.wav), rel=0.1)


def test_dropped_frames_repeat_the_one_before(clip):
    made = dropped(clip, 40.0).frames
    same = [(made[k] == clip.frames[k]).all() for k in range(FRAMES)]
    assert 0.4 < np.mean(same) < 0.8
    assert all((made[k] == made[k - 1]).all() for k in range(1, FRAMES) if not same[k])


def test_crops_are_shifted_and_cut_by_shares_of_the_width(clip):
    frames = shifted_crop(clip, 12.5).frames
    np.testing.assert_array_equal(frames[:, 12:, 12:], clip.frames[:, :-12, :-12])
    cut = with_margin_cut(clip, 6.25).frames
    np.testing.assert_array_equal(cut, clip.frames[:, 6:-6, 6:-6])


@pytest.mark.parametrize("add", [noisy, musical])
@pytest.mark.parametrize("snr_db", [20.0, -5.0])
def test_noise_and_music_have_the_ratio_that_the_strength_says(add, snr_db, clip, donors):
    mixed = add(clip, snr_db, donors).wav.astype(float)
    gain = np.mean(mixed * clip.wav) / power(clip.wav)
    rest = mixed / gain - clip.wav
    assert np.abs(mixed).max() <= 1
    # Noise and speech correlate by chance: 32,000 samples, 1 / 179.
    assert 10 * np.log10(power(clip.wav) / power(rest)) == pytest.approx(snr_db, abs=0.2)


def test_files_have_the_rates_that_the_strengths_say(clip, donors, tmp_path):
    sizes = []
    for kbps in BY_NAME["codec"].strengths:
        path = BY_NAME["codec"].write(tmp_path / "a.mkv", clip, kbps, donors)
        sizes.append(path.stat().st_size)
    assert sizes == sorted(sizes, reverse=True)
    for fps in BY_NAME["fps"].strengths:
        path = BY_NAME["fps"].write(tmp_path / "b.mkv", clip, fps, donors)
        with av.open(str(path)) as container:
            assert len(list(container.decode(video=0))) == round(2 * fps)


def test_harmless_changes_keep_frames_and_audio_in_time(clip, tmp_path):
    for change in NEUTRAL:
        path = change.write(tmp_path / "a", clip)
        with av.open(str(path)) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            frames = len(list(container.decode(video=0)))
            assert frames / video.average_rate == pytest.approx(2.0, abs=0.05), change.name
            assert audio.codec_context.name != video.codec_context.name


def test_every_score_with_a_mean_is_on_the_ladder():
    numbers = [name for name, kind in get_type_hints(ClipScores).items() if kind == float | None]
    assert set(numbers) - set(score_ladder.SCORES) == {"duration_s", "low_ms", "high_ms"}


def levels_of(*values):
    """Six levels of one clip with a score; None where it is missing."""
    return [{"a": {} if value is None else {"pri": value}} for value in values]


def test_rank_correlation_is_that_of_the_strengths():
    ranks = score_ladder.rank_correlations
    assert ranks(levels_of(1, 2, 4, 8, 16, 32), "pri") == [pytest.approx(1.0)]
    assert ranks(levels_of(5, 4, 3, 2, 1, 0), "pri") == [pytest.approx(-1.0)]
    # Two neighbours exchanged: 1 - 6 * 2 / (6 * 35).
    assert ranks(levels_of(1, 2, 4, 3, 5, 6), "pri") == [pytest.approx(1 - 12 / 210)]


def test_a_score_that_does_not_change_sees_nothing_and_a_missing_one_is_left_out():
    ranks = score_ladder.rank_correlations
    assert ranks(levels_of(7, 7, 7, 7, 7, 7), "pri") == [0.0]
    assert ranks(levels_of(1, None, 2, None, 3, 4), "pri") == [pytest.approx(1.0)]
    assert ranks(levels_of(1, 2, 3, None, None, None), "pri") == []


def test_changes_are_in_percent_of_the_mean_of_clips_with_both():
    before = {"a": {"pri": 2.0}, "b": {"pri": 4.0}, "c": {"pri": 9.0}}
    after = {"a": {"pri": 2.2}, "b": {"pri": 4.4}, "c": {}}
    figures = score_ladder.change_figures(before, after)["pri"]
    assert figures["clips"] == 2 and figures["mean"] == 3.0
    assert figures["percent"] == pytest.approx(10.0)
    assert figures["interval_percent"] == pytest.approx([20 / 3, 40 / 3])
    assert score_ladder.change_figures({"a": {"pri": 0.0}}, after)["pri"]["percent"] is None


def test_tables_are_put_into_the_page(results, page_with_marks, tmp_path):
    levels = [{**level, "b": {"answered": k}} for k, level in enumerate(levels_of(*range(6)))]
    scores = score_ladder.fault_figures(levels)
    few = score_ladder.fault_figures([{**level, "c": {"answered": 0}} for level in levels])
    change = score_ladder.change_figures({"a": {"pri": 2.0}}, {"a": {"pri": 2.2}})
    neutral = {"VP8": {"kind": "codec", "scores": change}}
    record = {
        "faults": {
            "delay": {"unit": "ms", "strengths": [1, 2, 3, 4, 5], "scores": scores},
            "blur": {"unit": "px", "strengths": [1, 2, 3, 4, 5], "scores": few},
        },
        "neutral": {"true": neutral, "delayed": neutral},
    }
    (results / "sync").mkdir(parents=True)
    (results / "sync" / "score_ladder.json").write_text(json.dumps(record))
    page = tmp_path / "page.md"
    page.write_text(page_with_marks("ladder"))
    score_ladder.write_page(page)
    rows = page.read_text().split("\n")
    assert "| delay | 1.00 (1.00 to 1.00) | 1.00 (1.00 to 1.00) |" in rows
    assert "| delay | 0, 1, 3, 5 ms | 0 / 1 / 3 / 5 | 0 / 1 / 3 / 5 |" in rows
    assert "| blur | 0.50 (0.00 to 1.00) | 1.00 (1.00 to 1.00) |" in rows
    assert rows.count("| codec: VP8 | +10.0 (+10.0 to +10.0) |") == 2


@pytest.mark.slow
def test_misalignment_ranks_the_delays_of_rendered_speech():
    rendered = render(7, duration_s=2.0, size=(320, 240), sample_rate=RATE)
    clip = Clip("a", "a", np.asarray(rendered.frames), np.asarray(rendered.wav, np.float32))
    true = score_ladder.score_true([clip])
    levels = score_ladder.measure_fault(
        BY_NAME["delay"], [clip], [Donors(clip.wav, clip.wav)], true
    )
    figures = score_ladder.fault_figures(levels)
    assert figures["misalignment_ms"]["spearman"] == pytest.approx(1.0)
    assert figures["offset_ms"]["spearman"] == pytest.approx(-1.0)
    assert "psnr" not in levels[1]["a"]
