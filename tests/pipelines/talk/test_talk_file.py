"""A video and a voice in; the video that says it out: every frame in its place, at its time."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest
from pipelines.painters import Flat, Hears, Loud, Same, texture, write_pictures, write_voice
from pipelines.red_detector import RedDetector
from pipelines.separators import FixedFaces

from avsync.media.audio_reader import read_audio
from avsync.media.container import open_media, video_stream
from avsync.media.probe import probe_media
from avsync.media.video_reader import RgbConverter, decode_video_frames, read_frames
from avsync.media.yuv import YuvConverter
from avsync.pipelines.separate.people import people_of
from avsync.pipelines.talk.audio_tokens import Voice, VoiceTokens
from avsync.pipelines.talk.render import TalkingFrameRenderer, look
from avsync.pipelines.talk.result import exit_code, sentence, talk_json
from avsync.pipelines.talk.talk_file import talk
from avsync.tasks.talking.generator import FRAMES_PER_PASS

BOX = (40, 20, 120, 120)
ONE = FixedFaces(BOX)
TWO = FixedFaces((110, 20, 170, 100), (10, 20, 70, 100))


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "video.mp4"
    return write_pictures(path, [texture(192, 144)] * 50)


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    wav = 0.4 * np.sin(2 * np.pi * 300 * np.arange(32000) / 16000)
    return write_voice(tmp_path_factory.mktemp("voice") / "voice.wav", wav)


def shown(path, max_side=None):
    return [frame.image.astype(int) for frame in read_frames(path, max_side)]


def audio_of(path):
    return np.concatenate(list(read_audio(path, 0.0)))


def drawn(path, voice, detector, model, painter=None):
    """What the video's frames become, before they are encoded; and what they were."""
    info = probe_media(path)
    looked = look(info, detector, lambda share: None)
    people, _ = people_of(looked.faces())
    tokens = VoiceTokens(model, Voice.of(str(voice)))
    return TalkingFrameRenderer(info, looked, people, model, tokens, painter or YuvConverter())


def decoded(path):
    painter = YuvConverter()
    with open_media(path) as container:
        for _, frame in decode_video_frames(container, video_stream(container)):
            yield painter(frame)


@pytest.mark.parametrize(
    "options",
    [{}, {"pix_fmt": "yuv444p"}, {"sample_aspect_ratio": Fraction(4, 3)}, {"colorspace": 1}],
    ids=str,
)
def test_a_model_that_draws_the_truth_gives_the_picture_back(tmp_path, voice, options):
    path = write_pictures(tmp_path / "a.mkv", [texture(192, 144)] * 30, **options)
    frames = drawn(path, voice, ONE, Same())
    for old, new in zip(decoded(path), frames, strict=True):
        for before, after in zip(old.planes, new.frame.planes, strict=True):
            assert abs(before.astype(int) - after).max() <= 6
            assert abs(before.astype(int) - after).mean() < 0.15
    assert frames.drawn == [30]


@pytest.mark.parametrize("options", [{}, {"sample_aspect_ratio": Fraction(4, 3)}], ids=str)
def test_outside_the_mask_the_pictures_are_what_was_decoded(tmp_path, voice, options):
    path = write_pictures(tmp_path / "a.mkv", [texture(192, 144)] * 30, **options)
    wide = float(options.get("sample_aspect_ratio", 1))
    outside = np.ones((144, 192), bool)
    # From the middle of the box down; the reference boxes are a little larger.
    outside[69:122, round(40 / wide) - 2 : round(120 / wide) + 2] = False
    for old, new in zip(decoded(path), drawn(path, voice, ONE, Flat(1.0, 0, 0)), strict=True):
        for number, (before, after) in enumerate(zip(old.planes, new.frame.planes, strict=True)):
            there = outside[::2, ::2] if number else outside
            assert (before == after)[there].all()
            assert not (before == after)[~there].all()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_the_mouth_of_a_turned_film_is_drawn_where_it_is_seen(make_clip, tmp_path, voice, rotation):
    clip = make_clip("turned.mp4", rotation=rotation, size=(192, 128), flashes=(), duration_s=1.6)
    result = talk(clip, voice, tmp_path / "new.mp4", detector=RedDetector(), model=Flat(0.0, 1, 0))
    assert result.status == "ok"
    before, after = shown(clip)[10], shown(tmp_path / "new.mp4")[10]
    assert before.shape == after.shape
    red, green = (before[..., 0] - before[..., 1] > 80), (after[..., 1] > 200)
    y, x = (axis.mean() for axis in np.nonzero(green))
    top, left = (axis.min() for axis in np.nonzero(red))
    bottom, right = (axis.max() + 1 for axis in np.nonzero(red))
    assert x == pytest.approx((left + right) / 2, abs=3)
    assert y == pytest.approx(top + 0.75 * (bottom - top), abs=6)


def test_a_moving_mouth_is_drawn_where_it_is_in_each_picture(tmp_path, voice):
    images = []
    for number in range(40):
        image = np.full((144, 192, 3), 60, np.uint8)
        image[20:100, 10 + 2 * number : 70 + 2 * number] = (220, 40, 40)
        images.append(image)
    path = write_pictures(tmp_path / "a.mkv", images, fps=30)
    for number, new in enumerate(drawn(path, voice, RedDetector(), Flat(0.0, 1, 0))):
        image = RgbConverter()(new.frame.frame()).astype(int)
        _, x = np.nonzero(image[..., 1] > 200)
        assert x.mean() == pytest.approx(40 + 2 * number, abs=2)


@pytest.mark.parametrize(
    "times",
    [
        [k / 25 for k in range(50)],
        [k / 24 for k in range(48)],
        [k / 50 for k in range(100)],
        [float(k * Fraction(1001, 30000)) for k in range(60)],
        np.cumsum([0.0, *[0.02, 0.07, 0.033, 0.05] * 12]).tolist(),
    ],
    ids=["25", "24", "50", "29.97", "variable"],
)
def test_each_picture_is_drawn_by_what_is_heard_at_its_time(tmp_path, times):
    path = write_pictures(tmp_path / "a.mp4", [texture(96, 80)] * len(times), times=times)
    # Loud from 0.7 s on: so is the mouth.
    wav = np.where(np.arange(40000) < 0.7 * 16000, 0, 0.99)
    speech = write_voice(tmp_path / "v.wav", wav)
    frames = list(drawn(path, speech, FixedFaces((20, 10, 70, 74)), Loud()))
    np.testing.assert_allclose([each.time_s for each in frames], times, atol=1e-4)
    lit = [each.frame.planes[0][58, 45] > 128 for each in frames]
    shown_s = np.diff(times, append=times[-1] + 0.04).clip(max=0.04)
    # The frame that is heard lies around the middle of the frame's time.
    ends_s = np.array(times) + shown_s / 2 + 0.02
    sure = abs(ends_s - 0.7) > 0.006
    assert (np.array(lit) == (ends_s > 0.7))[sure].all()
    assert any(lit) and not all(lit)


def test_the_film_is_read_by_windows(tmp_path, film, voice):
    taken = 0
    painter = YuvConverter()

    def counting(frame):
        nonlocal taken
        taken += 1
        return painter(frame)

    for given, _ in enumerate(drawn(film, voice, ONE, Same(), counting)):
        assert taken - given <= FRAMES_PER_PASS
    assert taken == 50


def test_pictures_without_the_face_stay_as_they_are(tmp_path, voice):
    images = [np.full((144, 192, 3), 60, np.uint8) for _ in range(60)]
    for image in images[:40]:
        image[20:100, 10:70] = (220, 40, 40)
    path = write_pictures(tmp_path / "a.mkv", images)
    frames = drawn(path, voice, RedDetector(), Flat(0.0, 1, 0))
    same = [
        all((a == b).all() for a, b in zip(old.planes, new.frame.planes, strict=True))
        for old, new in zip(decoded(path), frames, strict=True)
    ]
    assert same[40:] == [True] * 20 and not any(same[:35])
    assert frames.drawn == [same.count(False)]


def test_a_face_that_the_detector_loses_is_not_drawn_where_it_was(tmp_path, voice):
    image = np.full((144, 192, 3), 60, np.uint8)
    image[20:100, 10:70] = (220, 40, 40)
    path = write_pictures(tmp_path / "a.mkv", [image] * 60)
    # It is found at frames 0, 5, ..., 30, and held for a second.
    frames = drawn(path, voice, RedDetector(last=7), Flat(0.0, 1, 0))
    changed = [
        any((a != b).any() for a, b in zip(old.planes, new.frame.planes, strict=True))
        for old, new in zip(decoded(path), frames, strict=True)
    ]
    assert changed == [True] * 31 + [False] * 29


@pytest.mark.parametrize("name", ["new.mp4", "new.mkv", "new.webm"])
def test_the_new_film_has_the_old_ones_times_and_the_voice_for_its_sound(
    film, voice, tmp_path, name
):
    result = talk(film, voice, tmp_path / name, detector=ONE, model=Flat(1.0, 0, 0))
    assert (result.status, result.pictures, result.speakers[0].pictures) == ("ok", 50, 50)
    with av.open(str(tmp_path / name)) as container:
        assert [len(container.streams.video), len(container.streams.audio)] == [1, 1]
        assert container.streams.video[0].average_rate == 25
        told = {key.lower(): value for key, value in container.metadata.items()}
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, np.arange(50) / 25, atol=6e-4)
    assert told["comment"].startswith("Generated video: what the mouth says was made")
    assert told["generated_by"] == "avsync talk, model Flat"
    assert told["digital_source_type"].endswith("/compositeWithTrainedAlgorithmicMedia")
    old, new = audio_of(voice), audio_of(tmp_path / name)
    assert len(new) == pytest.approx(len(old), abs=1100)
    assert np.corrcoef(old[800:31000], new[800:31000])[0, 1] > 0.99


@pytest.mark.parametrize(
    ("seconds", "kept_s", "words"),
    [
        (3.5, 2.0, "; the last 1.5 s of the voice, after the video's end, are left out."),
        (0.8, 0.8, "; the voice ends 1.2 s before the video, whose mouth is silent then."),
        (2.0, 2.0, "video.mp4: {} written, 50 of 50 frames drawn."),
    ],
)
def test_the_film_keeps_its_length(film, tmp_path, seconds, kept_s, words):
    wav = 0.5 * np.sin(np.arange(round(seconds * 16000)) / 7)
    new = tmp_path / "new.mkv"
    result = talk(film, write_voice(tmp_path / "v.wav", wav), new, detector=ONE, model=Loud())
    assert words.format(new) in sentence(result)
    assert sentence(result).endswith("This video is generated: say so wherever you show it")
    frames = shown(new)
    assert len(frames) == 50
    np.testing.assert_allclose(audio_of(new), wav[: round(16000 * kept_s)], atol=1e-4)
    silent = frames[-3][100, 80].mean() < 60
    assert silent == (seconds < 2)


def test_who_talks_is_chosen_from_the_left_and_must_be_said(film, voice, tmp_path):
    new = tmp_path / "new.mkv"
    result = talk(film, voice, new, detector=TWO, model=Flat(1.0, 0, 0))
    assert (result.status, result.reason, exit_code(result)) == ("cannot_tell", "several_faces", 11)
    assert "there are 2 faces: say whose mouth is to move, left, right, all, or 0 to 1" in (
        sentence(result)
    )
    result = talk(film, voice, new, who="2", detector=TWO, model=Flat(1.0, 0, 0))
    assert (result.reason, exit_code(result)) == ("no_such_face", 11)
    assert "there is no face 2, only 0 to 1 from the left" in sentence(result)
    assert not new.exists()
    for who, red in (("left", [True, False]), ("1", [False, True]), ("all", [True, True])):
        result = talk(
            film, voice, new, who=who, detector=TWO, model=Flat(1.0, 0, 0), overwrite=True
        )
        image = shown(new)[20]
        assert [image[85, x, 0] > 230 for x in (40, 140)] == red
        assert [each.number for each in result.speakers] == [k for k in (0, 1) if red[k]]
    with pytest.raises(ValueError, match="who must be all, left, right or a number"):
        talk(film, voice, new, who="both", detector=TWO, model=Same())


@pytest.mark.parametrize(
    ("detector", "reason", "words"),
    [
        (FixedFaces(), "no_face", "no face found"),
        (FixedFaces((10, 10, 34, 40)), "face_too_small", "under 32 pixels"),
    ],
)
def test_a_film_without_a_face_is_said_and_nothing_is_written(
    film, voice, tmp_path, detector, reason, words
):
    result = talk(film, voice, tmp_path / "new.mp4", detector=detector, model=Same())
    assert (result.status, result.reason, exit_code(result)) == ("cannot_tell", reason, 11)
    assert words in sentence(result)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_read_is_a_result_that_names_it(film, voice, make_clip, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    mute = make_clip("mute.mp4", audio=False)
    new = tmp_path / "new.mp4"
    for face, audio, reason, words in (
        (tmp_path / "broken.mp4", voice, "damaged", "broken.mp4: unreadable: not a media file"),
        (tmp_path / "none.mp4", voice, "damaged", "none.mp4 does not exist"),
        (voice, voice, "no_video_stream", "voice.wav: unreadable: the file has no video stream"),
        (film, mute, "no_audio_stream", f"the voice, {mute}: the file has no audio stream"),
        (film, tmp_path / "none.wav", "damaged", "none.wav does not exist"),
    ):
        result = talk(face, audio, new, detector=ONE, model=Same())
        assert (result.status, result.reason, exit_code(result)) == ("unreadable", reason, 12)
        assert words in sentence(result)
    assert not new.exists()


def test_what_is_there_is_not_written_over(film, voice, tmp_path):
    said = tmp_path / "said.mkv"
    said.write_bytes(voice.read_bytes())
    for target in (film, said):
        with pytest.raises(ValueError, match="destination must not be the source itself"):
            talk(film, said, target, detector=ONE, model=Same(), overwrite=True)
    assert said.read_bytes() == voice.read_bytes()
    new = tmp_path / "new.mp4"
    new.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"new.mp4 exists already and is not overwritten"):
        talk(film, voice, new, detector=ONE, model=Same())
    assert new.read_bytes() == b"mine"
    with pytest.raises(ValueError, match=r"output must end in .mp4, .*, got new.avi"):
        talk(film, voice, tmp_path / "new.avi", detector=ONE, model=Same())
    assert talk(film, voice, new, detector=ONE, model=Same(), overwrite=True).status == "ok"


class Breaks(Hears):
    def __call__(self, tokens, faces):
        raise RuntimeError("out of memory")


def test_what_breaks_on_the_way_leaves_nothing_behind(film, voice, tmp_path):
    with pytest.raises(RuntimeError, match="out of memory"):
        talk(film, voice, tmp_path / "new.mp4", detector=ONE, model=Breaks())
    assert not list(tmp_path.iterdir())


def test_the_record_says_what_was_done(film, voice, tmp_path):
    shares = []
    new = tmp_path / "new.mp4"
    result = talk(film, voice, new, detector=ONE, model=Same(), progress=shares.append)
    told = json.loads(json.dumps(talk_json(result), allow_nan=False))
    assert (told["schema"], told["generated"], told["model"]) == (1, True, "Same")
    assert (told["file"], told["audio"], told["output"]) == (str(film), str(voice), str(new))
    assert told["speakers"][0]["box"] == pytest.approx(BOX, abs=0.5)
    assert told["speakers"][0]["seen"] == [[0.0, pytest.approx(2.0, abs=1e-3)]]
    assert (told["duration_s"], told["voice_s"]) == (pytest.approx(2.0, abs=1e-3), 2.0)
    assert shares == sorted(shares) and shares[-1] > 0.9
