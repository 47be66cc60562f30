"""Print what `check` reports for clips with faulty audio: invalid, faint, clipped, inverted.

    python benchmarks/sync/audio_faults.py

One clip is rendered; `FAULTS` maps its audio `(N,)` at 16 kHz to that of a fault, `(C, N)`. The
files hold 32-bit float PCM, so that any sample can be stored. Nothing is judged: the table is for
reading.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from avsync.pipelines.check.check_file import check
from avsync.pipelines.check.messages import describe_outcome
from avsync.synthetic import render
from avsync.timing import FPS, SAMPLE_RATE
from benchmarks.clip_file import X264
from benchmarks.record import machine, write_record

SEED, DURATION_S = 1, 5.0
RNG_SEED = 0

Fault = Callable[[np.ndarray], np.ndarray]


def level(wav: np.ndarray, dbfs: float) -> np.ndarray:
    """Scale to a root mean square in dB below full scale."""
    return wav * (10 ** (dbfs / 20) / np.sqrt(np.mean(wav**2)))


def invalid(wav: np.ndarray, share: float, value: float) -> np.ndarray:
    """Set a share of the samples, drawn at random, to a value."""
    chosen = np.random.default_rng(RNG_SEED).random(len(wav)) < share
    return np.where(chosen, np.float32(value), wav)


def add_noise(wav: np.ndarray, dbfs: float) -> np.ndarray:
    noise = np.random.default_rng(RNG_SEED).normal(0, 10 ** (dbfs / 20), len(wav))
    return wav + noise


FAULTS: dict[str, Fault] = {
    "intact": lambda wav: wav,
    "NaN in 1 % of samples": lambda wav: invalid(wav, 0.01, np.nan),
    "NaN in all samples": lambda wav: invalid(wav, 1.1, np.nan),
    "infinite in 1 % of samples": lambda wav: invalid(wav, 0.01, np.inf),
    "1e30 in 1 % of samples": lambda wav: invalid(wav, 0.01, 1e30),
    "voice at -60 dBFS": lambda wav: level(wav, -60),
    "voice at -75 dBFS": lambda wav: level(wav, -75),
    "voice at -100 dBFS": lambda wav: level(wav, -100),
    "right channel inverted": lambda wav: np.stack([wav, -wav]),
    "clipped at +30 dB": lambda wav: np.clip(wav * 10**1.5, -1, 1),
    "samples beyond full scale, +30 dB": lambda wav: wav * 10**1.5,
    "DC offset of 0.5": lambda wav: wav + 0.5,
    "DC offset of 0.5, no voice": lambda wav: np.full_like(wav, 0.5),
    "8 bits": lambda wav: np.round(wav * 127) / 127,
    "8 bits of a voice at -40 dBFS": lambda wav: np.round(level(wav, -40) * 127) / 127,
    "noise of 8 bits alone": lambda wav: np.round(add_noise(0 * wav, -42) * 127) / 127,
    "digital silence": lambda wav: 0 * wav,
}


def write_faulty(path: Path, frames: np.ndarray, wav: np.ndarray) -> Path:
    """Write frames `(T, H, W, 3)` and audio `(N,)` or `(C, N)` as H.264 and 32-bit float PCM."""
    samples = np.ascontiguousarray(np.atleast_2d(wav).T.reshape(1, -1).astype(np.float32))
    layout = "mono" if wav.ndim == 1 else "stereo"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options=X264)
        assert isinstance(video, av.VideoStream)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("pcm_f32le", rate=SAMPLE_RATE, layout=layout)
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(video.encode(None))
        block = av.AudioFrame.from_ndarray(samples, "flt", layout)
        block.sample_rate = SAMPLE_RATE
        container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    return path


def main() -> None:
    clip = render(SEED, DURATION_S, size=(320, 240), sample_rate=SAMPLE_RATE)
    frames, wav = np.asarray(clip.frames), np.asarray(clip.wav, np.float32)
    rows = {}
    with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
        for number, (name, fault) in enumerate(FAULTS.items()):
            path = write_faulty(Path(folder) / f"{number}.mkv", frames, fault(wav))
            result = check(path)
            rows[name] = {"status": result.status, "reason": result.reason}
            rows[name] |= {"offset_ms": result.offset_ms, "text": describe_outcome(result)}
            print(f"{name:34} {describe_outcome(result)}", flush=True)
    print(machine())
    write_record("sync/audio_faults", {"rows": rows})


if __name__ == "__main__":
    main()
