from dataclasses import replace

import numpy as np
import pytest
import torch
from data.made_store import made_store
from data.mixed import music_folder
from data.wav_files import tone

from avsync.data.cache.audio import AudioCache
from avsync.data.cache.features import FeatureCache
from avsync.data.corpora.audio_files import list_audio_files
from avsync.data.sampling.separation_targets import FaceSource, SeparationTargets
from avsync.data.sampling.two_speaker_mixtures import (
    NO_AUGMENTATION,
    MixtureAugmentation,
    TwoSpeakerMixtures,
)
from avsync.tasks.separation.lip_mask import lip_mask_spec

SPEC = lip_mask_spec(1, 48)
FRAMES, TONES = 40, (400, 600, 1000)
TURN = np.pi / 2 / FRAMES
# Nothing but the speed is changed.
SPED = replace(NO_AUGMENTATION, speed=1.25)


def clip(hz):
    """Return a face that brightens from frame to frame, and a tone that gets louder with it."""
    crops = np.zeros((FRAMES, 96, 96, 3), np.uint8)
    crops += (5 * np.arange(FRAMES)).astype(np.uint8)[:, None, None, None]
    at = (np.arange(FRAMES * 640) + 0.5) / 640 - 0.5
    return crops, (tone(hz, FRAMES / 25) * (1 + at / 10)).astype(np.float32)


def angle_of_brightness(frames):
    """Encode frames as tokens `(B, T, 2)` of length 1 that turn by an equal angle per frame."""
    angle = frames.mean((1, 3, 4)) * 255 / 5 * TURN
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def positions(tokens):
    """Return the positions, in frames, that tokens were interpolated at."""
    return np.arctan2(tokens[..., 1], tokens[..., 0]) / TURN


def hertz(voice):
    spectrum = np.abs(np.fft.rfft(voice * np.hanning(len(voice)), 8 * len(voice)))
    return spectrum.argmax() * 16000 / (8 * len(voice))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    store = made_store(folder / "faces", {f"anyone/{hz}": clip(hz) for hz in TONES})
    return SeparationTargets(
        [FaceSource(store, range(3))], SPEC, AudioCache(folder / "cache", 16000)
    )


@pytest.fixture(scope="module")
def features(faces, tmp_path_factory):
    cache = FeatureCache(tmp_path_factory.mktemp("features"), "model", SPEC)
    clips = [faces.crop_file(k) for k in range(3)]
    cache.fill(clips, angle_of_brightness, torch.device("cpu"))
    return cache


def drawn(faces, features, augmentation, count=30, music=()):
    pairs = TwoSpeakerMixtures(faces, features, music, augmentation)
    return [pairs.draw(np.random.default_rng((0, k))) for k in range(count)]


def test_a_clip_is_never_mixed_with_itself(faces, features):
    for pair in drawn(faces, features, NO_AUGMENTATION):
        one, other = (hertz(voice) for voice in pair.voices)
        assert {round(one), round(other)} < set(TONES) and one != other
        assert pair.tokens.shape == (2, 25, 2) and pair.voices.shape == (2, 16000)
        np.testing.assert_allclose(np.square(pair.voices).mean(1), 1, rtol=1e-4)


def test_without_augmentation_lips_and_voice_are_of_the_same_frames(faces, features):
    for pair in drawn(faces, features, NO_AUGMENTATION):
        assert np.allclose(np.diff(positions(pair.tokens)), 1, atol=0.05)
        assert_in_sync(pair, tolerance=0.01)


def test_at_other_speeds_lips_and_voice_stay_together(faces, features):
    speeds = []
    for pair in drawn(faces, features, SPED):
        for tokens, voice in zip(pair.tokens, pair.voices, strict=True):
            speed = np.polyfit(np.arange(25), positions(tokens), 1)[0]
            speeds.append(speed)
            # A voice that is played faster is higher.
            assert min(abs(hertz(voice) / speed / hz - 1) for hz in TONES) < 0.02
        assert_in_sync(pair, tolerance=0.02)
    assert 0.78 < min(speeds) < 0.85 and 1.15 < max(speeds) < 1.27


def assert_in_sync(pair, tolerance):
    """Assert that the tone is as loud in each frame as the face is bright."""
    for tokens, voice in zip(pair.tokens, pair.voices, strict=True):
        loudness = np.sqrt(np.square(voice.reshape(25, 640)).mean(1))
        # Not the ends, which a resampler mixes with what lies beyond.
        ratio = (loudness / (1 + positions(tokens) / 10))[1:-1]
        assert ratio.std() < tolerance * ratio.mean()


def test_at_other_speeds_lips_and_voice_agree_to_a_twentieth_of_a_frame(tmp_path):
    # Not a tone but its loudness: the level in the middle of a frame is its index.
    crops, _ = clip(400)
    at = (np.arange(FRAMES * 640) + 0.5) / 640 - 0.5
    ramp = (0.01 * (10 + at)).astype(np.float32)
    store = made_store(tmp_path / "ramps", {f"anyone/{k}": (crops, ramp) for k in (1, 2)})
    faces = SeparationTargets(
        [FaceSource(store, range(2))], SPEC, AudioCache(tmp_path / "cache", 16000)
    )
    cache = FeatureCache(tmp_path / "features", "model", SPEC)
    cache.fill([faces.crop_file(k) for k in (0, 1)], angle_of_brightness, torch.device("cpu"))
    for pair in drawn(faces, cache, SPED, count=10):
        for tokens, voice in zip(pair.tokens, pair.voices, strict=True):
            level = voice.reshape(25, 640)[2:-2, 319:321].mean(1)
            rise, at_zero = np.polyfit(positions(tokens)[2:-2], level, 1)
            assert abs(-at_zero / rise + 10) < 0.05


def test_lips_are_early_or_late_within_the_jitter(faces, features):
    late = []
    for pair in drawn(faces, features, replace(NO_AUGMENTATION, jitter=1.0)):
        for tokens, voice in zip(pair.tokens, pair.voices, strict=True):
            loudness = np.sqrt(np.square(voice.reshape(25, 640)).mean(1))
            rise, at_zero = np.polyfit(np.arange(25), loudness, 1)
            # The tone begins at nothing ten frames before the clip's first one.
            late.append(positions(tokens)[12] - (12 + at_zero / rise - 10))
    assert max(np.abs(late)) < 1.1 and np.std(late) > 0.3


def test_a_voice_that_is_alone_is_the_first(faces, features):
    pairs = drawn(faces, features, replace(NO_AUGMENTATION, alone_share=0.5))
    silent = [not pair.voices[1].any() for pair in pairs]
    assert all(pair.voices[0].any() for pair in pairs) and 5 < sum(silent) < 25


def test_music_and_levels_lie_in_their_ranges(faces, features, tmp_path):
    music = list_audio_files(music_folder(tmp_path / "music"))
    augmentation = replace(NO_AUGMENTATION, second_db=(-5, 5), music_share=0.5, music_db=(-3, -1))
    pairs = drawn(faces, features, augmentation, music=music)
    assert 5 < sum(bool(pair.music.any()) for pair in pairs) < 25
    assert all(-5 <= pair.second_db <= 5 and -3 <= pair.music_db <= -1 for pair in pairs)
    assert np.std([pair.second_db for pair in pairs]) > 1


def test_degraded_tokens_differ_and_still_have_length_one(faces, features):
    augmentation = replace(NO_AUGMENTATION, blur=0.5, held_share=1.0)
    clean, worse = drawn(faces, features, NO_AUGMENTATION), drawn(faces, features, augmentation)
    assert all(np.allclose(np.linalg.norm(p.tokens, axis=-1), 1, atol=1e-3) for p in worse)
    assert not np.allclose(clean[0].tokens, worse[0].tokens, atol=0.01)


def test_shares_leave_out_clips(faces, features):
    pairs = TwoSpeakerMixtures(faces, features, (), NO_AUGMENTATION, [0.5, 0.0, 0.5])
    found = [pairs.draw(np.random.default_rng(k)) for k in range(10)]
    kept = {int(faces.names[k].split("_")[1].split(".")[0]) for k in (0, 2)}
    assert {round(hertz(voice)) for pair in found for voice in pair.voices} == kept


def test_two_clips_are_needed(faces, features):
    faces_of_one = SeparationTargets([], SPEC, faces.cache)
    with pytest.raises(ValueError, match="two of 25 frames or more, got 0 of 0; the longest has 0"):
        TwoSpeakerMixtures(faces_of_one, features)


def test_shares_and_speeds_are_checked():
    with pytest.raises(ValueError, match=r"alone_share must be in \[0, 1\], got 2"):
        MixtureAugmentation(alone_share=2)
    with pytest.raises(ValueError, match=r"got 0.5, 1.0 and 0.5"):
        MixtureAugmentation(speed=0.5)
