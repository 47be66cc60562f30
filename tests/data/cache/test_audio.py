import numpy as np
import pytest
from data.wav_files import tone, write_wav_file

from avsync.data.cache.audio import AudioCache
from avsync.data.corpora.audio_files import AudioFile
from avsync.media.container import UnreadableMedia

RATE = 16384


def audio_file(path, channel=None):
    return AudioFile(path.name, path, channel, "")


@pytest.fixture
def cache(tmp_path):
    return AudioCache(tmp_path / "cache", RATE)


def test_a_file_is_resampled_to_the_rate_of_the_cache(cache, tmp_path):
    path = write_wav_file(tmp_path / "a.wav", tone(440, rate=44100), 44100)
    kept = cache.add_file(audio_file(path))
    assert cache.num_samples(kept) == RATE
    found = cache.read(kept, 1000, 8000)
    expected = 0.5 * np.sin(2 * np.pi * 440 * (1000 + np.arange(8000)) / RATE)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_channels_are_separate(cache, tmp_path):
    stereo = np.stack([tone(300), tone(500)], axis=1)
    path = write_wav_file(tmp_path / "a.wav", stereo)
    left, right = (cache.add_file(audio_file(path, k)) for k in (0, 1))
    for kept, hz in ((left, 300), (right, 500)):
        spectrum = np.abs(np.fft.rfft(cache.read(kept, 0, RATE)))
        assert spectrum.argmax() == hz
    with pytest.raises(ValueError, match="must have channel 2, has 2 in all"):
        cache.add_file(audio_file(path, 2))


def test_the_same_content_is_resampled_once(tmp_path):
    first, second = (write_wav_file(tmp_path / name, tone(300)) for name in ("a.wav", "b.wav"))
    kept = AudioCache(tmp_path / "cache", RATE).add_file(audio_file(first))
    again = AudioCache(tmp_path / "cache", RATE)
    assert again.add_file(audio_file(second)) == kept
    assert AudioCache(tmp_path / "cache", 8000).add_file(audio_file(first)) != kept
    write_wav_file(second, tone(310))
    assert AudioCache(tmp_path / "cache", RATE).add_file(audio_file(second)) != kept


def test_samples_beyond_the_ends_are_zeros(cache, tmp_path):
    np.save(tmp_path / "wav.npy", np.ones(160, np.float32))
    kept = cache.add_array(str(tmp_path / "wav.npy"), RATE)
    found = cache.read(kept, -10, 200)
    assert found[:10].tolist() == [0] * 10 and found[10:170].min() == 1
    assert found[170:].tolist() == [0] * 30
    assert not cache.read(kept, 500, 20).any() and not cache.read(kept, -50, 20).any()


def test_a_file_without_audio_is_named(cache, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"nothing of the kind")
    with pytest.raises(UnreadableMedia, match="not a media file"):
        cache.add_file(audio_file(tmp_path / "a.wav"))
    assert not list((tmp_path / "cache").rglob("*.npy"))
