import numpy as np
import pytest

from avsync.data.store.reader import PreparedClip
from avsync.evaluation.published_protocols import (
    PUBLISHED_PROTOCOLS,
    PublishedProtocol,
    measure_published,
)
from avsync.evaluation.score_matrix import score_clip_band
from avsync.metrics.sync_embeddings import lip_sync_error
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLES_PER_FRAME

pytestmark = pytest.mark.arithmetic


class Brightness:
    """Compares the brightness of a window's frames with the level of their audio."""

    def __init__(self, window=5):
        self.window = window
        self.spec = ClipSpec("mouth", 8, 8, window, 0.0, window / 25)

    def encode_video(self, frames):
        return frames.mean((1, 3, 4)).unfold(1, self.window, 1)

    def encode_audio(self, wav, starts_s):
        starts = (starts_s * 25).round().long()
        frames = wav[:, : wav.shape[1] // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME]
        frames = frames.unflatten(1, (-1, SAMPLES_PER_FRAME)).mean(-1)
        return frames.unfold(1, self.window, 1)[:, starts]

    def compare(self, video, audio):
        return -((video - audio) ** 2).sum(-1)


def clip(frames, lead_frames=0, name="one"):
    level = np.random.default_rng(frames).uniform(0.1, 1, frames)
    mouth = np.broadcast_to((255 * level)[:, None, None, None], (frames, 96, 96, 3))
    mouth = mouth.astype(np.uint8)
    wav = np.repeat(np.roll(mouth[:, 0, 0, 0] / 255, -lead_frames), SAMPLES_PER_FRAME)
    none = np.zeros((frames, 4))
    return PreparedClip(f"{name}.0", f"f/{name}.mp4", "s", 0, 0.0, 16000, mouth, mouth, none, none,
                        wav.astype(np.float32), wav)  # fmt: skip


def test_the_contexts_are_those_of_the_papers():
    assert PUBLISHED_PROTOCOLS["lrs2"] == ((5, 7, 9, 11, 13, 15), (1,))
    assert PUBLISHED_PROTOCOLS["acappella"] == ((5, 10, 15, 20, 25), (1, 5))
    assert PUBLISHED_PROTOCOLS["acappella"].contexts_of(5) == (5, 10, 15, 20, 25)


def test_a_model_of_a_longer_window_is_scored_at_its_own():
    assert PUBLISHED_PROTOCOLS["acappella"].contexts_of(25) == (25,)
    figures = measure_published(Brightness(25), [clip(80)], PUBLISHED_PROTOCOLS["acappella"])
    assert figures.clips[0].accuracy == {(25, 1): 1.0, (25, 5): 1.0}


def test_a_clip_in_sync_is_right_everywhere():
    figures = measure_published(Brightness(), [clip(60)], PUBLISHED_PROTOCOLS["lrs2"])
    assert figures.clips[0].accuracy == {(context, 1): 1.0 for context in (5, 7, 9, 11, 13, 15)}


def test_every_clip_has_the_same_weight_and_those_too_short_are_named():
    clips = [clip(200), clip(40, lead_frames=3, name="two"), clip(5, name="three")]
    figures = measure_published(Brightness(), clips, PublishedProtocol((5,), (1, 5)))
    right, wrong = figures.accuracies(5, 1)
    assert (right, wrong) == (1, pytest.approx(0, abs=0.15))
    assert figures.accuracies(5, 5)[1] > 0.8
    assert figures.too_short == ("three.0",)


def test_the_true_offset_is_subtracted():
    early = clip(60, lead_frames=4)
    wrong = measure_published(Brightness(), [early], PublishedProtocol((15,), (1,)))
    right = measure_published(Brightness(), [early], PublishedProtocol((15,), (1,)), truth_ms=160)
    assert wrong.accuracies(15, 1)[0] < 0.2 < 0.9 < right.accuracies(15, 1)[0]


def test_lse_and_pri_are_means_over_clips():
    clips = [clip(60), clip(70, lead_frames=1, name="two")]
    figures = measure_published(Brightness(), clips, PublishedProtocol((5,), (1,)))
    means, one, two = (figures.embedding_means(), *(c.embedding for c in figures.clips))
    assert one.lse_d == pytest.approx(0, abs=1e-5)
    assert one.pri == pytest.approx(1 / 55)
    assert two.pri > 0.2
    assert means.lse_d == pytest.approx((one.lse_d + two.lse_d) / 2)
    assert means.pri_chance == pytest.approx((56 / 110 + 66 / 130) / 2)
    scored = score_clip_band(Brightness(), clips[1].mouth, clips[1].wav_16k)
    assert two.lse_c == pytest.approx(lip_sync_error(scored.video, scored.audio).lse_c)


def test_without_embeddings_there_is_no_lse():
    class Wide(Brightness):
        def encode_video(self, frames):
            return super().encode_video(frames)[..., None]

        def encode_audio(self, wav, starts_s):
            return super().encode_audio(wav, starts_s)[..., None]

        def compare(self, video, audio):
            return super().compare(video[..., 0], audio[..., 0])

    figures = measure_published(Wide(), [clip(60)], PublishedProtocol((5,), (1,)))
    assert figures.clips[0].embedding is figures.embedding_means() is None
    assert figures.accuracies(5, 1) == [1.0]
