import numpy as np
import pytest
import torch

from avsync.tasks.input_spec import ClipSpec
from avsync.timing import FPS
from avsync.training.data.sync import (
    ClipData,
    Negatives,
    SyncValidation,
    as_frames,
    audio_range_of_frames,
    draw_shares,
    open_sources,
)
from avsync.training.data.sync_batches import pair_batches
from avsync.training.engine.batches import as_floats

FACE = ClipSpec("face", 96, 96, 5, 0.0, 0.2)


class Brightness(torch.nn.Module):
    """Knows how bright a frame is when its audio is so loud: true of the test store."""

    def __init__(self):
        super().__init__()
        self.spec = FACE
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def encode_video(self, frames):
        bright = frames.mean((1, 3, 4)).unfold(1, 5, 1)
        return bright - bright.mean(-1, keepdim=True)

    def encode_audio(self, wav, starts_s):
        at = (starts_s[:, None] + (torch.arange(5) + 0.5) / FPS) * 16000
        loud = wav[:, at.round().long()]
        return loud - loud.mean(-1, keepdim=True)

    def compare(self, video, audio):
        return torch.cosine_similarity(video, audio, dim=-1)


class Step(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model


def test_held_out_clips_are_measured_at_their_own_offset(store):
    clips = ClipData((store.path,), store.path / "splits.json")
    figures = SyncValidation(clips, 5)(Step(Brightness()))
    assert list(figures) == ["within_1_at_5", "within_1_at_15"]
    assert figures["within_1_at_5"] > 0.9
    late = ClipData((store.path,), store.path / "splits.json", corpus_offset_ms=(200.0,))
    assert SyncValidation(late, 5)(Step(Brightness()))["within_1_at_5"] < 0.5


def test_nothing_is_measured_without_splits(store):
    assert SyncValidation(ClipData((store.path,)), 5)(Step(Brightness())) == {}


def test_batches_are_drawn_from_the_training_clips_alone(store):
    # Frames of the store are as bright as their audio is loud, each clip in its own way.
    clips = ClipData((store.path,), store.path / "splits.json", batch=40)
    batches = pair_batches(clips, Negatives(), FACE, audio_range_of_frames)
    frames, wav, labels = batches.at(0.0)(np.random.default_rng(0), torch.Generator())
    assert frames.shape == (40, 3, 5, 96, 96) and wav.shape == (40, 3200)
    assert frames.dtype == torch.uint8 and frames.max() > 80 and set(labels.tolist()) == {0.0, 1.0}
    held_out = as_frames([store["three.0"].face])
    for window in frames:
        for k in range(36):
            assert not torch.equal(window, held_out[0, :, k : k + 5])


def test_shares_are_those_asked_for_or_as_many_as_there_are_clips(store):
    two = (store.path, store.path)
    assert draw_shares(ClipData(two), [30, 10]).tolist() == [0.75, 0.25]
    assert draw_shares(ClipData(two, share=(1.0, 3.0)), [30, 10]).tolist() == [0.25, 0.75]
    for wrong in [(1.0,), (1.0, -1.0)]:
        with pytest.raises(ValueError, match="share must have 2 values, none negative"):
            draw_shares(ClipData(two, share=wrong), [30, 10])
    with pytest.raises(ValueError, match="share must have a value over 0"):
        draw_shares(ClipData(two, share=(0.0, 0.0)), [30, 10])


def test_each_store_has_its_own_zero(store):
    two = (store.path, store.path)
    sources = open_sources(ClipData(two, corpus_offset_ms=(20.0, -5.0)), FACE)
    assert [source.leads[0] for source in sources] == [320, -80]
    with pytest.raises(ValueError, match="corpus_offset_ms must have 2 values, got 1"):
        open_sources(ClipData(two, corpus_offset_ms=(20.0,)), FACE)
    with pytest.raises(ValueError, match="data must name at least one store"):
        open_sources(ClipData(()), FACE)
    with pytest.raises(ValueError, match="batch must be 1 or more"):
        ClipData(two, batch=0)


def test_a_clean_list_drops_clips_and_moves_others(store, tmp_path):
    table = tmp_path / "clean.csv"
    ids = [row.id for row in store.rows]
    table.write_text(f"clip,action,offset_ms\n{ids[0]},drop,\n{ids[2]},move,80.0\n")
    clips = ClipData((store.path,), corpus_offset_ms=(20.0,), clean=(table,))
    [source] = open_sources(clips, FACE)
    assert source.leads == [320, 1280]
    assert ids[0] not in " ".join(source.crop_files)


def test_frames_reach_the_task_contiguous_and_between_0_and_1():
    crops = np.random.default_rng(0).integers(0, 256, (4, 6, 8, 3), np.uint8)
    audio = torch.randn(1, 640)
    frames, same = as_floats((as_frames([crops]), audio))
    assert frames.shape == (1, 3, 4, 6, 8) and frames.is_contiguous() and same is audio
    np.testing.assert_allclose(frames[0, :, 2].numpy(), crops[2].transpose(2, 0, 1) / 255)
