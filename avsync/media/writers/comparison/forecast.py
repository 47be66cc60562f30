"""Forecast what a copy will lack, by a trial copy of the first packets of each stream."""

from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer

from avsync.media.container import open_media
from avsync.media.writers.atomic_output import explain_write_errors
from avsync.media.writers.audio_encoder import AudioPlan, is_decodable, plan_audio_streams
from avsync.media.writers.comparison.differences import Difference, compare_streams, refuse_loss
from avsync.media.writers.comparison.file_facts import read_facts
from avsync.media.writers.copied_packets import copied_packets
from avsync.media.writers.encoded_audio import EncodedAudio
from avsync.media.writers.output_container import (
    AudioPlans,
    OutputFile,
    container_format,
    output_file,
    supported_streams,
)
from avsync.media.writers.patching.shift import can_be_patched

UNDECODABLE = "it cannot be decoded, and so not be re-encoded"
# Packets copied of each stream, if the file has them among its first.
TRIAL_PACKETS, MOST_PACKETS, MOST_BYTES = 8, 20_000, 1 << 26
TRIAL_AUDIO_S = 0.25


class CopyForecast(NamedTuple):
    """Forecast of a copy: descriptions of the re-encoded audio streams, and of what is left out."""

    encoded: tuple[str, ...]
    left_out: tuple[str, ...]


def forecast_copy(
    source: Path,
    destination: Path,
    *,
    encode: bool | Collection[int],
    allow_loss: bool = False,
) -> CopyForecast:
    """Forecast a copy of `source`; nothing is written to the destination.

    The first packets of each stream are copied to a temporary file, which is compared.

    Args:
        source: the file to copy.
        destination: the new file.
        encode: whether audio is re-encoded, or the positions of the audio streams that are.
        allow_loss: whether a copy without something that matters is accepted.

    Raises:
        ValueError: if the file lacks an audio stream that is named.
        RuntimeError: if the container of the destination cannot hold it.
    """
    with open_media(source) as reading:
        audio = reading.streams.audio
        positions = range(len(audio) if encode else 0) if isinstance(encode, bool) else encode
        check_positions("encode", positions, len(audio))
        with explain_write_errors(source, destination):
            kind = container_format(destination)
            decodable = [at for at in positions if is_decodable(audio[at])]
            unheard = {audio[at].index: UNDECODABLE for at in set(positions) - set(decodable)}
            plans = plan_copy(source, destination, kind, decodable)
            found: tuple[Difference, ...] = ()
            causes: dict[int, str] = {}
            if not _is_patched(reading, source, destination, kind, encode=bool(positions)):
                wanted, causes = supported_streams(reading, kind, plans, unheard)
                with TemporaryDirectory(prefix="avsync-") as folder:
                    trial = Path(folder) / f"trial{destination.suffix}"
                    found = _compare_trial(reading, source, trial, kind, wanted, plans)
    left_out = refuse_loss(source, destination, found, allow_loss=allow_loss, causes=causes)
    return CopyForecast(tuple(plan.describe() for plan in plans.values()), left_out)


def _is_patched(
    reading: InputContainer, source: Path, destination: Path, kind: str, *, encode: bool
) -> bool:
    """Whether a copy is made by patching, so that nothing is lost."""
    patched = can_be_patched(reading, source, destination, kind)
    if kind == "mxf" and not patched:
        raise ValueError(
            "an MXF has no offset per stream, and the audio is no PCM of an MXF that could be "
            "moved within it; write .mov or .mkv"
        )
    return patched and (not encode or kind == "mxf")


def plan_copy(source: Path, destination: Path, kind: str, positions: Collection[int]) -> AudioPlans:
    """Plan the encoding of audio streams, by position, for the container of a destination."""
    with av.open(f"file:{destination}", "w", format=kind) as unwritten:
        return plan_audio_streams(source, unwritten, positions)


def check_positions(name: str, positions: Collection[int], count: int) -> None:
    """Check that an argument names audio streams that a file has.

    Raises:
        ValueError: if it does not.
    """
    for position in positions:
        if position not in range(count):
            have = f"one of the file's {count} audio streams, counted from 0"
            raise ValueError(f"{name} must name {have}, got {position}")


def _compare_trial(
    reading: InputContainer,
    source: Path,
    trial: Path,
    kind: str,
    wanted: Collection[int],
    plans: AudioPlans,
) -> tuple[Difference, ...]:
    with output_file(reading, trial, kind, wanted, plans) as new:
        for index, plan in plans.items():
            if index in wanted:
                _encode_silence(new, index, plan)
        seen = _copy_first_packets(reading, new)
    facts = read_facts(source, count_packets=False)
    found = compare_streams(facts, trial, encoded=plans, count_packets=False)
    # Muxers leave out a stream without packets, of which the copy may have some later.
    late = set(wanted) - seen - set(plans)
    return tuple(difference for difference in found if difference.stream not in late)


def _copy_first_packets(reading: InputContainer, new: OutputFile) -> set[int]:
    """Copy the first packets of each stream; return the indices of streams that have any."""
    counts = dict.fromkeys(new.copies, 0)
    indices = {made.index: index for index, made in new.copies.items()}
    size = 0
    if not counts:
        return set()
    for number, packet in enumerate(copied_packets(reading, new)):
        index = indices[packet.stream_index]
        size += packet.size
        if counts[index] < TRIAL_PACKETS:
            counts[index] += 1
            new.writing.mux_one(packet)
        enough = min(counts.values()) >= TRIAL_PACKETS
        if enough or number >= MOST_PACKETS or size >= MOST_BYTES:
            break
    return {index for index, count in counts.items() if count}


def _encode_silence(new: OutputFile, index: int, plan: AudioPlan) -> None:
    channels = av.AudioLayout(plan.layout).nb_channels
    block = np.zeros((channels, round(TRIAL_AUDIO_S * plan.rate)), np.float32)
    EncodedAudio(new, index, plan, [block], 0.0).write_until(None)
