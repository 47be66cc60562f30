"""Write WAV files of 32-bit floats as a stream, without quantisation or clipping.

Not with PyAV, because version 18 crashes on frames with eight channels.
"""

import struct
from pathlib import Path
from types import TracebackType

import av
import numpy as np

# Speaker positions in the order of the bits of a WAV's channel mask.
SPEAKERS = (
    *("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR"),
    *("TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR"),
)
SAMPLE_BYTES = 4
EXTENSIBLE = 0xFFFE
FLOAT_GUID = bytes.fromhex("0300000000001000800000aa00389b71")
MOST_BYTES = 2**32 - 1
# Position of the number of channels, and size of the header.
CHANNELS_AT, HEADER_BYTES = 58, 116


class WavWriter:
    """Write a WAV file; a context manager. Beyond 4 GiB it becomes RF64, which most programs read.

    Args:
        path: the file; an existing one is replaced.
        rate: sample rate.
        layout: FFmpeg's name of the channel layout: `mono`, `stereo`, `5.1`.
    """

    def __init__(self, path: str | Path, rate: int, layout: str) -> None:
        named = av.AudioLayout(layout)
        self.rate, self.channels, self.samples = rate, named.nb_channels, 0
        speakers = [channel.name for channel in named.channels]
        known = all(speaker in SPEAKERS for speaker in speakers)
        self.mask = sum(1 << SPEAKERS.index(speaker) for speaker in speakers) if known else 0
        self._file = open(path, "wb")  # noqa: SIM115 (closed by __exit__)
        self._file.write(self._header())

    def write(self, block: np.ndarray) -> None:
        """Append samples `(C, n)` float32, full scale at 1."""
        if block.ndim != 2 or len(block) != self.channels:
            raise ValueError(f"block must be ({self.channels}, n), got {block.shape}")
        self.samples += block.shape[1]
        self._file.write(np.ascontiguousarray(block.T, "<f4").tobytes())

    def __enter__(self) -> "WavWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._file.write(self._header())

    def _header(self) -> bytes:
        """Return the header, whose size does not depend on the number of samples."""
        frame = SAMPLE_BYTES * self.channels
        data = frame * self.samples
        shape = (self.channels, self.rate, self.rate * frame, frame, 8 * SAMPLE_BYTES)
        extension = struct.pack("<HHI", 22, 8 * SAMPLE_BYTES, self.mask) + FLOAT_GUID
        body = struct.pack("<HHIIHH", EXTENSIBLE, *shape) + extension
        after = _chunk(b"fmt ", body) + _chunk(b"fact", struct.pack("<I", _low(self.samples)))
        riff = 4 + 36 + len(after) + 8 + data
        # In a WAV, a JUNK chunk reserves the space of the sizes of RF64.
        if riff > MOST_BYTES:
            sizes = _chunk(b"ds64", struct.pack("<QQQI", riff, data, self.samples, 0))
            start = struct.pack("<4sI4s", b"RF64", MOST_BYTES, b"WAVE")
        else:
            sizes = _chunk(b"JUNK", bytes(28))
            start = struct.pack("<4sI4s", b"RIFF", riff, b"WAVE")
        return start + sizes + after + struct.pack("<4sI", b"data", _low(data))


def samples_of(path: str | Path) -> np.ndarray:
    """Return the samples `(N, C)` float32 of a file of `WavWriter`, memory-mapped."""
    with open(path, "rb") as file:
        header = file.read(HEADER_BYTES)
    (channels,) = struct.unpack_from("<H", header, CHANNELS_AT)
    if header[8:12] != b"WAVE" or header[CHANNELS_AT - 2 : CHANNELS_AT] != b"\xfe\xff":
        raise ValueError(f"path must be a WAV of 32-bit floats as WavWriter writes it, got {path}")
    return np.memmap(path, "<f4", "r", HEADER_BYTES).reshape(-1, channels)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body


def _low(size: int) -> int:
    """Return a size for a 32-bit field: all ones if it does not fit."""
    return min(size, MOST_BYTES)
