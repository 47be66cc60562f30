"""Compare a repaired file with its original: streams, packets, and audio on the timeline."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from avsync.media.audio_reader import read_audio
from avsync.media.probe import probe_media

RATE = 48000


def describe(path: Path) -> object:
    """Return what a player lists: streams with codec, language and flags, title and chapters."""
    with av.open(path) as container:
        streams = [
            (s.type, s.codec_context.name if s.codec_context else "", s.language, s.disposition)
            for s in container.streams
        ]
        title = container.metadata.get("title")
        return streams, title, [c["metadata"] for c in container.chapters()]


def stream_types(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the index and the type of each stream."""
    with av.open(path) as container:
        yield from [(stream.index, stream.type) for stream in container.streams]


def payloads(path: Path) -> dict[int, list[bytes]]:
    """Read the packets of every stream, in order, without empty ones."""
    found: dict[int, list[bytes]] = {}
    with av.open(path) as container:
        for stream in container.streams:
            found[stream.index] = []
        for packet in container.demux():
            if packet.size:
                found[packet.stream_index].append(bytes(packet))
    return found


def packets_equal(before: list[bytes], after: list[bytes], kind: str, copied: bool) -> bool:
    """Compare the packets of a stream before and after a repair.

    Args:
        before: packets of the original.
        after: packets of the repaired file.
        kind: type of the stream. Audio may lack packets at its beginning.
        copied: whether audio was copied; encoded audio is not compared.
    """
    if kind != "audio":
        return before == after
    if not copied or len(set(after) - set(before)) <= 1:
        return True
    # An AVI writer re-packetises PCM, after silence.
    return b"".join(after).lstrip(b"\0") in b"".join(before)


def missing_audio_ms(original: Path, repaired: Path, shift_ms: float, track: int) -> float:
    """Measure how much of the original's shifted audio the repaired file lacks, in ms."""
    before, after = (read_samples(path, track) for path in (original, repaired))
    shift = round(shift_ms * RATE / 1000)
    expected = np.pad(before, (max(shift, 0), 0))[max(-shift, 0) :]
    # Containers round times to a millisecond, and an AVI counts compressed audio in packets.
    slack = RATE * 26 // 1000
    n_fft = 1 << int(np.ceil(np.log2(len(expected) + len(after))))
    spectrum = np.fft.rfft(after, n_fft) * np.conj(np.fft.rfft(expected, n_fft))
    correlation = np.fft.irfft(spectrum, n_fft)
    lag = max(range(-slack, slack + 1), key=lambda at: correlation[at])
    aligned = np.pad(after, (max(-lag, 0), 0))[max(lag, 0) :]
    missing = max(0, len(expected) - len(aligned) - slack)
    step = RATE // 100
    for at in range(slack, min(len(expected), len(aligned)) - step, step):
        block, difference = (
            expected[at : at + step],
            expected[at : at + step] - aligned[at : at + step],
        )
        if np.sum(difference**2) > 0.1 * np.sum(block**2) + 1e-6 * step:
            missing += step
    return 1000 * missing / RATE


def read_samples(path: Path, track: int) -> np.ndarray:
    """Read an audio track at `RATE` `(N,)`; sample 0 is the start of the video."""
    origin_s = probe_media(path).video_start_s
    return np.concatenate(list(read_audio(path, origin_s, RATE, track)))
