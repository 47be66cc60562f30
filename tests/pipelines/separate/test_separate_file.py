"""Separating a file: voices and rest sum to its audio, on its timeline."""

import json

import numpy as np
import pytest
from pipelines.separators import Brightness, FixedFaces, LowHalf, Share
from pipelines.two_faces import LEFT, RIGHT, tones, write_faces

from avsync.faces.landmarks import align_to_mean_face
from avsync.media.audio_reader import read_audio
from avsync.pipelines.separate.result import exit_code, metric_lines, sentence
from avsync.pipelines.separate.separate_file import separate
from avsync.tasks.separation.input_spec import SeparationSpec, chunk_lengths

BOTH = FixedFaces(RIGHT, LEFT)


def audio_of(path, **options):
    return np.concatenate(list(read_audio(path, **{"origin_s": 0.0, **options}, mono=False)), 1)


def wav(folder, name):
    return audio_of(folder / name, sample_rate=None)


@pytest.fixture(scope="module")
def duet(tmp_path_factory):
    path = tmp_path_factory.mktemp("duet") / "duet.mkv"
    return write_faces(path, tones(44100, 4, 2), 44100, "stereo")


def test_voices_and_rest_sum_to_the_audio_of_the_file(duet, tmp_path):
    result = separate(duet, tmp_path, model=Brightness(), detector=BOTH)
    assert (result.status, [v.file for v in result.voices]) == (
        "ok",
        ["voice_0.wav", "voice_1.wav"],
    )
    parts = [wav(tmp_path, name) for name in ("voice_0.wav", "voice_1.wav", "rest.wav")]
    mixture = audio_of(duet, sample_rate=None)
    assert {part.shape for part in parts} == {mixture.shape} == {(2, 4 * 44100)}
    np.testing.assert_allclose(sum(parts), mixture, atol=2e-7)
    assert (result.sample_rate, result.channels, result.duration_s) == (44100, 2, 4.0)


def test_each_voice_is_conditioned_on_its_own_face_from_the_left(duet, tmp_path):
    separate(duet, tmp_path, model=Brightness(), detector=BOTH)
    mixture, inner = audio_of(duet, sample_rate=None), np.s_[:, 2000:-2000]
    for name, share in (("voice_0.wav", 0.25), ("voice_1.wav", 0.75)):
        voice = wav(tmp_path, name)
        np.testing.assert_allclose(voice[inner], share * mixture[inner], atol=0.01)


@pytest.mark.parametrize(
    ("who", "names"),
    [("left", ["voice_0.wav"]), ("right", ["voice_1.wav"]), ("1", ["voice_1.wav"])],
)
def test_people_not_chosen_stay_in_the_rest(duet, tmp_path, who, names):
    result = separate(duet, tmp_path, who=who, model=Brightness(), detector=BOTH)
    assert [voice.file for voice in result.voices] == names
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rest.wav", "separation.json", *names]
    total = wav(tmp_path, names[0]) + wav(tmp_path, "rest.wav")
    np.testing.assert_allclose(total, audio_of(duet, sample_rate=None), atol=2e-7)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi", "a.mpg", "a.ts"])
def test_any_container_gives_its_audio_back(make_clip, tmp_path, name):
    clip = make_clip(name, duration_s=2.0)
    result = separate(clip, tmp_path / "out", model=LowHalf())
    voice, rest = (wav(tmp_path / "out", name) for name in ("voice_0.wav", "rest.wav"))
    mixture = audio_of(clip, origin_s=_first_frame_s(clip) + result.start_s, sample_rate=None)
    np.testing.assert_allclose(voice + rest, mixture, atol=2e-7)
    assert voice.any()


@pytest.mark.parametrize(
    "options",
    [
        {"sample_rate": 44100, "layout": "mono"},
        {"sample_rate": 8000, "layout": "mono", "audio_codec": "pcm_s16le"},
        {"video_start_s": 0.44, "audio_start_s": 0.0},
        {"video_start_s": 0.0, "audio_start_s": 0.5, "clicks": (1.2, 1.6)},
        {"video_start_s": 1.5, "audio_start_s": 0.2},
        {"times": [0, 0.03, 0.11, 0.15, 0.2, 0.4, 0.44, 1.2, 1.26, 1.6, 1.9]},
        {"silence": (0.6, 1.1)},
        {"layout": "5.1", "audio_codec": "flac"},
    ],
    ids=lambda options: ",".join(options),
)
def test_clicks_keep_their_times_relative_to_the_frames(make_clip, hear_clicks, tmp_path, options):
    clip = make_clip("clip.mkv", **{"duration_s": 2.0, **options})
    result = separate(clip, tmp_path / "out", model=Share(0.5))
    rate = result.sample_rate
    voice = 2 * wav(tmp_path / "out", "voice_0.wav").mean(0)
    start_s = _first_frame_s(clip) + result.start_s
    times_s = [time_s + start_s for time_s in hear_clicks(voice, rate)]
    np.testing.assert_allclose(times_s, options.get("clicks", (0.4, 1.2, 1.6)), atol=0.002)
    early = options.get("audio_start_s", 0.0) - options.get("video_start_s", 0.0)
    assert result.start_s == pytest.approx(min(early, 0.0), abs=0.002)


@pytest.mark.parametrize("video_start_s", [0.0, 0.6, 1.2])
def test_a_voice_is_conditioned_on_the_face_at_its_own_time(make_clip, tmp_path, video_start_s):
    # The face is bright for one frame: then, and only then, the voice is most of the mixture.
    clip = make_clip(
        "flash.mkv", video_start_s=video_start_s, duration_s=4.0, flashes=(2.2,),
        clicks=(2.12, 2.22, 2.32), sample_rate=16000, layout="mono", audio_codec="pcm_s16le",
    )  # fmt: skip
    face = FixedFaces((20, 8, 70, 58))
    result = separate(clip, tmp_path / "out", model=Brightness(moving=True), detector=face)
    parts = [wav(tmp_path / "out", name)[0] for name in ("voice_0.wav", "rest.wav")]
    mixture = sum(parts)
    start_s = video_start_s + result.start_s
    flashes = [slice(round((t - 0.01 - start_s) * 16000), round((t + 0.01 - start_s) * 16000))
              for t in (2.12, 2.22, 2.32)]  # fmt: skip
    shares = [abs(parts[0][flash]).max() / abs(mixture[flash]).max() for flash in flashes]
    assert shares[1] > 0.7 > 0.5 > max(shares[0], shares[2])


def test_a_task_that_takes_landmarks_gets_them_aligned(duet, tmp_path):
    inputs, points = [], np.random.default_rng(0).uniform(0, 200, (68, 2))

    class Graph(Share):
        spec = SeparationSpec(*chunk_lengths(2), landmarks=True)

        def __init__(self):
            pass

        def encode_video(self, landmarks):
            inputs.append(landmarks)
            return landmarks.mean((1, 3))[..., None]

        def separate(self, mixture, tokens):
            return mixture / 2

    def landmarker(image, face):
        """Fixed points in the face box; None for the right face."""
        return None if face.box[0] > 100 else points / 2 + face.box[:2]

    result = separate(duet, tmp_path, model=Graph(), detector=BOTH, landmarker=landmarker)
    left, right = result.voices
    assert {tuple(landmarks.shape) for landmarks in inputs} == {(1, 2, 50, 68)}
    expected = align_to_mean_face(points[None])[0].T
    for landmarks in inputs:
        np.testing.assert_allclose(landmarks[0, :, 7], expected, atol=1e-3)
    assert left.level_db == pytest.approx(-6, abs=0.1)
    assert right.level_db is None


def _first_frame_s(path):
    from avsync.media.probe import probe_media

    return probe_media(path).video_start_s


def test_the_json_describes_the_result(duet, tmp_path):
    result = separate(duet, tmp_path, model=Brightness(), detector=BOTH)
    record = json.loads((tmp_path / "separation.json").read_text())
    assert (record["schema"], record["file"], record["status"]) == (1, str(duet), "ok")
    first, second = record["voices"]
    assert (first["number"], first["file"], first["video"]) == (0, "voice_0.wav", None)
    assert first["seen"] == [[0.0, 4.0]]
    assert first["box"][0] < 64 < second["box"][0]
    assert first["level_db"] == pytest.approx(20 * np.log10(0.25), abs=0.3)
    assert (record["faces"], record["rest"], record["start_s"]) == (2, "rest.wav", 0.0)
    assert sentence(result).endswith(
        f"2 voices in {tmp_path}: voice_0.wav, voice_1.wav; the rest: rest.wav"
    )
    assert exit_code(result) == 0


@pytest.mark.parametrize(
    ("detector", "who", "reason", "words"),
    [
        (FixedFaces(), "all", "no_face", "no face found"),
        (FixedFaces((10, 10, 34, 40)), "all", "face_too_small", "under 32 pixels"),
        (BOTH, "2", "no_such_face", "there is no face 2, only 0 to 1 from the left"),
    ],
)
def test_nothing_is_written_if_the_requested_face_is_not_found(
    duet, tmp_path, detector, who, reason, words
):
    result = separate(duet, tmp_path / "out", who=who, model=Brightness(), detector=detector)
    assert (result.status, result.reason, exit_code(result)) == ("cannot_tell", reason, 11)
    assert words in sentence(result)
    assert not (tmp_path / "out").exists()


def test_silence_is_reported_and_nothing_is_written(tmp_path):
    path = write_faces(tmp_path / "silent.mkv", np.zeros((1, 64000), np.float32), 16000)
    result = separate(path, tmp_path / "out", model=Brightness(), detector=BOTH)
    assert (result.status, result.reason, exit_code(result)) == ("cannot_tell", "silence", 11)
    assert not list((tmp_path / "out").iterdir())


def test_a_file_that_cannot_be_read_is_a_result(make_clip, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    mute = make_clip("mute.mp4", audio=False)
    blind = make_clip("blind.mp4", video=False)
    for path, reason in (
        (tmp_path / "broken.mp4", "damaged"),
        (tmp_path / "none.mp4", "damaged"),
        (mute, "no_audio_stream"),
        (blind, "no_video_stream"),
    ):
        result = separate(path, tmp_path / "out", model=Share())
        assert (result.status, result.reason, exit_code(result)) == ("unreadable", reason, 12)
        assert result.detail
    assert not (tmp_path / "out").exists()


def test_an_earlier_separation_is_kept_or_replaced_completely(duet, tmp_path):
    separate(duet, tmp_path, model=Brightness(), detector=BOTH)
    (tmp_path / "voice_7.wav").write_text("not ours")
    before = (tmp_path / "voice_1.wav").read_bytes()
    with pytest.raises(FileExistsError, match=r"separation.json exists already and is not over"):
        separate(duet, tmp_path, who="left", model=Brightness(), detector=BOTH)
    assert (tmp_path / "voice_1.wav").read_bytes() == before
    separate(duet, tmp_path, who="left", model=Brightness(), detector=BOTH, overwrite=True)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["rest.wav", "separation.json", "voice_0.wav", "voice_7.wav"]


def test_a_video_among_the_results_is_not_replaced_by_its_own_voices(make_clip, tmp_path):
    separate(make_clip("a.mkv"), tmp_path / "out", model=Share(), mux=True)
    video = tmp_path / "out" / "voice_0.mkv"
    before = video.read_bytes()
    with pytest.raises(ValueError, match=r"another folder than that of voice_0\.mkv itself"):
        separate(video, tmp_path / "out", model=Share(), overwrite=True)
    assert video.read_bytes() == before


def test_an_interrupted_run_leaves_the_earlier_files(duet, tmp_path):
    class Breaking(Share):
        def separate(self, mixture, tokens):
            raise KeyboardInterrupt

    separate(duet, tmp_path, model=Share())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        separate(duet, tmp_path, model=Breaking(), overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi"])
def test_a_video_for_each_voice_has_that_voice_in_sync(make_clip, clip_sync, tmp_path, name):
    clip = make_clip(name, duration_s=2.0)
    before = clip_sync(clip)
    result = separate(clip, tmp_path / "out", model=Share(1.0), mux=True)
    assert result.voices[0].video == f"voice_0{clip.suffix}"
    assert result.voices[0].video in result.written()
    after = clip_sync(tmp_path / "out" / f"voice_0{clip.suffix}")
    # A flash is dated by its frame, whose time an mp4 or webm rounds.
    np.testing.assert_allclose(after, before, atol=2)


def test_a_video_that_starts_late_keeps_its_voice_in_sync(make_clip, clip_sync, tmp_path):
    clip = make_clip("late.mkv", video_start_s=0.24, audio_start_s=0.0)
    separate(clip, tmp_path / "out", model=Share(1.0), mux=True)
    np.testing.assert_allclose(clip_sync(tmp_path / "out" / "voice_0.mkv"), 0, atol=2)


def test_a_container_that_cannot_be_written_is_refused_before_separating(make_clip, tmp_path):
    class Unused(Share):
        def separate(self, mixture, tokens):
            raise AssertionError("separated")

    clip = make_clip("a.mkv").rename(tmp_path / "a.xyz")
    with pytest.raises((RuntimeError, ValueError), match="xyz"):
        separate(clip, tmp_path / "out", model=Unused(), mux=True)
    assert not (tmp_path / "out").exists()


def test_with_references_the_json_has_metrics(tmp_path):
    wave = np.random.default_rng(0).normal(0, 0.1, (1, 32000)).astype(np.float32)
    path = write_faces(tmp_path / "a.mkv", wave, 16000, seconds=2.0)
    (tmp_path / "true").mkdir()
    separate(path, tmp_path / "first", model=LowHalf())
    for name in ("voice_0.wav", "rest.wav"):
        (tmp_path / "first" / name).rename(tmp_path / "true" / name)
    result = separate(path, tmp_path / "out", model=Share(1.0), references=tmp_path / "true")
    metrics = json.loads((tmp_path / "out" / "separation.json").read_text())["metrics"]
    (voice,) = (source for source in metrics["sources"] if source["source"] == "voice_0")
    # The whole mixture as the estimate gains nothing, except that the highest frequencies are lost
    # at the task's rate.
    assert voice["figures"]["si_sdr_gain"] == pytest.approx(0, abs=1)
    (line,) = (line for line in metric_lines(result) if line.startswith("voice_0: SDR "))
    assert f"SI-SDR {voice['figures']['si_sdr']:.1f} dB (" in line
    with pytest.raises(ValueError, match="references must be a folder, got none"):
        separate(path, tmp_path / "out", model=LowHalf(), references="none")


def test_progress_rises_to_the_end(duet, tmp_path):
    shares: list[float] = []
    separate(duet, tmp_path, model=Brightness(), detector=BOTH, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


def test_an_audio_only_task_does_not_detect_faces(make_clip, tmp_path):
    class Blind:
        name, stride = "blind", 5

        def __call__(self, image):
            raise AssertionError("detected")

    result = separate(make_clip("a.mkv"), tmp_path / "out", model=Share(), detector=Blind())
    (voice,) = result.voices
    assert (result.status, voice.number, voice.box) == ("ok", None, None)


def test_wrong_arguments_and_missing_models_are_refused_before_the_file_is_read(tmp_path):
    with pytest.raises(ValueError, match="who must be all, left, right or a number from 0"):
        separate("none.mp4", tmp_path, who="both", model=Share())
    with pytest.raises(ValueError, match="model must be one of"):
        separate("none.mp4", tmp_path, model="none")
    with pytest.raises(ValueError, match="model must be one of"):
        separate("none.mp4", tmp_path, model="dense_sync")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"output must be a folder, but .*file is a file"):
        separate("none.mp4", tmp_path / "file", model=Share())


@pytest.fixture
def given(monkeypatch):
    """Make the reader of the audio give these blocks after those of the file."""

    def give(change=lambda block: block, tail=()):
        def blocks(*arguments, **options):
            yield from map(change, read_audio(*arguments, **options))
            yield from tail

        monkeypatch.setattr("avsync.pipelines.separate.output_files.read_audio", blocks)

    return give


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_invalid_samples_are_zeros_and_no_output_has_any(duet, tmp_path, given, bad):
    def spoil(block):
        block = block.copy()
        block[:, ::1000] = bad
        return block

    given(spoil)
    result = separate(duet, tmp_path, model=Brightness(), detector=BOTH)
    assert result.status == "ok"
    parts = [wav(tmp_path, name) for name in ("voice_0.wav", "voice_1.wav", "rest.wav")]
    assert np.isfinite(parts).all() and np.abs(parts).max() < 2
    total, mixture = sum(parts), audio_of(duet, sample_rate=None)
    assert np.mean(np.abs(total - mixture) < 1e-6) > 0.998


def test_audio_of_mostly_invalid_samples_is_unreadable_and_nothing_is_written(
    duet, tmp_path, given
):
    given(lambda block: np.where(np.arange(block.shape[1]) % 20, block, np.float32(np.nan)))
    result = separate(duet, tmp_path / "out", model=Brightness(), detector=BOTH)
    assert (result.status, result.reason) == ("unreadable", "damaged")
    assert result.detail.startswith("5.0 % of the audio samples are not valid numbers")
    assert not list((tmp_path / "out").iterdir())


def test_a_model_that_gives_no_numbers_is_named_and_nothing_is_written(duet, tmp_path):
    with pytest.raises(RuntimeError, match="Share gave voices that are not finite numbers"):
        separate(duet, tmp_path / "out", model=Share(np.nan))
    assert not list((tmp_path / "out").iterdir())


def test_hours_of_silence_after_the_video_are_not_written(duet, tmp_path, given):
    silence = np.zeros((2, 44100), np.float32)
    given(tail=(silence for _ in range(300)))
    result = separate(duet, tmp_path, model=Brightness(), detector=BOTH)
    assert 60 < result.duration_s < 70


def test_audio_after_the_video_is_written_however_long(duet, tmp_path, given):
    tone = np.full((2, 44100), 0.1, np.float32)
    given(tail=(tone for _ in range(80)))
    assert separate(duet, tmp_path, model=Brightness(), detector=BOTH).duration_s == 84


@pytest.mark.parametrize("name", ["voice_0.wav", "voice_3.mkv", "rest.wav", "separation.json"])
def test_files_of_these_names_are_not_replaced_without_overwrite(duet, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match=f"{name} exists already and is not overwritten"):
        separate(duet, tmp_path, model=Share())
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_link_to_the_video_in_the_output_is_not_replaced(duet, tmp_path):
    (tmp_path / "voice_0.mkv").symlink_to(duet)
    with pytest.raises(ValueError, match="an output must not replace an input"):
        separate(duet, tmp_path, model=Share(), overwrite=True)
