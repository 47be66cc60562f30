"""What a repaired file kept: its streams, their packets, and the sound that has a place in it."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from avsync.media.audio_reader import read_audio
from avsync.media.probe import probe_media

RATE = 48000


def described(path: Path) -> object:
    """What a player lists: streams with their codecs, languages and flags, title and chapters."""
    with av.open(path) as container:
        streams = [
            (s.type, s.codec_context.name if s.codec_context else "", s.language, s.disposition)
            for s in container.streams
        ]
        title = container.metadata.get("title")
        return streams, title, [c["metadata"] for c in container.chapters()]


def kinds(path: Path) -> Iterator[tuple[int, str]]:
    with av.open(path) as container:
        yield from [(stream.index, stream.type) for stream in container.streams]


def payloads(path: Path) -> dict[int, list[bytes]]:
    """The packets of every stream, in order; those without content are left out."""
    found: dict[int, list[bytes]] = {}
    with av.open(path) as container:
        for stream in container.streams:
            found[stream.index] = []
        for packet in container.demux():
            if packet.size:
                found[packet.stream_index].append(bytes(packet))
    return found


def same(was: list[bytes], now: list[bytes], kind: str, copied: bool) -> bool:
    """Pictures and texts are the same; copied sound is the same without some at its beginning."""
    if kind != "audio":
        return was == now
    if not copied or len(set(now) - set(was)) <= 1:
        return True
    # An AVI cuts PCM into packets anew, after silence.
    return b"".join(now).lstrip(b"\0") in b"".join(was)


def lost(broken: Path, target: Path, shift_ms: float, track: int) -> float:
    """Milliseconds of sound with a place on the timeline that the repaired file has not."""
    was, now = (samples(path, track) for path in (broken, target))
    shift = round(shift_ms * RATE / 1000)
    expected = np.pad(was, (max(shift, 0), 0))[max(-shift, 0) :]
    # Containers round times to a millisecond, and an AVI counts compressed sound in packets.
    slack = RATE * 26 // 1000
    reach = 1 << int(np.ceil(np.log2(len(expected) + len(now))))
    spectrum = np.fft.rfft(now, reach) * np.conj(np.fft.rfft(expected, reach))
    lags = np.fft.irfft(spectrum, reach)
    lag = max(range(-slack, slack + 1), key=lambda at: lags[at])
    aligned = np.pad(now, (max(-lag, 0), 0))[max(lag, 0) :]
    missing = max(0, len(expected) - len(aligned) - slack)
    step = RATE // 100
    for at in range(slack, min(len(expected), len(aligned)) - step, step):
        ours, theirs = expected[at : at + step], aligned[at : at + step]
        if np.sum((ours - theirs) ** 2) > 0.1 * np.sum(ours**2) + 1e-6 * step:
            missing += step
    return 1000 * missing / RATE


def samples(path: Path, track: int) -> np.ndarray:
    origin_s = probe_media(path).video_start_s
    return np.concatenate(list(read_audio(path, origin_s, RATE, track)))
