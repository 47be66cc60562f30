import json
import resource

import numpy as np
import pytest
import torch
from pipelines.red_detector import RedDetector
from safetensors.numpy import load_file

from avsync import weights
from avsync.data.sampling.crops import crops_for
from avsync.faces.detector import find_detector
from avsync.pipelines.features.extract import INDEX_FILE, FeatureFile, extract_features
from avsync.pipelines.features.frozen import FrozenFeatures
from avsync.pipelines.features.stream import clip_features, video_features
from avsync.scoring.engine import to_frames
from avsync.tasks.registry import create_model

TINY = {"dim": 8, "mouth_channels": [4, 4, 4, 4], "mel_channels": [4, 4, 4, 4, 4]}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    weights.save(path, create_model("dense_sync", config=TINY).state_dict(), TINY)
    return path


@pytest.fixture
def frozen(tiny):
    return FrozenFeatures(create_model("dense_sync", weights=tiny))


def test_every_clip_of_a_store_gets_its_features_and_their_times(store, tiny, tmp_path, frozen):
    done = extract_features([store.path], tmp_path, weights=tiny)
    assert [result.source for result in done] == ["one.0", "three.0", "two.0"]
    found = load_file(tmp_path / "one.0.safetensors")
    expected = clip_features(frozen, store["one.0"])
    np.testing.assert_allclose(found["features"], expected.features, atol=1e-6)
    np.testing.assert_allclose(found["times_s"], 0.1 + np.arange(36) / 25)
    audio = clip_features(FrozenFeatures(frozen.model, "audio"), store["one.0"])
    np.testing.assert_array_equal(audio.times_s, expected.times_s)


@pytest.mark.parametrize("stream", ["video", "audio"])
def test_the_features_of_a_stores_clip_are_those_of_the_model_for_clips_in_memory(
    store, tiny, stream, monkeypatch
):
    features = create_model("dense_sync", weights=tiny, features_only=True)
    clip = store["one.0"]
    frames = to_frames(np.array(crops_for(features.spec, clip)))
    with torch.no_grad():
        found = features(frames, torch.from_numpy(np.array(clip.wav_16k, np.float32))[None])
    monkeypatch.setattr("avsync.pipelines.features.stream.BLOCK_FRAMES", 20)
    written = clip_features(FrozenFeatures(features.model, stream), clip)
    np.testing.assert_allclose(getattr(found, stream)[0].numpy(), written.features, atol=1e-5)
    np.testing.assert_allclose(found.times_s.numpy() + clip.start_s, written.times_s, rtol=1e-5)


def test_a_model_object_gives_what_its_file_gives(store, tiny, tmp_path, frozen):
    extract_features([store.path], tmp_path / "named", weights=tiny)
    extract_features([store.path], tmp_path / "given", model=frozen.model)
    named, given = (load_file(tmp_path / kind / "one.0.safetensors") for kind in ("named", "given"))
    np.testing.assert_array_equal(given["features"], named["features"])
    torch.nn.init.zeros_(frozen.model.mouth.head[3].bias)
    with pytest.raises(ValueError, match="holds features of model DenseSync"):
        extract_features([store.path], tmp_path / "given", model=frozen.model)


def test_blocks_join_without_a_seam(make_clip, frozen, monkeypatch):
    path = make_clip("a.mkv", duration_s=3.0, silence=(1.0, 1.2))
    whole = list(video_features(frozen, path, RedDetector()))
    monkeypatch.setattr("avsync.pipelines.features.stream.BLOCK_FRAMES", 20)
    blocks = list(video_features(frozen, path, RedDetector()))
    assert len(whole) == 1 < len(blocks)
    times_s = np.concatenate([block.times_s for block in blocks])
    np.testing.assert_array_equal(times_s, whole[0].times_s)
    features = np.concatenate([block.features for block in blocks])
    np.testing.assert_allclose(features, whole[0].features, atol=1e-5)


@pytest.mark.parametrize("duration_s", [3.0, 3.36, 3.5])
def test_audio_has_features_up_to_its_end(make_clip, frozen, monkeypatch, duration_s):
    path = make_clip("a.mkv", duration_s=duration_s, audio_codec="pcm_s16le")
    monkeypatch.setattr("avsync.pipelines.features.stream.BLOCK_FRAMES", 20)
    blocks = list(video_features(FrozenFeatures(frozen.model, "audio"), path))
    assert sum(len(block.times_s) for block in blocks) == int(duration_s * 25 + 1e-6) - 4
    assert sum(len(block.features) for block in blocks) == int(duration_s * 25 + 1e-6) - 4


def test_a_face_that_is_lost_has_no_features_there(make_clip, frozen):
    path = make_clip("a.mkv", duration_s=4.0, flashes=())
    detector = RedDetector()

    class Blinking:
        name, stride = "blinking", 5

        def __call__(self, image):
            faces = detector(image)
            return [] if detector.calls in (8, 9) else faces

    times_s = np.concatenate([block.times_s for block in video_features(frozen, path, Blinking())])
    steps = np.diff(times_s)
    # No window reaches over the gap: five frames and the lost ones lie between two rows.
    assert steps.max() >= 0.24 and np.sum(steps > 0.041) == 1


def test_a_second_run_extracts_only_what_is_missing(store, tiny, tmp_path, make_clip):
    clip = make_clip("video.mp4")
    extract_features([store.path], tmp_path / "out", weights=tiny)
    index = tmp_path / "out" / INDEX_FILE
    lines = index.read_text().splitlines()
    index.write_text("\n".join(lines[:2]) + '\n{"key": "cl')
    done = extract_features(
        [store.path, clip], tmp_path / "out", weights=tiny, detector=RedDetector()
    )
    assert [result.source for result in done] == ["two.0", "video.mp4"]
    assert [path.name for path in done[1].files] == ["video.mp4.0.safetensors"]
    rows = [json.loads(line) for line in index.read_text().splitlines()]
    assert [row["source"] for row in rows] == ["one.0", "three.0", "two.0", "video.mp4"]


def test_features_of_another_kind_are_refused(store, tiny, tmp_path):
    extract_features([store.path], tmp_path, weights=tiny)
    with pytest.raises(ValueError, match=r"holds features of .* stream video.*not of .*audio"):
        extract_features([store.path], tmp_path, weights=tiny, stream="audio")


def test_a_bad_file_is_named_and_stops_nothing(tiny, tmp_path, make_clip):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"nothing")
    mute = make_clip("mute.mp4", audio=False)
    good = make_clip("good.mp4")
    done = extract_features([bad, mute, good], tmp_path / "out", weights=tiny, stream="audio")
    assert done[0].problem and not done[0].files
    assert done[1].problem == "the file has no audio"
    assert done[2].files[0].name == "good.mp4.safetensors"
    dark = extract_features([good], tmp_path / "faces", weights=tiny, detector=RedDetector(last=0))
    assert dark[0].problem.startswith("no face stays in the frame")


def test_two_files_of_one_name_are_refused(tiny, tmp_path, make_clip):
    (tmp_path / "other").mkdir()
    one = make_clip("a.mp4")
    other = one.rename(tmp_path / "other" / "a.mp4")
    one = make_clip("a.mp4")
    with pytest.raises(ValueError, match=r"two sources would be written to a\.mp4"):
        extract_features([one, other], tmp_path / "out", weights=tiny, stream="audio")


def test_a_file_of_features_is_complete_or_absent(tmp_path):
    with FeatureFile(tmp_path / "a.safetensors", {"model": "m"}) as file:
        file.append(np.array([0.1]), np.ones((1, 3), np.float32))
        assert not (tmp_path / "a.safetensors").exists()
        file.append(np.array([0.14, 0.18]), np.zeros((2, 3), np.float32))
        with pytest.raises(ValueError, match=r"features must be \(1, 3\), got \(1, 2\)"):
            file.append(np.array([0.2]), np.zeros((1, 2), np.float32))
        file.finish()
    found = load_file(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(found["times_s"], [0.1, 0.14, 0.18])
    np.testing.assert_array_equal(found["features"], [[1, 1, 1], [0, 0, 0], [0, 0, 0]])
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_an_hour_of_features_is_not_held_in_memory(tmp_path):
    rows = np.ones((25 * 60, 512), np.float32)
    with FeatureFile(tmp_path / "a.safetensors", {}) as file:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for minute in range(60):
            file.append(60 * minute + np.arange(1500) / 25, rows)
        file.finish()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (tmp_path / "a.safetensors").stat().st_size > 180e6
    assert grown < 30_000  # KiB


@pytest.mark.real_data
def test_lips_match_the_voice_of_the_same_time_best(shared):
    video = shared / "data" / "grid_other_speakers" / "bbad1n.mpg"
    model = create_model("dense_sync", pretrained=True)
    lips, voice = (
        {
            round(time_s, 2): row
            for block in video_features(FrozenFeatures(model, stream), video, find_detector("haar"))
            for time_s, row in zip(block.times_s, block.features, strict=True)
        }
        for stream in ("video", "audio")
    )
    assert min(len(lips), len(voice)) >= 60

    def match(shift):
        """Return the mean similarity of lips to the voice `shift` frames later."""
        later = {t: round(t + shift / 25, 2) for t in lips}
        return np.mean([lips[t] @ voice[s] for t, s in later.items() if s in voice])

    assert max(range(-8, 9), key=match) == 0
