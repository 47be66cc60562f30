import numpy as np
import pytest
import torch

from avsync.tasks.registry import create_model
from avsync.training.data.sync import ClipData
from avsync.training.data.sync_batches import sequence_batches, window_starts_s

STREAMS = dict(lip_channels=(2, 3, 4), mfcc_channels=(2, 3, 4, 5, 6), dim=6, size=64, crop="face")
SIZES = {
    "perfect_match": STREAMS,
    "avst": dict(visual_channels=(2, 3, 4, 8), audio_channels=(2, 3, 4, 5, 8), depth=1, heads=2),
    "vocalist": dict(channels=(2, 3, 4, 5, 8), depth=1, heads=2),
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("offset_ms", [0.0, 40.0])
@torch.no_grad()
def test_each_window_gets_the_audio_that_it_gets_in_the_whole_clip(store, name, offset_ms):
    torch.manual_seed(0)
    model = create_model(name, config=SIZES[name]).eval()
    clips = ClipData((store.path,), batch=4, corpus_offset_ms=(offset_ms,))
    make = sequence_batches(clips, model.spec, 6)
    frames, wav = make(np.random.default_rng(0), torch.Generator())
    for drawn, audio in zip(frames, wav, strict=True):
        clip, start = found(store, drawn)
        embeddings = model.encode_audio(audio[None], window_starts_s(model.spec, 6))
        at = (start + torch.arange(6)) / 25 - offset_ms / 1000
        whole = model.encode_audio(torch.tensor(clip.wav_16k)[None], at)
        for one, other in zip(parts(embeddings), parts(whole), strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def found(store, drawn):
    """Return the clip and the first frame of a sequence, found by the brightness of its frames."""
    bright = drawn.float().mean((0, 2, 3)).numpy()
    best = None
    for clip in store:
        size = clip.face.shape[1] - drawn.shape[2]
        own = clip.face[:, size:].mean((1, 2, 3))
        for start in range(len(own) - len(bright) + 1):
            off = np.abs(own[start:][: len(bright)] - bright).max()
            best = min(best or (np.inf, None, 0), (off, clip, start), key=lambda row: row[0])
    return best[1:]


def parts(embeddings):
    return [embeddings] if isinstance(embeddings, torch.Tensor) else list(embeddings)
