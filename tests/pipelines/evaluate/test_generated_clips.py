import math

import numpy as np
import pytest
import torch
from pipelines.grey_talker import write_talker

from avsync.pipelines.evaluate.generated_clips import generate_clips, generated_face_crops
from avsync.tasks.input_spec import ClipSpec
from avsync.tasks.registry import create_model
from avsync.tasks.talking.generator import FACE_SPEC, generate_frames

MOUTH = ClipSpec("mouth", 96, 96, 5, 0.0, 0.2)


@pytest.fixture(scope="module")
def talker(tmp_path_factory):
    path = write_talker(tmp_path_factory.mktemp("talker") / "talker.safetensors")
    return create_model("synctalklip", weights=path)


def test_an_even_grey_is_as_far_from_the_truth_as_its_pixels(store, tmp_path):
    model = create_model("synctalklip", weights=write_talker(tmp_path / "grey.safetensors", 0.25))
    (clip,) = generate_clips(model, store, [1], 0.0, own_speech=True)
    square = np.mean((np.array(store[1].face)[:, 48:] / 255 - 0.25) ** 2)
    assert clip.likeness.psnr == pytest.approx(-10 * math.log10(square), abs=1e-3)
    assert (clip.crops(FACE_SPEC) == 64).all()


def test_a_clip_is_generated_with_the_speech_of_the_next(store, talker):
    one, three = generate_clips(talker, store, [0, 1], 0.0, own_speech=False)
    names = [(clip.name, clip.source) for clip in (one, three)]
    assert names == [("one.0", "folder/three.mp4"), ("three.0", "folder/one.mp4")]
    assert np.array_equal(one.wav, store[1].wav_16k)
    frames = torch.from_numpy(np.array(store[0].face)).permute(0, 3, 1, 2) / 255
    expected = generate_frames(talker, frames, torch.from_numpy(np.array(store[1].wav_16k)))
    generated = torch.from_numpy(one.crops(FACE_SPEC)).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(generated, expected, atol=0.51 / 255, rtol=0)


def test_the_likeness_is_that_of_faces_with_their_own_speech(store, talker):
    (own,) = generate_clips(talker, store, [0], 0.0, own_speech=True)
    assert np.array_equal(own.true_crops(FACE_SPEC), store[0].face)
    other, _ = generate_clips(talker, store, [0, 1], 0.0, own_speech=False)
    assert own.source == "folder/one.mp4" and own.likeness == other.likeness


def test_a_known_offset_is_subtracted_from_the_audio(store, talker):
    (clip,) = generate_clips(talker, store, [0], 20.0, own_speech=True)
    assert np.array_equal(clip.wav[320:], store[0].wav_16k[:-320]) and not clip.wav[:320].any()


def test_the_mouth_shows_the_generated_face_in_colour(store):
    clip = store[0]
    # Boxes and points of nothing, as this store has them, make the mouth crop the face crop.
    generated = torch.rand(len(clip.face), 3, 96, 96, generator=torch.Generator().manual_seed(0))
    crops = generated_face_crops(clip, generated, MOUTH)
    mouths = torch.from_numpy(crops).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(mouths, generated, atol=0.6 / 255, rtol=0)
    points = np.tile(np.array([[30, 30], [66, 30], [48, 50], [36, 70], [60, 70.0]]), (40, 1, 1))
    beside = clip._replace(boxes=np.tile([0, 0, 96, 96.0], (40, 1)), points=points)
    mouths = generated_face_crops(beside, generated, MOUTH)
    # It reaches below the face, where the true frame stays.
    assert np.array_equal(mouths[:, -1], clip.mouth[:, -1])
    assert not np.array_equal(mouths[:, 40], clip.mouth[:, 40])


@pytest.mark.parametrize("kind", ["head", "mesh"])
def test_a_model_of_crops_beyond_the_face_is_referred_to_videos(store, kind):
    generated = torch.zeros(40, 3, 96, 96)
    with pytest.raises(ValueError, match=rf"no {kind} crops.*name them with --made"):
        generated_face_crops(store[0], generated, ClipSpec(kind, 96, 96, 5, 0.0, 0.2))
