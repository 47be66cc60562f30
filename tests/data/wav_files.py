"""Write WAV files for tests."""

import wave
from pathlib import Path

import numpy as np


def write_wav_file(path: Path, wav: np.ndarray, rate: int = 16000) -> Path:
    """Write samples `(N,)` or `(N, channels)` in [-1, 1] as 16-bit PCM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if wav.ndim == 1 else wav.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((32767 * wav).round().astype("<i2").tobytes())
    return path


def tone(hz: float, seconds: float = 1.0, rate: int = 16000, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
