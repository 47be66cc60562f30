import numpy as np
import pytest

from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.sync_sequences import MouthSequences, VariedSegments
from avsync.data.store.npy_items import ArrayFiles
from avsync.data.store.reader import CROP_SIZE
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLES_PER_FRAME

STORED = ClipSpec("mouth", CROP_SIZE, CROP_SIZE, 5, 0.0, 0.2)


def windows(store, indices=(0,), **clip_offsets_ms):
    return ClipWindows(
        store, indices, STORED, clip_offsets_ms={f"{k}.0": v for k, v in clip_offsets_ms.items()}
    )


def mouths(clips, size=24, **options):
    return MouthSequences(VariedSegments(clips, **options), size)


class RolledFiles(ArrayFiles):
    """Gives audio that leads by `lead` samples."""

    def __init__(self, lead):
        super().__init__()
        self.lead = lead

    def items(self, path, start, stop):
        if not path.endswith("wav_16k.npy"):
            return super().items(path, start, stop)
        return np.roll(np.load(path), -self.lead)[start:stop]


@pytest.mark.parametrize("max_speed", [1.0, 1.5])
def test_audio_stays_with_its_frames_at_every_speed(store, max_speed):
    clips = mouths(windows(store), frames=20, size=24, max_speed=max_speed)
    errors = []
    for seed in range(12):
        grey, wav = clips.draw(0, np.random.default_rng(seed))
        brightness = grey.mean((1, 2))
        middles = clips.segments.margin + np.arange(20) * SAMPLES_PER_FRAME + SAMPLES_PER_FRAME // 2
        loudness = wav[middles[middles < len(wav)]]
        fit = np.corrcoef(brightness[: len(loudness)], loudness)[0, 1]
        shifted = np.corrcoef(brightness[: len(loudness) - 2], loudness[2:])[0, 1]
        errors.append(fit - shifted)
    assert min(errors) > 0.2


def test_speeds_differ_and_one_is_among_them(store):
    fixed = mouths(windows(store), frames=12, size=24, max_speed=1.0)
    free = mouths(windows(store), frames=12, size=24, max_speed=1.3)
    assert len(fixed.draw(0, np.random.default_rng(1)).wav) == fixed.segments.samples
    lengths = {len(free.draw(0, np.random.default_rng(s)).wav) for s in range(8)}
    assert lengths == {free.segments.samples}


def test_clips_shorter_than_a_segment_are_left_out(store):
    with pytest.raises(ValueError, match="clips must hold one of 50 frames or more, got 3"):
        mouths(windows(store, range(3)), frames=50)


@pytest.mark.parametrize("max_speed", [1.0, 1.5])
def test_audio_is_interpolated_as_if_the_whole_clip_were_read(store, max_speed):
    clips = mouths(windows(store), frames=30, size=24, margin_s=0.8, max_speed=max_speed)
    wav = np.asarray(store[0].wav_16k)
    for start in (0.0, 2.37, 9.99, 10.0):
        for speed in (1 / max_speed, 1.0, (1 + max_speed) / 2):
            at = start * SAMPLES_PER_FRAME + speed * (
                np.arange(clips.segments.samples) - clips.segments.margin
            )
            whole = np.interp(at, np.arange(len(wav)), wav, left=0, right=0).astype(np.float32)
            np.testing.assert_array_equal(clips.segments._audio(0, start, speed), whole)


@pytest.mark.parametrize("lead_ms", [-300.0, -90.0, 100.0, 280.0])
def test_a_clip_that_is_shifted_has_its_audio_with_its_frames(store, lead_ms):
    lead = round(16 * lead_ms)
    clips = windows(store, one=lead_ms)
    clips.files = RolledFiles(lead)
    frames = 40 - -(-abs(lead) // SAMPLES_PER_FRAME)  # those that have no audio are left out
    with pytest.raises(ValueError, match=f"hold one of {frames + 1} frames"):
        mouths(clips, frames=frames + 1)
    whole = mouths(clips, frames=frames, size=CROP_SIZE, max_speed=1.0)
    grey, wav = whole.draw(0, np.random.default_rng(0))
    first = max(0, -(-lead // SAMPLES_PER_FRAME))
    mouth = store[0].mouth[first : first + frames]
    loudness = wav[whole.segments.margin + SAMPLES_PER_FRAME // 2 :: SAMPLES_PER_FRAME][:frames]
    np.testing.assert_allclose(loudness, mouth[:, 1, 1, 0] / 200, atol=0.01)
    np.testing.assert_allclose(grey[:, 1, 1], mouth[:, 1, 1, 0] / 255, atol=1e-6)
    assert (
        not wav[: whole.segments.margin].any()
        and not wav[whole.segments.margin + frames * 640 :].any()
    )


def test_a_clip_cannot_be_shifted_by_more_than_its_length(store):
    with pytest.raises(ValueError, match=r"clip one\.0 of 1\.6 s cannot move by 5000 ms"):
        mouths(windows(store, one=5000.0), frames=12)
