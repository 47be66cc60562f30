"""Frames at any rate get the tokens of the speech at their own time, from streamed audio."""

import numpy as np
import pytest
import torch
from pipelines.painters import LoudnessEncoder, write_voice

from avsync.encoders.av_hubert import AvHubertConfig
from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia
from avsync.pipelines.talk.audio_tokens import (
    BLOCK_FRAMES,
    CONTEXT_FRAMES,
    SpeechSource,
    SpeechTokens,
)
from avsync.tasks.talking import synctalklip, wav2lip
from avsync.tasks.talking.generator import TalkingFaceConfig

FACES = TalkingFaceConfig((2, 3, 4, 5, 6, 7), (7, 6, 5, 4, 3), 2)
SPEECH = AvHubertConfig(16, 1, 2, 32, channels=(2, 3, 4, 5), position_frames=5)
SECONDS = 12


@pytest.fixture(scope="module")
def wav():
    return 0.1 * np.random.default_rng(0).standard_normal(SECONDS * 16000).clip(-3, 3)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory, wav):
    return write_voice(tmp_path_factory.mktemp("voice") / "v.wav", wav)


def models():
    torch.manual_seed(0)
    lip_sync = synctalklip.SyncTalklipConfig(SPEECH, FACES, window=5)
    baseline = wav2lip.build_wav2lip(wav2lip.Wav2LipConfig((2, 3, 4, 5), FACES)).eval()
    return [synctalklip.build_synctalklip(lip_sync).eval(), baseline]


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
@torch.inference_mode()
def test_at_25_fps_the_tokens_are_those_of_the_whole_file(model, spoken):
    # Beyond ten seconds another block of tokens begins.
    tokens = SpeechTokens(model, SpeechSource.from_file(str(spoken)))
    streamed = torch.cat([tokens.at([k / 25 for k in ks]) for ks in (range(30), range(230, 280))])
    audio = np.concatenate(list(read_audio(spoken, 0.0)))
    whole = model.encode_speech(torch.from_numpy(audio)[None], SECONDS * 25)[0]
    expected = torch.cat([whole[:30], whole[230:280]])
    torch.testing.assert_close(streamed, expected, rtol=3e-3, atol=3e-3)


@torch.inference_mode()
def test_frames_at_other_rates_get_the_speech_of_their_own_time(tmp_path):
    # The level rises steadily, so the peak of 1/25 s gives its time.
    ramp = np.linspace(0, 1, 2 * 16000, endpoint=False)
    tokens = SpeechTokens(
        LoudnessEncoder(), SpeechSource.from_file(str(write_voice(tmp_path / "v.wav", ramp)))
    )
    starts_s = np.sort(np.random.default_rng(0).uniform(0, 1.9, 40))
    token_times_s = 2 * tokens.at(starts_s.tolist())[:, 0].numpy() - 0.04
    np.testing.assert_allclose(token_times_s, starts_s, atol=0.0055)


@torch.inference_mode()
def test_at_most_a_block_per_phase_is_held(spoken):
    model = LoudnessEncoder()
    tokens = SpeechTokens(model, SpeechSource.from_file(str(spoken)))
    for hundredth in range(0, 100 * SECONDS, 7):
        tokens.at([hundredth / 100, hundredth / 100 + 0.01])
        # At a border between blocks two of them are requested at once.
        assert len(tokens.blocks) <= 5
    assert model.most_frames == BLOCK_FRAMES + 2 * CONTEXT_FRAMES


@torch.inference_mode()
def test_after_the_speech_there_is_silence(spoken):
    tokens = SpeechTokens(LoudnessEncoder(), SpeechSource.from_file(str(spoken)))
    assert tokens.at([SECONDS - 1.0]) > 0
    assert tokens.at([SECONDS + 1.0, SECONDS + 3600.0]).tolist() == [[0], [0]]


def test_an_audio_file_counts_from_its_start_and_a_video_from_its_first_frame(make_clip, tmp_path):
    late = {"video_start_s": 0.5, "audio_start_s": 0.25, "duration_s": 2.0}
    video = SpeechSource.from_file(str(make_clip("a.mkv", **late, clicks=(1.2,), flashes=())))
    audio = SpeechSource.from_file(str(make_clip("b.mka.mkv", **late, clicks=(1.2,), video=False)))
    assert video.origin_s == pytest.approx(0.5, abs=0.002)
    assert video.length_s == pytest.approx(1.5, abs=0.05)
    assert audio.origin_s == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".m4a"])
def test_the_length_of_the_speech_is_known(tmp_path, suffix):
    path = write_voice(tmp_path / f"v{suffix}", 0.1 * np.sin(np.arange(24000) / 9))
    voice = SpeechSource.from_file(str(path))
    assert voice.length_s == pytest.approx(1.5, abs=0.07)


def test_a_file_without_audio_is_refused(make_clip, tmp_path):
    with pytest.raises(UnreadableMedia, match="the file has no audio stream"):
        SpeechSource.from_file(str(make_clip("mute.mp4", audio=False)))
    with pytest.raises(UnreadableMedia, match="does not exist"):
        SpeechSource.from_file(str(tmp_path / "none.wav"))
