import copy
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from avsync.faces.face_frame import running_mean
from avsync.scoring import encoding_threads, engine
from avsync.scoring.audio_embeddings import level_db
from avsync.scoring.engine import CroppedTick, score_audio_streams, score_tracks
from avsync.scoring.score_sums import BIN_WINDOWS, crop_motion
from avsync.tasks.input_spec import ClipSpec
from avsync.tasks.sync.vocalist import VocalistConfig, build_vocalist
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

REACH_S = 0.4


class Brightness:
    """Model whose scores are computed by hand: brightness of a frame against level of its audio."""

    spec = ClipSpec("mouth", 4, 4, window_frames=2, audio_from_s=0.0, audio_until_s=0.04)

    def __init__(self):
        self.encoded_s = 0.0

    def encode_video(self, frames):
        return frames[:, :, :-1].mean((1, 3, 4))[..., None]

    def encode_audio(self, wav, starts_s):
        self.encoded_s += wav.shape[1] / SAMPLE_RATE
        starts = (starts_s * SAMPLE_RATE).round().long()
        return wav[:, starts[:, None] + torch.arange(SAMPLES_PER_FRAME)].mean(-1)[..., None]

    def compare(self, video, audio):
        return -((video - audio) ** 2).sum(-1)


class Memory:
    """Audio in memory that does not report its end before it was read."""

    def __init__(self, wav):
        self.wav = wav
        self.read = 0

    @property
    def end_s(self):
        return len(self.wav) / SAMPLE_RATE if self.read >= len(self.wav) else None

    def window(self, start_s, end_s):
        start, end = round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE)
        self.read = max(self.read, end)
        padded = np.concatenate([np.zeros(SAMPLE_RATE), self.wav, np.zeros(4 * SAMPLE_RATE)])
        return padded[start + SAMPLE_RATE : end + SAMPLE_RATE].astype(np.float32)


def clip(ticks, lead_ms, seed=0):
    """Return grey frames, and audio whose level is their brightness, `lead_ms` early."""
    grey = np.random.default_rng(seed).integers(0, 256, ticks).astype(np.uint8)
    times_s = (np.arange(ticks * SAMPLES_PER_FRAME) / SAMPLE_RATE) + lead_ms / 1000
    wav = np.interp(times_s * FPS - 0.5, np.arange(ticks), grey / 255)
    return [np.full((4, 4, 3), g, np.uint8) for g in grey], wav


def score(frames, wav, **tracks):
    extents = tracks or {"0": (0, len(frames))}
    ticks = [
        CroppedTick(t, {int(k[-1]): frame for k, (low, high) in extents.items() if low <= t < high})
        for t, frame in enumerate(frames)
    ]
    return score_tracks(Brightness(), ticks, Memory(wav), REACH_S)


@pytest.mark.parametrize("lead_ms", [-240, -40, 0, 80, 300])
def test_the_highest_evidence_is_where_the_audio_was_moved(lead_ms):
    track = score(*clip(100, lead_ms)).tracks[0]
    assert track.offsets_ms[track.evidence.sum(0).argmax()] == lead_ms


def test_block_size_does_not_change_the_result(monkeypatch):
    frames, wav = clip(130, 120)
    whole = score(frames, wav)
    monkeypatch.setattr(engine, "BLOCK_TICKS", 40)
    blocks = score(frames, wav)
    np.testing.assert_allclose(blocks.tracks[0].evidence, whole.tracks[0].evidence, atol=1e-4)
    np.testing.assert_array_equal(blocks.tracks[0].windows, whole.tracks[0].windows)
    np.testing.assert_allclose(blocks.level_db, whole.level_db, atol=1e-3)


def test_evidence_is_the_plain_double_loop():
    frames, wav = clip(40, 0)
    track = score(frames, wav).tracks[0]
    audio = Memory(wav)
    grey = torch.tensor([frame[0, 0, 0] / 255 for frame in frames])
    expected = np.zeros_like(track.evidence)
    for i in range(len(frames) - 1):
        scores = np.full(len(track.offsets_ms), np.nan)
        for k, offset_ms in enumerate(track.offsets_ms):
            start_s = i / FPS - offset_ms / 1000
            if start_s > -0.01 and start_s + 0.04 < len(wav) / SAMPLE_RATE + 0.01:
                window = torch.tensor(audio.window(start_s, start_s + 0.04))
                scores[k] = -((grey[i] - window.mean()) ** 2)
        expected[i // BIN_WINDOWS] += np.nan_to_num(scores - np.nanmean(scores))
    np.testing.assert_allclose(track.evidence, expected, atol=1e-4)


class RelativeBrightness(Brightness):
    """`Brightness` less its mean over 10 frames on either side, and the level less its mean."""

    spec = replace(Brightness.spec, context_frames=10, audio_context_s=0.4)

    def encode_video(self, frames):
        grey = super().encode_video(frames)
        return grey - running_mean(grey, 10)

    def encode_audio(self, wav, starts_s):
        around = starts_s[:, None] + torch.arange(-10, 11) / FPS
        levels = super().encode_audio(wav, around.flatten())
        levels = levels.reshape(1, -1, 21, 1)
        return levels[:, :, 10] - levels.mean(2)


def test_context_is_the_same_in_every_block(monkeypatch):
    frames, wav = clip(130, 120)
    ticks = [CroppedTick(t, {0: frame}) for t, frame in enumerate(frames)]
    model = RelativeBrightness()
    whole = score_tracks(model, ticks, Memory(wav), REACH_S)
    monkeypatch.setattr(engine, "BLOCK_TICKS", 40)
    blocks = score_tracks(model, ticks, Memory(wav), REACH_S)
    np.testing.assert_allclose(blocks.tracks[0].evidence, whole.tracks[0].evidence, atol=1e-4)
    np.testing.assert_array_equal(blocks.tracks[0].windows, whole.tracks[0].windows)
    np.testing.assert_allclose(blocks.tracks[0].motion, whole.tracks[0].motion, rtol=0.05)
    np.testing.assert_allclose(blocks.level_db, whole.level_db, atol=1e-3)
    assert whole.tracks[0].offsets_ms[whole.tracks[0].evidence.sum(0).argmax()] == 120
    # All windows of the clip are scored, although the last have no context after them.
    assert whole.tracks[0].windows.sum() == 129


class AnalysedBrightness(RelativeBrightness):
    """`RelativeBrightness` whose analysis of a frame is its brightness, interpolated in between."""

    def __init__(self, analysis_stride):
        super().__init__()
        self.analysis_stride, self.analysed = analysis_stride, 0

    def analyse_frames(self, frames, chosen):
        assert frames.dtype == torch.uint8
        self.analysed += int(chosen.sum())
        return Grey((frames.float().mean((1, 3, 4)) / 255).where(chosen, torch.nan))

    def encode_video(self, frames, analysis):
        brightness = analysis.brightness[0].numpy()
        assert frames.shape[2] == len(brightness)
        known = np.flatnonzero(np.isfinite(brightness))
        filled = np.interp(np.arange(len(brightness)), known, brightness[known])
        grey = torch.from_numpy(filled).float()[None, :-1, None]
        return grey - running_mean(grey, 10)


class Grey(NamedTuple):
    brightness: torch.Tensor


@pytest.mark.parametrize("seen", [range(130), [*range(40), *range(43, 60), *range(70, 130)]])
def test_every_frame_is_analysed_once_though_blocks_share_frames(monkeypatch, seen):
    frames, wav = clip(130, 120)
    ticks = [CroppedTick(t, {0: frames[t]} if t in seen else {}) for t in range(130)]
    plain = score_tracks(RelativeBrightness(), ticks, Memory(wav), REACH_S).tracks[0]
    monkeypatch.setattr(engine, "BLOCK_TICKS", 40)
    model = AnalysedBrightness(analysis_stride=1)
    track = score_tracks(model, ticks, Memory(wav), REACH_S).tracks[0]
    assert model.analysed == len(seen)
    np.testing.assert_allclose(track.evidence, plain.evidence, atol=1e-4)
    np.testing.assert_array_equal(track.windows, plain.windows)


@pytest.mark.parametrize("block_ticks", [1, 13, 40])
def test_frames_between_those_analysed_are_interpolated_alike_in_every_block(
    monkeypatch, block_ticks
):
    frames, wav = clip(130, 120)
    # Two runs that begin and end with odd ticks, which are analysed too; the second ends with the
    # first one's track still pending in some blocks.
    seen = [*range(1, 52), *range(61, 130)]
    ticks = [CroppedTick(t, {0: frames[t]} if t in seen else {}) for t in range(130)]
    monkeypatch.setattr(encoding_threads, "ALL_ANALYSED_TICKS", 20)
    model = AnalysedBrightness(analysis_stride=2)
    whole = score_tracks(model, ticks, Memory(wav), REACH_S).tracks[0]
    # Of the first 20 every one, then every second one.
    assert model.analysed == (20 + 15 + 1) + (34 + 2)
    monkeypatch.setattr(engine, "BLOCK_TICKS", block_ticks)
    model = AnalysedBrightness(analysis_stride=2)
    blocks = score_tracks(model, ticks, Memory(wav), REACH_S).tracks[0]
    assert model.analysed == (20 + 15 + 1) + (34 + 2)
    np.testing.assert_allclose(blocks.evidence, whole.evidence, atol=1e-4)
    np.testing.assert_array_equal(blocks.windows, whole.windows)
    every = score_tracks(AnalysedBrightness(1), ticks, Memory(wav), REACH_S).tracks[0]
    assert np.abs(every.evidence - whole.evidence).max() > 1e-3


def test_context_does_not_reach_over_a_gap():
    frames, wav = clip(130, 0)
    halves = [CroppedTick(t, {0: f} if t < 60 or t >= 70 else {}) for t, f in enumerate(frames)]
    model = RelativeBrightness()
    both = score_tracks(model, halves, Memory(wav), REACH_S).tracks[0]
    first = score_tracks(model, halves[:60], Memory(wav), REACH_S).tracks[0]
    assert both.windows.sum() == 59 + 59
    np.testing.assert_allclose(both.evidence[:5], first.evidence[:5], atol=1e-4)


def test_audio_of_ticks_that_are_missing_is_not_encoded():
    frames, wav = clip(5000, 0)
    there = [*range(0, 60), *range(4900, 5000)]
    model = Brightness()
    ticks = [CroppedTick(t, {0: frames[t]}) for t in there]
    track = score_tracks(model, ticks, Memory(wav), REACH_S).tracks[0]
    assert model.encoded_s < len(there) / FPS + 6 * REACH_S
    assert track.offsets_ms[track.evidence.sum(0).argmax()] == 0
    assert track.windows.sum() == len(there) - 2
    assert track.bins[-1] == 4998 // BIN_WINDOWS


def test_audio_outside_the_file_is_no_evidence():
    frames, wav = clip(12, 0)
    track = score(frames, wav).tracks[0]
    # An offset of +400 ms needs audio before 0 for every window of 12 frames but the last two.
    assert track.evidence[0, -1] == 0
    assert track.evidence[0, len(track.offsets_ms) // 2] > 0


def test_every_second_of_audio_is_encoded_once():
    frames, wav = clip(1000, 0)
    model = Brightness()
    ticks = [CroppedTick(t, {0: frame}) for t, frame in enumerate(frames)]
    score_tracks(model, ticks, Memory(wav), REACH_S)
    length_s = len(wav) / SAMPLE_RATE + 2 * REACH_S
    assert length_s <= model.encoded_s < length_s + 1


def test_tracks_do_not_mix():
    frames, wav = clip(100, 80)
    both = score(frames, wav, face_0=(0, 60), face_1=(30, 100))
    alone = score(frames, wav, face_1=(30, 100))
    np.testing.assert_allclose(both.tracks[1].evidence, alone.tracks[1].evidence, atol=1e-5)
    assert (both.tracks[0].first_tick, both.tracks[0].last_tick) == (0, 59)
    assert both.tracks[1].windows.sum() == 69


def test_a_track_that_pauses_for_a_block_is_scored_to_its_end(monkeypatch):
    monkeypatch.setattr(engine, "BLOCK_TICKS", 20)
    frames, wav = clip(100, 0)
    track = score(frames, wav, face_0=(0, 33), face_1=(60, 100)).tracks
    assert track[0].windows.sum() == 32
    assert track[1].windows.sum() == 39
    assert track[1].offsets_ms[track[1].evidence.sum(0).argmax()] == 0


def test_a_face_that_is_lost_for_a_while_is_scored_on_both_sides_of_the_gap(monkeypatch):
    frames, wav = clip(120, 80)
    seen = [t for t in range(120) if not 30 <= t < 47]
    ticks = [CroppedTick(t, {0: frames[t]} if t in seen else {}) for t in range(120)]
    whole = score_tracks(Brightness(), ticks, Memory(wav), REACH_S).tracks[0]
    assert whole.windows.sum() == 29 + 72
    assert whole.offsets_ms[whole.evidence.sum(0).argmax()] == 80
    other = [CroppedTick(t, {**crops, 1: frames[t]}) for t, crops in ticks]
    monkeypatch.setattr(engine, "BLOCK_TICKS", 40)
    both = score_tracks(Brightness(), other, Memory(wav), REACH_S).tracks
    np.testing.assert_allclose(both[0].evidence, whole.evidence, atol=1e-4)
    np.testing.assert_allclose(both[1].evidence, score(frames, wav).tracks[0].evidence, atol=1e-4)


def test_frozen_crops_do_not_move_and_others_do():
    frames, wav = clip(50, 0)
    noisy = [
        np.random.default_rng(t).integers(0, 256, (4, 4, 3)).astype(np.uint8) for t in range(50)
    ]
    assert (score([frames[0]] * 50, wav).tracks[0].motion == 0).all()
    assert (score(noisy, wav).tracks[0].motion > 0.3).all()


def test_motion_is_the_change_of_green_relative_to_its_contrast():
    crops = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3)).astype(np.uint8)
    green = crops[..., 1].astype(np.float64)
    expected = [np.abs(green[k + 1] - green[k]).mean() / (green[k + 1].std() + 4) for k in (0, 1)]
    np.testing.assert_allclose(crop_motion(crops), expected, rtol=1e-9)


def test_a_sine_at_full_scale_is_3_db_down_and_silence_120():
    sine = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    np.testing.assert_allclose(level_db(sine, 320), 10 * np.log10(0.5), atol=1e-6)
    np.testing.assert_allclose(level_db(np.zeros(SAMPLE_RATE), 320), -120)


@pytest.fixture(scope="module")
def tiny_vocalist():
    torch.manual_seed(0)
    return build_vocalist(VocalistConfig(channels=(2, 2, 3, 4, 16), depth=1, heads=2)).eval()


def lips(ticks, seed=0):
    crops = np.random.default_rng(seed).integers(0, 256, (ticks, 48, 96, 3)).astype(np.uint8)
    return [CroppedTick(t, {0: crop}) for t, crop in enumerate(crops)]


def test_embeddings_of_several_tensors_stream_through_blocks(tiny_vocalist, monkeypatch):
    ticks, wav = lips(40), 0.1 * np.random.default_rng(1).standard_normal(40 * SAMPLES_PER_FRAME)
    whole = score_tracks(tiny_vocalist, ticks, Memory(wav), REACH_S).tracks[0]
    monkeypatch.setattr(engine, "BLOCK_TICKS", 15)
    monkeypatch.setattr(engine, "COMPARED_BYTES", 2**16)
    blocks = score_tracks(tiny_vocalist, ticks, Memory(wav), REACH_S).tracks[0]
    assert whole.windows.sum() == 36
    np.testing.assert_allclose(blocks.evidence, whole.evidence, atol=1e-5)
    np.testing.assert_array_equal(blocks.windows, whole.windows)


def test_a_models_own_step_is_the_distance_of_its_offsets(tiny_vocalist):
    ticks, wav = lips(12), np.zeros(12 * SAMPLES_PER_FRAME)
    track = score_tracks(tiny_vocalist, ticks, Memory(wav), REACH_S).tracks[0]
    np.testing.assert_array_equal(np.diff(track.offsets_ms), 40)
    assert track.offsets_ms[0] == -400


def test_a_windowed_models_evidence_is_its_own_logits(tiny_vocalist):
    ticks, wav = lips(12), 0.1 * np.random.default_rng(1).standard_normal(12 * SAMPLES_PER_FRAME)
    track = score_tracks(tiny_vocalist, ticks, Memory(wav), REACH_S).tracks[0]
    expected = np.zeros_like(track.evidence)
    crops = torch.from_numpy(np.stack([tick.crops[0] for tick in ticks]))
    frames = crops.permute(3, 0, 1, 2)[None].float() / 255
    spec, margin = tiny_vocalist.spec, 1.0
    padded = torch.from_numpy(np.pad(wav, round(margin * SAMPLE_RATE))).float()[None]
    for i in range(8):
        starts_s = i / FPS - track.offsets_ms / 1000
        # What reaches outside the file by less than half a step counts as inside.
        known = (starts_s + spec.audio_from_s > -0.02) & (
            starts_s + spec.audio_until_s < len(wav) / SAMPLE_RATE + 0.02
        )
        with torch.inference_mode():
            windows = spec.cut_audio(padded, torch.from_numpy(starts_s[known]) + margin)[0]
            mel = tiny_vocalist.front_end.columns(windows)
            video = frames[:, :, i : i + 5].expand(len(mel), -1, -1, -1, -1)
            scores = tiny_vocalist(video, mel).numpy()
        expected[i // BIN_WINDOWS, known] += scores - scores.mean()
    np.testing.assert_allclose(track.evidence, expected, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_evidence_of_a_cpu(tiny_vocalist):
    ticks, wav = lips(30), 0.1 * np.random.default_rng(1).standard_normal(30 * SAMPLES_PER_FRAME)
    expected = score_tracks(tiny_vocalist, ticks, Memory(wav), REACH_S).tracks[0]
    moved = copy.deepcopy(tiny_vocalist).cuda()
    track = score_tracks(moved, ticks, Memory(wav), REACH_S).tracks[0]
    np.testing.assert_allclose(track.evidence, expected.evidence, atol=1e-2)


def test_a_wide_curve_does_not_change_the_evidence_by_bin():
    frames, wav = clip(100, 80)
    ticks = [CroppedTick(t, {0: frame}) for t, frame in enumerate(frames)]
    near = score_tracks(Brightness(), ticks, Memory(wav), REACH_S).tracks[0]
    both = score_tracks(Brightness(), ticks, Memory(wav), REACH_S, out_of_range_s=0.9).tracks[0]
    assert near.wide_curve is None
    np.testing.assert_allclose(both.evidence, near.evidence, atol=1e-5)
    np.testing.assert_array_equal(both.offsets_ms, near.offsets_ms)
    inside = np.abs(both.wide_curve.offsets_ms) <= 1000 * REACH_S
    assert both.wide_curve.offsets_ms[0] == -900
    np.testing.assert_allclose(both.wide_curve.evidence[inside], near.evidence.sum(0), atol=1e-4)


def test_the_peak_of_the_wide_curve_is_where_the_audio_was_moved():
    frames, wav = clip(100, 760)
    ticks = [CroppedTick(t, {0: frame}) for t, frame in enumerate(frames)]
    scores = score_tracks(Brightness(), ticks, Memory(wav), REACH_S, out_of_range_s=0.9)
    wide = scores.tracks[0].wide_curve
    assert wide.offsets_ms[wide.evidence.argmax()] == 760


def test_wide_evidence_by_bin_sums_to_the_wide_curve_and_holds_the_near_evidence():
    frames, wav = clip(100, 80)
    ticks = [CroppedTick(t, {0: frame}) for t, frame in enumerate(frames)]
    track = score_tracks(Brightness(), ticks, Memory(wav), REACH_S, out_of_range_s=0.9).tracks[0]
    np.testing.assert_allclose(track.wide.sum(0), track.wide_curve.evidence, atol=1e-4)
    inside = np.abs(track.wide_curve.offsets_ms) <= 1000 * REACH_S
    np.testing.assert_array_equal(track.wide[:, inside], track.evidence)


def test_each_of_several_streams_is_scored_as_if_alone():
    frames, early = clip(600, 80)
    _, late = clip(600, -120)
    ticks = [CroppedTick(t, {0: frame}) for t, frame in enumerate(frames)]
    both = score_audio_streams(Brightness(), ticks, [Memory(early), Memory(late)], REACH_S)
    for scores, wav in zip(both, (early, late), strict=True):
        alone = score_tracks(Brightness(), ticks, Memory(wav), REACH_S)
        np.testing.assert_array_equal(scores.tracks[0].evidence, alone.tracks[0].evidence)
        np.testing.assert_array_equal(scores.level_db, alone.level_db)


def test_equal_blocks_of_several_streams_are_encoded_once():
    frames, wav = clip(600, 80)
    ticks = [CroppedTick(t, {0: frame}) for t, frame in enumerate(frames)]
    one, three = Brightness(), Brightness()
    score_tracks(one, ticks, Memory(wav), REACH_S)
    other = wav.copy()
    other[-SAMPLE_RATE:] = 0  # Differs in the last block only.
    score_audio_streams(three, ticks, [Memory(wav), Memory(other), Memory(wav)], REACH_S)
    blocks = np.ceil(600 / engine.BLOCK_TICKS)
    assert one.encoded_s < three.encoded_s < one.encoded_s * (1 + 1.5 / blocks)
