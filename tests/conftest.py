"""Clips whose truth can be read back: white frames and clicks at known times, in any container."""

import json
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from golden.face_mesh import drawn_face

from avsync.cli import main
from avsync.data.store.reader import CROP_SIZE, Store
from avsync.data.store.records import ClipInfo, SourceRecord
from avsync.data.store.writer import SourceWriter, write_tables
from avsync.media.audio_reader import read_audio
from avsync.media.video_reader import read_frames
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

CODECS = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".mkv": ("libx264", "aac"),
    ".webm": ("libvpx", "libopus"),
    ".avi": ("mpeg4", "pcm_s16le"),
    ".mpg": ("mpeg2video", "mp2"),
    ".ts": ("libx264", "aac"),
    ".flv": ("libx264", "aac"),
}
FLASHES = (0.4, 1.2, 1.6)
CLICK_HZ, CLICK_SIGMA_S = 1000.0, 0.002
STORED_FRAMES = 40
ROTATIONS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process; gives exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as leave:
            code = int(leave.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """`make_clip("name.mp4", **options)` writes a clip with `write_clip` and returns its path."""

    def make(name: str, **options: object) -> Path:
        write_clip(tmp_path / name, **options)  # type: ignore[arg-type]
        return tmp_path / name

    return make


@pytest.fixture
def clip_sync() -> Callable[..., np.ndarray]:
    """`clip_sync(path, stream=0)`: ms from each flash to its click, as avsync reads them."""
    return _sync_ms


@pytest.fixture
def hear_clicks() -> Callable[..., list[float]]:
    """`hear_clicks(wav, rate)`: when the clicks of a mono wave are, in seconds from its start."""
    return _clicks


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data; tests that use it carry the marker `real_data`."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("AVSYNC_SHARED", root.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder}: set AVSYNC_SHARED to the folder that holds data/")
    return folder


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of clips whose frames are as bright as their audio is loud, and `splits.json`."""
    path = tmp_path_factory.mktemp("store")
    records = {}
    for number, name in enumerate(["one", "two", "three"]):
        level = np.random.default_rng(number).uniform(0.1, 1, STORED_FRAMES)
        crops = np.zeros((STORED_FRAMES, CROP_SIZE, CROP_SIZE, 3), np.uint8)
        crops += (200 * level).astype(np.uint8)[:, None, None, None]
        crops[:, ::3, ::4] += 40
        at = np.arange(STORED_FRAMES * SAMPLES_PER_FRAME) / SAMPLES_PER_FRAME - 0.5
        wav = np.interp(at, np.arange(STORED_FRAMES), level)
        row = {"id": f"{name}.0", "source": f"folder/{name}.mp4", "speaker": "folder"}
        row |= {"track": 0, "frames": STORED_FRAMES, "start_s": 0.0, "face_px": 80.0}
        row |= {"score": 0.9, "sample_rate": SAMPLE_RATE}
        arrays = {
            "face": crops,
            "mouth": crops,
            "mesh": (level[:, None, None, None] * 255 * drawn_face()).astype(np.uint8),
            "boxes": np.zeros((STORED_FRAMES, 4)),
            "points": np.zeros((STORED_FRAMES, 5, 2)),
            "wav_16k": wav,
            "wav": wav,
        }
        with SourceWriter(path, name) as writer:
            for array, values in arrays.items():
                writer.array(0, array).append(values)
            records[name] = SourceRecord(row["source"], (ClipInfo(**row),))
            writer.finish(records[name])
    write_tables(path, records)
    (path / "splits.json").write_text(json.dumps({"train": ["one", "two"], "val": ["three"]}))
    return Store(path)


def write_clip(
    path: Path,
    *,
    duration_s: float = 2.0,
    fps: Fraction | int = 25,
    times: Sequence[float] | None = None,
    size: tuple[int, int] = (96, 64),
    pixel_ratio: Fraction | None = None,
    rotation: int = 0,
    video_codec: str | None = None,
    audio_codec: str | None = None,
    sample_rate: int = 48000,
    layout: str = "stereo",
    video: bool = True,
    audio: bool = True,
    video_start_s: float = 0.0,
    audio_start_s: float = 0.0,
    flashes: Sequence[float] = FLASHES,
    clicks: Sequence[float] = FLASHES,
    silence: tuple[float, float] | None = None,
    tracks: int = 1,
    metadata: dict[str, str] | None = None,
    b_frames: int = 0,
) -> None:
    """Writes a clip whose flashes and clicks lie at the given seconds of the file's clock.

    Args:
        times: when each frame is shown, for a variable frame rate; else every 1 / fps.
        pixel_ratio: width of a pixel over its height.
        rotation: display matrix of mp4 and mov, degrees clockwise.
        video_start_s: when the first frame is shown; `audio_start_s` likewise the first sample.
        silence: a stretch of seconds for which no audio packets are written.
        tracks: how many times the audio is written, as streams of their own.
        b_frames: how many frames in a row x264 may store after a later one.
    """
    codecs = CODECS[path.suffix]
    if times is None:
        times = np.arange(video_start_s, duration_s - 1e-9, float(1 / Fraction(fps))).tolist()
    with av.open(path, "w") as container:
        container.metadata.update(metadata or {})
        frame = None
        if video:
            frame = container.add_stream(video_codec or codecs[0], rate=Fraction(fps))
            frame.width, frame.height, frame.pix_fmt = *size, "yuv420p"
            frame.bit_rate = 1_000_000
            frame.codec_context.thread_count = 1  # libvpx's threads spin while they wait.
            frame.codec_context.time_base = 1 / Fraction(fps)
            if pixel_ratio is not None:
                frame.codec_context.sample_aspect_ratio = pixel_ratio
            if frame.codec_context.name == "libx264":
                frame.options = {"preset": "ultrafast", "g": "12", "bf": str(b_frames)}
                frame.codec_context.time_base = Fraction(1, 90000)
            elif frame.codec_context.name == "libvpx":
                frame.options = {"deadline": "realtime", "cpu-used": "8"}
            elif frame.codec_context.name == "mpeg2video":
                # Frames that share a packet of a program stream have no times of their own.
                frame.codec_context.gop_size, frame.bit_rate = 1, 8_000_000
            elif frame.codec_context.name == "mjpeg":
                frame.pix_fmt = "yuvj420p"
        sounds = []
        for _ in range(tracks if audio else 0):
            sound = container.add_stream(audio_codec or codecs[1], rate=sample_rate, layout=layout)
            sound.bit_rate = 128_000 if layout != "5.1" else 384_000
            if sound.codec_context.name == "aac":
                sound.options = {"aac_coder": "fast"}
            sounds.append(sound)
        sources: list[Iterator[tuple[float, av.Packet]]] = []
        if frame is not None:
            sources.append(_video_packets(frame, times, size, flashes))
        for sound in sounds:
            sources.append(_audio_packets(sound, audio_start_s, duration_s, clicks, silence))
        for _, packet in sorted((p for source in sources for p in source), key=lambda p: p[0]):
            container.mux(packet)
    if rotation:
        _set_display_matrix(path, rotation)


def _video_packets(stream, times, size, flashes) -> Iterator[tuple[float, av.Packet]]:
    width, height = size
    dark = np.full((height, width, 3), 40, np.uint8)
    dark[: height // 2, : width // 2] = (200, 40, 40)  # The stored frame's top left is red.
    grain = np.random.default_rng(0).integers(0, 55, dark.shape, dtype=np.uint8)
    dark, white = dark + grain, 200 + grain
    lit = {int(np.argmin(np.abs(np.asarray(times) - flash))) for flash in flashes}
    base = stream.codec_context.time_base
    for index, time_s in enumerate(times):
        frame = av.VideoFrame.from_ndarray(white if index in lit else dark, "rgb24")
        frame.time_base, frame.pts = base, round(time_s / base)
        yield from ((time_s, packet) for packet in stream.encode(frame))
    yield from ((times[-1], packet) for packet in stream.encode(None))


def _audio_packets(stream, start_s, end_s, clicks, silence) -> Iterator[tuple[float, av.Packet]]:
    rate, channels = stream.sample_rate, stream.layout.nb_channels
    t = np.arange(round(start_s * rate), round(end_s * rate)) / rate
    wave = np.zeros_like(t)
    for click in clicks:
        near = np.abs(t - click) < 50 * CLICK_SIGMA_S  # Beyond that a click is 0 in float64.
        wave[near] += 0.6 * _click(t[near] - click)
    for at in range(0, len(t), 1024):
        block = np.repeat(wave[None, at : at + 1024].astype(np.float32), channels, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", stream.layout.name)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = round(start_s * rate) + at
        yield from _sounding(stream.encode(frame), t[at], silence)
    yield from _sounding(stream.encode(None), t[-1], silence)


def _sounding(packets: Iterable[av.Packet], time_s, silence) -> Iterator[tuple[float, av.Packet]]:
    for packet in packets:
        at = float(packet.pts * packet.time_base)
        if silence is None or not silence[0] <= at < silence[1]:
            yield time_s, packet


def _click(t: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * (t / CLICK_SIGMA_S) ** 2) * np.cos(2 * np.pi * CLICK_HZ * t)


def _clicks(wav: np.ndarray, rate: int = 16000) -> list[float]:
    t = np.arange(-4 * CLICK_SIGMA_S, 4 * CLICK_SIGMA_S, 1 / rate)
    window = np.exp(-0.5 * (t / CLICK_SIGMA_S) ** 2) * np.exp(2j * np.pi * CLICK_HZ * t)
    envelope = np.abs(np.convolve(wav, window, "same"))
    found = []
    while len(found) < 20 and envelope.max(initial=0) > 0.3 * 0.6 * CLICK_SIGMA_S * rate:
        peak = int(envelope.argmax())
        # "same" is centred on index (len - 1) // 2 of a kernel whose own centre is at len // 2.
        found.append((peak + (len(window) - 1) // 2 - len(window) // 2) / rate)
        envelope[max(0, peak - rate // 20) : peak + rate // 20] = 0
    return sorted(found)


def _sync_ms(path: Path, stream: int = 0) -> np.ndarray:
    frames = [(frame.time_s, frame.image.mean()) for frame in read_frames(path)]
    flashes = [time_s - frames[0][0] for time_s, light in frames if light > 200]
    wav = np.concatenate(list(read_audio(path, frames[0][0], 16000, stream)))
    clicks = _clicks(wav)
    assert len(clicks) == len(flashes), f"flashes at {flashes}, clicks at {clicks}"
    return 1000 * (np.asarray(clicks) - np.asarray(flashes))


def _set_display_matrix(path: Path, rotation: int) -> None:
    # PyAV writes no display matrix: it is put into the first track's header by hand.
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in ROTATIONS[rotation])
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
