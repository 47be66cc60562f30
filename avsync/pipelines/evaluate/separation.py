"""Separated voices against the true ones: `avsync evaluate separation`."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from avsync.atomic import write_text
from avsync.data.corpora.audio_files import AUDIO_SUFFIXES
from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia
from avsync.media.probe import header_sample_rate
from avsync.metrics.bss_eval import FILTER_LENGTH
from avsync.metrics.separation import BssOptions, SeparationScores, score_sources
from avsync.pipelines.check.messages import UNREADABLE, printable
from avsync.pipelines.progress import progress_bar

SCHEMA = 1
MIXTURE = "mixture"
VOICES = ("voice*", "target*", "second*", "vocals*", "singer*", "speaker*")
WINDOW_S = 1.0
# The columns of the table, and what they are called there.
SHOWN = {
    "sdr": "SDR",
    "sir": "SIR",
    "sir_with_second": "SIR+2nd",
    "sar": "SAR",
    "sar_with_second": "SAR+2nd",
    "si_sdr": "SI-SDR",
    "sdr_gain": "SDRi",
    "si_sdr_gain": "SI-SDRi",
}


@dataclass(frozen=True)
class SeparationEvaluation:
    """Scores separated audio streams against the true ones: SDR, SIR, SAR, SI-SDR, gains over the mixture.

    Both folders hold one audio file a source, or a folder of them a mixture; a source has the same
    name in both, whatever its suffix. `mixture` among the references is the mixture; where it is
    not there, their sum is. Audio is mixed down to one channel.

    Args:
        references: folder of true sources, all of a mixture's.
        estimates: folder of separated ones; those that have no reference are left out.
        voices: patterns of names that are voices. The published SIR leaves other voices out of the
            references (SIR), the fairer one does not (SIR+2nd).
        bss: version of BSS Eval: v3 takes the whole audio, v4 the median over windows.
        window_s: seconds of a window of v4, and from one to the next.
        json: write the figures here.
    """

    references: Path
    estimates: Path
    voices: tuple[str, ...] = VOICES
    bss: Literal["v3", "v4"] = "v3"
    window_s: float = WINDOW_S
    json: Path | None = None

    def __post_init__(self) -> None:
        for name, folder in (("references", self.references), ("estimates", self.estimates)):
            if not folder.is_dir():
                raise ValueError(f"{name} must be a folder, got {folder}")
        if self.bss not in ("v3", "v4"):
            raise ValueError(f"bss must be v3 or v4, got {self.bss!r}")
        if not 0 < self.window_s < math.inf:
            raise ValueError(f"window_s must be positive, got {self.window_s}")


@dataclass(frozen=True)
class SourceScores:
    """The answer for one source of one mixture.

    `status` is `ok`, `silent` where the source or its estimate is, or `unreadable`, with the cause
    in `detail`; then there are no figures. `figures` are in dB, named as in `SeparationScores`; None
    where there is none.
    """

    mixture: str
    source: str
    status: Literal["ok", "silent", "unreadable"]
    detail: str
    figures: dict[str, float | None]


def evaluate_separation(evaluation: SeparationEvaluation) -> list[SourceScores]:
    """Score every source that has an estimate, written to `json` where that is given. A file that
    cannot be read, or is of another length or rate, is an answer of its own.

    ValueError where there is nothing to score.
    """
    mixtures = _mixtures(evaluation.references)
    rows: list[SourceScores] = []
    with progress_bar("evaluating") as report:
        for place, (name, references) in enumerate(mixtures.items()):
            estimates = _sounds(evaluation.estimates / name)
            rows += _score_mixture(name, references, estimates, evaluation)
            report((place + 1) / len(mixtures))
    if not rows:
        raise ValueError(
            f"{evaluation.references} and {evaluation.estimates} must hold audio files of the same "
            "names, as in REFERENCES/voice_0.wav and ESTIMATES/voice_0.wav"
        )
    if evaluation.json is not None:
        text = json.dumps(evaluation_json(evaluation, rows), indent=2, allow_nan=False) + "\n"
        write_text(evaluation.json, text)
    return rows


def evaluation_json(
    evaluation: SeparationEvaluation, rows: Sequence[SourceScores]
) -> dict[str, Any]:
    """Return the figures as plain JSON, schema 1 of docs/concepts/separation_metrics.md."""
    windows = evaluation.window_s if evaluation.bss == "v4" else None
    return {
        "schema": SCHEMA,
        "references": evaluation.references.name,
        "estimates": evaluation.estimates.name,
        "bss_eval": {
            "version": evaluation.bss,
            "window_s": windows,
            "hop_s": windows,
            "filter_taps": FILTER_LENGTH,
        },
        "sources": [asdict(row) for row in rows],
        "silent": sum(row.status == "silent" for row in rows),
        "unreadable": sum(row.status == "unreadable" for row in rows),
        "mean": {kind: _means(_of_kind(rows, kind, evaluation)) for kind in ("voices", "others")},
    }


def separation_table(evaluation: SeparationEvaluation, rows: Sequence[SourceScores]) -> str:
    """Return the figures as a table in plain text: a line a source, then the means."""
    names = [printable(f"{row.mixture}/{row.source}".removeprefix("./")) for row in rows]
    width = max(map(len, [*names, "mean of voices"]))
    how = f"BSS Eval {evaluation.bss}, {FILTER_LENGTH} taps, "
    how += "whole audio" if evaluation.bss == "v3" else f"windows of {evaluation.window_s:g} s"
    lines = [how + "; dB", _line("", dict(zip(SHOWN, SHOWN.values(), strict=True)), width)]
    for name, row in zip(names, rows, strict=True):
        if row.status == "ok":
            lines.append(_line(name, row.figures, width))
        else:
            lines.append(f"{name:<{width}}  {row.status}: {printable(row.detail)}")
    for kind in ("voices", "others"):
        chosen = _of_kind(rows, kind, evaluation)
        if chosen:
            lines.append(_line(f"mean of {kind}", _means(chosen), width) + f"  ({len(chosen)})")
    return "\n".join(lines)


def exit_code(rows: Sequence[SourceScores]) -> int:
    """0, or 12 where something was unreadable."""
    return UNREADABLE if any(row.status == "unreadable" for row in rows) else 0


def _line(name: str, figures: Mapping[str, Any], width: int) -> str:
    cells = []
    for key in SHOWN:
        value = figures[key]
        text = "-" if value is None else value if isinstance(value, str) else f"{value:.2f}"
        cells.append(f"{text:>8}")
    return f"{name:<{width}}" + "".join(cells)


def _of_kind(
    rows: Sequence[SourceScores], kind: str, evaluation: SeparationEvaluation
) -> list[SourceScores]:
    wanted = kind == "voices"
    return [r for r in rows if r.status == "ok" and _is_voice(r.source, evaluation) == wanted]


def _means(rows: Sequence[SourceScores]) -> dict[str, float | None]:
    """Return the mean of each figure over the sources that have it."""
    means: dict[str, float | None] = {}
    for name in SeparationScores._fields:
        known = [row.figures[name] for row in rows if row.figures[name] is not None]
        means[name] = float(np.mean(np.array(known, float))) if known else None
    return means


def _is_voice(name: str, evaluation: SeparationEvaluation) -> bool:
    return any(fnmatch(name.lower(), pattern.lower()) for pattern in evaluation.voices)


def _mixtures(folder: Path) -> dict[str, dict[str, Path]]:
    """Return the sources of each mixture by its folder's name, `.` for the folder itself."""
    found = {".": _sounds(folder)}
    for below in sorted(path for path in folder.iterdir() if path.is_dir()):
        found[below.name] = _sounds(below)
    return {name: sounds for name, sounds in found.items() if sounds}


def _sounds(folder: Path) -> dict[str, Path]:
    """Return the audio files in a folder by their names without the suffix."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    # Hidden ones are none: `._a.wav` is what a Mac leaves beside each a.wav.
    sounds = [p for p in paths if p.suffix.lower() in AUDIO_SUFFIXES and not p.name.startswith(".")]
    named = {path.stem: path for path in sounds}
    if len(named) < len(sounds):
        twice = next(path for path in sounds if named[path.stem] != path)
        raise ValueError(f"{folder} must hold one file a source, has two of {twice.stem}")
    return named


class _Unlike(Exception):
    """Sounds that do not belong together; says why."""


def _score_mixture(
    name: str,
    references: Mapping[str, Path],
    estimates: Mapping[str, Path],
    evaluation: SeparationEvaluation,
) -> Iterator[SourceScores]:
    wanted = [source for source in references if source in estimates and source != MIXTURE]
    true: dict[str, tuple[torch.Tensor, int]] = {}
    for source in wanted:
        try:
            # The references are read with the first estimate, and kept.
            true = true or {key: _read(path) for key, path in references.items()}
            sounds = {**true, "": _read(estimates[source])}
            yield _score_source(name, source, sounds, evaluation)
        except (UnreadableMedia, _Unlike) as error:
            yield SourceScores(name, source, "unreadable", str(error), {})


def _score_source(
    name: str,
    source: str,
    sounds: Mapping[str, tuple[torch.Tensor, int]],
    evaluation: SeparationEvaluation,
) -> SourceScores:
    """Score the estimate, which is called "" among the audio streams."""
    wav, rate = sounds[source]
    for key, (other, other_rate) in sounds.items():
        if (len(other), other_rate) != (len(wav), rate):
            what = f"reference {key}" if key else "the estimate"
            raise _Unlike(
                f"{what} is {len(other)} samples at {other_rate} Hz, "
                f"the reference {len(wav)} at {rate} Hz"
            )
    others = [key for key in sounds if key not in ("", source, MIXTURE)]
    among_voices = _is_voice(source, evaluation)
    second = [key for key in others if among_voices and _is_voice(key, evaluation)]
    music = [key for key in others if key not in second]
    window = round(evaluation.window_s * rate) if evaluation.bss == "v4" else None
    scores = score_sources(
        sounds[""][0][None],
        wav[None],
        _stacked(sounds, music),
        _stacked(sounds, second),
        sounds[MIXTURE][0][None] if MIXTURE in sounds else None,
        BssOptions(evaluation.bss, window, window),
    )
    figures = {key: _finite(float(value)) for key, value in scores._asdict().items()}
    if scores.silent():
        which = "the reference" if not wav.any() else "the estimate"
        return SourceScores(name, source, "silent", f"{which} is silent", figures)
    return SourceScores(name, source, "ok", "", figures)


def _stacked(
    sounds: Mapping[str, tuple[torch.Tensor, int]], names: Sequence[str]
) -> torch.Tensor | None:
    return torch.stack([sounds[name][0] for name in names])[None] if names else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _read(path: Path) -> tuple[torch.Tensor, int]:
    """Return a file's audio `(N,)`, mixed down to one channel, and its rate in Hz."""
    rate = header_sample_rate(path)
    blocks = list(read_audio(path, 0.0, None))
    if not blocks:
        raise UnreadableMedia("damaged", f"{path.name} holds no audio")
    return torch.from_numpy(np.concatenate(blocks)), rate
