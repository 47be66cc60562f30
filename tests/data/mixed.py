"""Mixtures of generated clips and music."""

import numpy as np
import torch
from data.made_store import moving
from data.wav_files import tone, write_wav_file
from torch import nn

from avsync.data.cache.audio import AudioCache
from avsync.data.corpora.audio_files import list_audio_files
from avsync.data.sampling.mixtures import Mixtures
from avsync.data.sampling.separation_targets import FaceSource, SeparationTargets
from avsync.encoders.vocalist import VocalistVisualEncoder
from avsync.tasks.separation.input_spec import SeparationSpec, chunk_lengths

SAMPLES, FRAMES = chunk_lengths(1)
SPEC = SeparationSpec(SAMPLES, FRAMES, "face", 48, 96, lower_half=True)
FACES_HZ = (400, 600, 800)
MUSIC_HZ = (1000, 1500, 2000, 2500, 3000)


def clips(frames=40):
    """Return three faces, each with another tone as its voice."""
    return {
        f"anyone/{hz}": (moving(hz, frames), tone(hz, frames / 25).astype(np.float32))
        for hz in FACES_HZ
    }


def music_folder(path):
    for hz in MUSIC_HZ:
        write_wav_file(path / f"{hz}.wav", tone(hz, 3.0, level=0.1))
    return path


def faces_of(store, tmp_path, spec=SPEC, indices=range(3), offset_ms=0.0):
    cache = AudioCache(tmp_path / "cache", spec.sample_rate)
    return SeparationTargets([FaceSource(store, indices, offset_ms)], spec, cache)


def mixtures_of(store, tmp_path, **options):
    music = list_audio_files(music_folder(tmp_path / "music"))
    return Mixtures(**{"faces": faces_of(store, tmp_path), "music": music, **options})


def lively_encoder():
    """Return a small lip encoder whose tokens differ between frames; untrained ones hardly do."""
    torch.manual_seed(1)
    encoder = VocalistVisualEncoder((2, 2, 3, 3, 4))
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = 1.0
    # In train mode batch norms take the statistics of their input.
    encoder.train()(torch.rand(2, 3, 20, 48, 96))
    return encoder.eval()


def loudest_hz(wav):
    """Return the frequency with most of the energy of a waveform."""
    spectrum = np.abs(np.fft.rfft(wav * np.hanning(len(wav))))
    return round(spectrum.argmax() * 16384 / len(wav))
