import numpy as np
import pytest
from data.made_store import made_store
from data.mixed import (
    FACES_HZ,
    FRAMES,
    MUSIC_HZ,
    SAMPLES,
    clips,
    faces_of,
    loudest_hz,
    mixtures_of,
)

from avsync.data.corpora.audio_files import list_audio_files
from avsync.data.sampling.mixtures import MixtureLevels, MixtureRow

ROW = MixtureRow("faces/anyone_400.0", 3, "music/1500.wav", 700, None, 0, 0.0, 0.0)
SECOND = "faces/anyone_800.0"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return made_store(tmp_path_factory.mktemp("made") / "faces", clips())


@pytest.fixture(scope="module")
def mixtures(store, tmp_path_factory):
    return mixtures_of(store, tmp_path_factory.mktemp("mixtures"))


def power_db(wav):
    return 10 * np.log10(np.mean(np.square(wav, dtype=np.float64)))


def rows(mixtures, count=60):
    return [mixtures.draw(np.random.default_rng((0, k))) for k in range(count)]


def test_a_row_defines_the_sources(mixtures):
    mixture = mixtures.make(ROW._replace(second=SECOND, second_at=2))
    assert [loudest_hz(source) for source in mixture[:3]] == [400, 1500, 800]
    assert all(wav.shape == (SAMPLES,) and wav.dtype == np.float32 for wav in mixture[:3])
    np.testing.assert_array_equal(mixture.audio, sum(mixture[:3]))
    assert mixtures.frames(mixture).shape == (FRAMES, 48, 96, 3)


def test_levels_are_those_of_the_row_whatever_the_recorded_level(mixtures):
    row = ROW._replace(level_db=-7.0, second=SECOND, second_db=4.0)
    target, music, second, *_ = mixtures.make(row)
    assert power_db(target) - power_db(music) == pytest.approx(-7, abs=1e-3)
    assert power_db(second) - power_db(target) == pytest.approx(4, abs=1e-3)


def test_the_louder_of_target_and_music_reaches_one(mixtures):
    for level in (-12.0, 0.0, 12.0):
        target, music, *_ = mixtures.make(ROW._replace(level_db=level))
        assert max(abs(target).max(), abs(music).max()) == pytest.approx(1, abs=1e-6)


def test_a_second_voice_does_not_change_the_other_sources(mixtures):
    alone, joined = mixtures.make(ROW), mixtures.make(ROW._replace(second=SECOND, second_db=20.0))
    for before, after in zip(alone[:2], joined[:2], strict=True):
        np.testing.assert_array_equal(before, after)
    assert not alone.second.any()


def test_a_seed_draws_the_same_mixtures_again(mixtures):
    assert rows(mixtures) == rows(mixtures)
    for first, again in zip(mixtures.make(ROW), mixtures.make(ROW), strict=True):
        np.testing.assert_array_equal(first, again)


def test_half_have_a_second_voice_which_is_never_the_target(mixtures):
    drawn = rows(mixtures, 400)
    seconds = [row for row in drawn if row.second is not None]
    assert len(seconds) / 400 == pytest.approx(0.5, abs=0.08)
    assert all(row.second != row.target for row in seconds)
    assert {row.accompaniment for row in drawn} == {f"music/{hz}.wav" for hz in MUSIC_HZ}
    assert {row.target for row in drawn} == {f"faces/anyone_{hz}.0" for hz in FACES_HZ}


def test_the_share_of_second_voices_does_not_change_targets_and_levels(store, tmp_path):
    few, many = (
        mixtures_of(store, tmp_path, levels=MixtureLevels((-5, 5), share)) for share in (0.1, 0.9)
    )
    for a, b in zip(rows(few), rows(many), strict=True):
        assert (a.target, a.frame, a.level_db) == (b.target, b.frame, b.level_db)


def test_levels_fill_their_range(store, tmp_path):
    mixtures = mixtures_of(store, tmp_path, levels=MixtureLevels(level_db=(-5, 5)))
    levels = [row.level_db for row in rows(mixtures, 300)]
    assert min(levels) < -4.5 and max(levels) > 4.5 and abs(np.mean(levels)) < 1


def test_no_mixture_is_a_voice_alone(store, tmp_path):
    levels = MixtureLevels(second_share=0.5, music_share=0.0)
    drawn = rows(mixtures_of(store, tmp_path, levels=levels))
    assert all((row.accompaniment is None) != (row.second is None) for row in drawn)
    faces = faces_of(store, tmp_path)
    voices = mixtures_of(store, tmp_path, faces=faces, music=(), levels=levels)
    assert all(row.second is not None for row in rows(voices))


def test_second_voices_come_from_files_too(store, tmp_path):
    mixtures = mixtures_of(store, tmp_path)
    files = list_audio_files(tmp_path / "music")
    voices = [file._replace(name=f"solo/{file.name}") for file in files]
    alone = mixtures_of(store, tmp_path, voices=voices, other_faces=False)
    seconds = {row.second for row in rows(alone)} - {None}
    assert seconds == {f"solo/{name}" for name in mixtures.music}


def test_short_music_is_followed_by_silence_and_silence_stays_silent(mixtures):
    mixture = mixtures.make(ROW._replace(accompaniment_at=3 * 16384 - 1000))
    assert mixture.accompaniment[:1000].any() and not mixture.accompaniment[1000:].any()
    silent = mixtures.make(ROW._replace(accompaniment_at=4 * 16384))
    assert not silent.accompaniment.any() and np.isfinite(silent.target).all()


def test_wrong_sources_and_levels_are_named(store, tmp_path, mixtures):
    with pytest.raises(ValueError, match=r"needs elsewhere/a\.0, which is not among"):
        mixtures.make(ROW._replace(target="elsewhere/a.0"))
    mixtures.check([ROW, ROW._replace(second=SECOND)])
    for name in ("target", "accompaniment", "second"):
        with pytest.raises(ValueError, match=r"needs elsewhere/a\.0, which is not among"):
            mixtures.check([ROW, ROW._replace(**{name: "elsewhere/a.0"})])
    with pytest.raises(ValueError, match="mixtures need music or a second voice, got neither"):
        mixtures_of(store, tmp_path, music=(), levels=MixtureLevels(second_share=0))
    one = faces_of(store, tmp_path, indices=[0])
    with pytest.raises(ValueError, match="second_share must be 0"):
        mixtures_of(store, tmp_path, faces=one)
    with pytest.raises(ValueError, match="folders of audio files must have different names"):
        mixtures_of(store, tmp_path, music=[*mixtures.audio_files.values()] * 2)
    with pytest.raises(ValueError, match="level_db must rise within -60 to 60 dB, got 3 to 1"):
        MixtureLevels(level_db=(3, 1))
    with pytest.raises(ValueError, match=r"music_share must be in \[0, 1\], got 2"):
        MixtureLevels(music_share=2)


def test_clips_that_are_too_short_are_left_out(store, tmp_path):
    long = faces_of(store, tmp_path)
    long.lengths[0] = FRAMES - 1
    drawn = rows(mixtures_of(store, tmp_path, faces=long))
    assert {row.target for row in drawn} == {"faces/anyone_600.0", SECOND}
    long.lengths[1:] = [FRAMES - 1] * 2
    with pytest.raises(ValueError, match="one of 25 frames or more, the longest has 24"):
        mixtures_of(store, tmp_path, faces=long)
