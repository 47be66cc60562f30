"""Frames of any rate hear the voice of their own moment, out of audio that streams."""

import numpy as np
import pytest
import torch
from pipelines.painters import Hears, write_voice

from avsync.encoders.av_hubert import AvHubertConfig
from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia
from avsync.pipelines.talk.audio_tokens import AROUND, BLOCK, Voice, VoiceTokens
from avsync.tasks.talking import synctalklip, wav2lip
from avsync.tasks.talking.generator import TalkingFaceConfig

DRAWS = TalkingFaceConfig((2, 3, 4, 5, 6, 7), (7, 6, 5, 4, 3), 2)
HEARS = AvHubertConfig(16, 1, 2, 32, channels=(2, 3, 4, 5), position_frames=5)
SECONDS = 12


@pytest.fixture(scope="module")
def wav():
    return 0.1 * np.random.default_rng(0).standard_normal(SECONDS * 16000).clip(-3, 3)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory, wav):
    return write_voice(tmp_path_factory.mktemp("voice") / "v.wav", wav)


def models():
    torch.manual_seed(0)
    hears = synctalklip.SyncTalklipConfig(HEARS, DRAWS, window=5)
    talks = wav2lip.build_wav2lip(wav2lip.Wav2LipConfig((2, 3, 4, 5), DRAWS)).eval()
    return [synctalklip.build_synctalklip(hears).eval(), talks]


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
@torch.inference_mode()
def test_at_25_fps_the_tokens_are_those_of_the_whole_voice(model, spoken):
    # Beyond ten seconds another block of tokens begins.
    tokens = VoiceTokens(model, Voice.of(str(spoken)))
    streamed = torch.cat([tokens.at([k / 25 for k in ks]) for ks in (range(30), range(230, 280))])
    heard = np.concatenate(list(read_audio(spoken, 0.0)))
    whole = model.encode_speech(torch.from_numpy(heard)[None], SECONDS * 25)[0]
    expected = torch.cat([whole[:30], whole[230:280]])
    torch.testing.assert_close(streamed, expected, rtol=3e-3, atol=3e-3)


@torch.inference_mode()
def test_pictures_between_frames_hear_their_own_moment(tmp_path):
    # Louder and louder: what is heard in 1/25 s tells when that was.
    ramp = np.linspace(0, 1, 2 * 16000, endpoint=False)
    tokens = VoiceTokens(Hears(), Voice.of(str(write_voice(tmp_path / "v.wav", ramp))))
    starts_s = np.sort(np.random.default_rng(0).uniform(0, 1.9, 40))
    heard_s = 2 * tokens.at(starts_s.tolist())[:, 0].numpy() - 0.04
    np.testing.assert_allclose(heard_s, starts_s, atol=0.0055)


@torch.inference_mode()
def test_no_more_is_held_than_a_block_on_each_clock(spoken):
    model = Hears()
    tokens = VoiceTokens(model, Voice.of(str(spoken)))
    for hundredth in range(0, 100 * SECONDS, 7):
        tokens.at([hundredth / 100, hundredth / 100 + 0.01])
        # At a border between blocks two of them are asked for at once.
        assert len(tokens.made) <= 5
    assert model.most_frames == BLOCK + 2 * AROUND


@torch.inference_mode()
def test_after_the_voice_there_is_silence(spoken):
    tokens = VoiceTokens(Hears(), Voice.of(str(spoken)))
    assert tokens.at([SECONDS - 1.0]) > 0
    assert tokens.at([SECONDS + 1.0, SECONDS + 3600.0]).tolist() == [[0], [0]]


def test_a_sound_counts_from_its_beginning_and_a_film_from_its_first_picture(make_clip, tmp_path):
    late = {"video_start_s": 0.5, "audio_start_s": 0.25, "duration_s": 2.0}
    video = Voice.of(str(make_clip("a.mkv", **late, clicks=(1.2,), flashes=())))
    audio = Voice.of(str(make_clip("b.mka.mkv", **late, clicks=(1.2,), video=False)))
    assert video.origin_s == pytest.approx(0.5, abs=0.002)
    assert video.length_s == pytest.approx(1.5, abs=0.05)
    assert audio.origin_s == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".m4a"])
def test_the_length_of_a_sound_is_told(tmp_path, suffix):
    path = write_voice(tmp_path / f"v{suffix}", 0.1 * np.sin(np.arange(24000) / 9))
    voice = Voice.of(str(path))
    assert voice.length_s == pytest.approx(1.5, abs=0.07)


def test_a_file_without_sound_says_so(make_clip, tmp_path):
    with pytest.raises(UnreadableMedia, match="the file has no audio stream"):
        Voice.of(str(make_clip("mute.mp4", audio=False)))
    with pytest.raises(UnreadableMedia, match="does not exist"):
        Voice.of(str(tmp_path / "none.wav"))
