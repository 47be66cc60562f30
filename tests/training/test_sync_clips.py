import numpy as np
import pytest

from avsync.data.sampling.sync_sequences import MouthSequences
from avsync.timing import SAMPLES_PER_FRAME


@pytest.mark.parametrize("max_speed", [1.0, 1.5])
def test_sound_stays_with_its_frames_at_every_speed(store, max_speed):
    clips = MouthSequences([store[0]], frames=20, size=24, max_speed=max_speed)
    errors = []
    for seed in range(12):
        grey, wav = clips.draw(0, np.random.default_rng(seed))
        brightness = grey.mean((1, 2))
        middles = clips.margin + np.arange(20) * SAMPLES_PER_FRAME + SAMPLES_PER_FRAME // 2
        loudness = wav[middles[middles < len(wav)]]
        fit = np.corrcoef(brightness[: len(loudness)], loudness)[0, 1]
        shifted = np.corrcoef(brightness[: len(loudness) - 2], loudness[2:])[0, 1]
        errors.append(fit - shifted)
    assert min(errors) > 0.2


def test_speeds_differ_and_one_is_among_them(store):
    fixed = MouthSequences([store[0]], frames=12, size=24, max_speed=1.0)
    free = MouthSequences([store[0]], frames=12, size=24, max_speed=1.3)
    assert len(fixed.draw(0, np.random.default_rng(1)).wav) == fixed.samples
    lengths = {len(free.draw(0, np.random.default_rng(s)).wav) for s in range(8)}
    assert lengths == {free.samples}


def test_clips_shorter_than_a_stretch_are_left_out(store):
    with pytest.raises(ValueError, match="clips must hold one of 50 frames or more, got 3"):
        MouthSequences(list(store), frames=50)
