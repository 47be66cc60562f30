import numpy as np
import pytest

from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.crops import crops_for
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLES_PER_FRAME

LIPS = ClipSpec("face", 48, 96, 5, 0.0, 0.2, lower_half=True)
SMALL = ClipSpec("mouth", 24, 24, 5, 0.0, 0.2)


@pytest.mark.parametrize("spec", [LIPS, SMALL])
def test_frames_are_those_of_the_clip_in_the_geometry_of_the_task(store, spec):
    windows = ClipWindows(store, [2, 0], spec)
    np.testing.assert_array_equal(windows.frames(1, 7, 5), crops_for(spec, store[0])[7:12])


def test_audio_begins_with_its_frame_and_is_silent_beyond_the_clip(store):
    windows = ClipWindows(store, [0], LIPS)
    wav = store[0].wav_16k
    np.testing.assert_array_equal(windows.audio(0, 640, 3200), wav[640:3840])
    early = windows.audio(0, -100, 300)
    assert not early[:100].any()
    np.testing.assert_array_equal(early[100:], wav[:200])
    late = windows.audio(0, len(wav) - 50, 300)
    np.testing.assert_array_equal(late[:50], wav[-50:])
    assert not late[50:].any()
    assert not windows.audio(0, len(wav) + 9, 300).any()


def test_the_clips_offset_is_taken_off(store):
    # The audio leads by 20 ms: what belongs to a frame lies 320 samples before it in the file.
    windows = ClipWindows(store, [0, 1], LIPS, offset_ms=20, clip_offsets_ms={store[1].id: -40.0})
    np.testing.assert_array_equal(windows.audio(0, 640, 900), store[0].wav_16k[320:1220])
    np.testing.assert_array_equal(windows.audio(1, 640, 900), store[1].wav_16k[1280:2180])


@pytest.mark.parametrize("offset_ms", [0.0, 20.0, -60.0])
@pytest.mark.parametrize("first_samples", [(0, 3200), (-401, 4000), (300, 100)])
def test_every_start_leaves_the_window_inside_and_one_more_does_not(
    store, offset_ms, first_samples
):
    windows = ClipWindows(store, [0], LIPS, offset_ms)
    first, samples = first_samples
    begin = first - windows.leads[0]
    starts = windows.starts(0, 5, first, samples)

    def inside(start):
        audio = start * SAMPLES_PER_FRAME + begin
        fits = audio >= 0 and audio + samples <= windows.num_samples(0)
        return fits and 0 <= start <= windows.lengths[0] - 5

    assert list(starts) == [start for start in range(-9, 99) if inside(start)]


def test_a_store_without_the_crops_is_named(store):
    with pytest.raises(ValueError, match=r"has no head crops.*--crops head"):
        ClipWindows(store, [0], ClipSpec("head", 224, 224, 5, 0.0, 0.2))
