import math

import numpy as np
import pytest
import torch

from avsync.metrics.sync_embeddings import lip_sync_error
from avsync.pipelines.evaluate.talking_metrics import (
    ClipRow,
    SyncFigures,
    sync_figures,
    talking_figures,
    talking_lines,
)
from avsync.pipelines.evaluate.video_pairs import Likeness
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLES_PER_FRAME


class Brightness:
    """Compares the brightness of a window's frames with the level of their audio."""

    spec = ClipSpec("mouth", 8, 8, 5, 0.0, 0.2)

    def encode_video(self, frames):
        return frames.mean((1, 3, 4)).unfold(1, 5, 1)

    def encode_audio(self, wav, starts_s):
        starts = (starts_s * 25).round().long()
        levels = wav[:, : wav.shape[1] // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME]
        return levels.unflatten(1, (-1, SAMPLES_PER_FRAME)).mean(-1).unfold(1, 5, 1)[:, starts]

    def compare(self, video, audio):
        return -((video - audio) ** 2).sum(-1)


def clip(lead_frames, frames=60):
    level = np.random.default_rng(0).integers(20, 250, frames).astype(np.uint8)
    crops = np.broadcast_to(level[:, None, None, None], (frames, 8, 8, 3))
    wav = np.repeat(np.roll(level / 255, -lead_frames), SAMPLES_PER_FRAME)
    return crops, wav.astype(np.float32)


@pytest.mark.parametrize("lead_frames", [0, 1, -7])
def test_the_offset_of_the_audio_is_found(lead_frames):
    found = sync_figures(Brightness(), *clip(lead_frames))
    assert found.offset_frames == lead_frames
    assert found.in_place_better or lead_frames


def contrary(still=0):
    """Audio that is soft where the lips are bright, between ends where both are still."""
    level = np.random.default_rng(0).integers(20, 250, 70).astype(np.uint8)
    audio = (270 - level.astype(int)).astype(np.uint8)
    for values in (level, audio):
        values[:still], values[70 - still :] = 20, 20
    crops = np.broadcast_to(level[:, None, None, None], (70, 8, 8, 3))
    return crops, np.repeat(audio / 255, SAMPLES_PER_FRAME).astype(np.float32)


def test_audio_that_contradicts_the_lips_scores_better_shifted():
    assert not sync_figures(Brightness(), *contrary()).in_place_better


def test_still_ends_that_fit_anything_do_not_count():
    assert not sync_figures(Brightness(), *contrary(still=20)).in_place_better


def test_lse_and_pri_are_those_of_the_embeddings():
    crops, wav = clip(0)
    found = sync_figures(Brightness(), crops, wav)
    embedding = torch.from_numpy(crops[:, 0, 0, 0] / 255).float().unfold(0, 5, 1)[:-1]
    error = lip_sync_error(embedding, embedding)
    assert found.lse_d == pytest.approx(error.lse_d, abs=1e-4)
    assert found.lse_c == pytest.approx(error.lse_c, abs=1e-4)
    assert (found.pri, found.pri_chance) == (1 / 55, 56 / 110)


def test_a_clip_of_no_window_has_no_figures():
    crops, wav = clip(0, frames=5)
    assert sync_figures(Brightness(), crops, wav) is None


def row(name, psnr, offset, said=None, read=None):
    sync = SyncFigures(7.0, 2.0, 0.4, 0.51, offset, offset == 0)
    undrawn = sync._replace(offset_frames=5, in_place_better=True)
    return ClipRow(name, "ok", "", Likeness(psnr, 0.9), sync, undrawn, said, read)


def test_figures_are_means_over_clips_and_shares_of_them():
    rows = [row("a", 20.0, 0, "bin blue", "bin"), row("b", 30.0, -1, "now", "now")]
    rows += [row("c", 25.0, 9), ClipRow("d", "unreadable", "no face found")]
    figures = talking_figures(rows)
    assert (figures["clips"], figures["unreadable"]) == (3, 1)
    assert figures["psnr"]["mean"] == 25.0
    assert (figures["within_a_frame"], figures["in_place_better"]) == (2, 1)
    assert figures["reading"]["wer"] == pytest.approx(1 / 3) and figures["reading"]["clips"] == 2
    text = "\n".join(talking_lines(figures, "dense_sync", "reader.safetensors"))
    assert "PSNR 25.00 dB (95 %: 20.00 to 30.00), SSIM 0.900" in text
    assert "by dense_sync: the best offset is within a frame of 0 in 2 of 3" in text
    assert "with the same audio: within a frame in 0, better there than moved in 3 of 3" in text
    assert "LSE as published is that of syncnet only" in text
    assert "lips read by reader.safetensors: word error rate 33.3 %" in text
    assert "d: no face found" in text


def test_a_face_identical_to_the_true_one_has_no_psnr_and_is_counted():
    figures = talking_figures([row("a", math.inf, 0), row("b", 30.0, 0)])
    assert (figures["psnr"]["mean"], figures["identical"]) == (30.0, 1)
    assert figures["per_clip"][0]["psnr"] is None
    assert "1 are identical to the true video" in "\n".join(talking_lines(figures, "syncnet", None))


def test_short_clips_are_named():
    figures = talking_figures([ClipRow("tiny", "ok", likeness=Likeness(30.0, 0.9))])
    assert figures["lse_d"] is None and figures["sync_clips"] == 0
    assert talking_lines(figures, "dense_sync", None)[-1].endswith("of dense_sync: tiny")
