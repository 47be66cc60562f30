"""Score separated voices against the true ones: `avsync evaluate separation`."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import tyro

from avsync.data.corpora.audio_files import AUDIO_SUFFIXES
from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia
from avsync.media.probe import header_sample_rate
from avsync.metrics.bss_eval import FILTER_LENGTH
from avsync.metrics.separation import BssOptions, SeparationScores, score_sources
from avsync.outputs import JSON_OUTPUT, check_output, write_output
from avsync.pipelines.check.messages import UNREADABLE, printable
from avsync.pipelines.progress import progress_bar

SCHEMA = 1
# Name of the mixture among the references, and key of the estimate among the waveforms.
MIXTURE, ESTIMATE = "mixture", ""
VOICES = ("voice*", "target*", "second*", "vocals*", "singer*", "speaker*")
WINDOW_S = 1.0
# Figures that the table has, and the headings of their columns.
COLUMNS = {
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
    """Options to score separated audio: SDR, SIR, SAR, SI-SDR and gains over the mixture.

    Both folders hold one audio file per source, or one folder of them per mixture; a source has
    the same name in both, whatever its suffix. A reference named `mixture` is the mixture; without
    it the mixture is the sum of the references. Audio is mixed down to one channel.

    Args:
        references: folder of the true sources, all those of a mixture.
        estimates: folder of the separated sources; those without a reference are ignored.
        voices: name patterns of the sources that are voices. The published SIR leaves other voices
            out of the references (SIR), the fairer one does not (SIR+2nd).
        bss: version of BSS Eval: v3 scores the whole audio, v4 takes the median over windows.
        window_s: length and hop of the windows of v4, in seconds.
        json: write the figures to this file.
        overwrite: let `json` replace a file that avsync did not write.
    """

    references: Path
    estimates: Path
    voices: tuple[str, ...] = VOICES
    bss: Literal["v3", "v4"] = "v3"
    window_s: float = WINDOW_S
    json: Path | None = None
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False

    def __post_init__(self) -> None:
        for name, folder in (("references", self.references), ("estimates", self.estimates)):
            if not folder.is_dir():
                raise ValueError(f"{name} must be a folder, got {folder}")
        if self.bss not in ("v3", "v4"):
            raise ValueError(f"bss must be v3 or v4, got {self.bss!r}")
        if not 0 < self.window_s < math.inf:
            raise ValueError(f"window_s must be positive, got {self.window_s}")

    def is_voice(self, name: str) -> bool:
        """Return whether the source of this name is a voice."""
        return any(fnmatch(name.lower(), pattern.lower()) for pattern in self.voices)


@dataclass(frozen=True)
class SourceScores:
    """Scores of one source of one mixture.

    Args:
        mixture: name of the mixture's folder, `.` for the folder of references itself.
        source: name of the source.
        status: `ok`; `silent` if the source or its estimate is silent; `unreadable` if they cannot
            be scored, without figures.
        detail: the reason for a status other than `ok`.
        figures: figures in dB, named as in `SeparationScores`; None where undefined.
    """

    mixture: str
    source: str
    status: Literal["ok", "silent", "unreadable"]
    detail: str
    figures: dict[str, float | None]


def evaluate_separation(evaluation: SeparationEvaluation) -> list[SourceScores]:
    """Score every source that has an estimate.

    A file that cannot be read, or has another length or sample rate, becomes a result with status
    `unreadable`. The figures are also written to `evaluation.json` if that is given.

    Raises:
        ValueError: there is nothing to score.
    """
    mixtures = _find_mixtures(evaluation.references)
    folders = {name: _audio_files(evaluation.estimates / name) for name in mixtures}
    inputs = [path for files in (*mixtures.values(), *folders.values()) for path in files.values()]
    if evaluation.json is not None:
        check_output(evaluation.json, JSON_OUTPUT, inputs, overwrite=evaluation.overwrite)
    rows: list[SourceScores] = []
    with progress_bar("evaluating") as report:
        for number, (name, references) in enumerate(mixtures.items(), start=1):
            rows += _score_mixture(name, references, folders[name], evaluation)
            report(number / len(mixtures))
    if not rows:
        raise ValueError(
            f"{evaluation.references} and {evaluation.estimates} must hold audio files of the same "
            "names, as in REFERENCES/voice_0.wav and ESTIMATES/voice_0.wav"
        )
    if evaluation.json is not None:
        text = json.dumps(evaluation_json(evaluation, rows), indent=2, allow_nan=False) + "\n"
        write_output(evaluation.json, text, JSON_OUTPUT, inputs, overwrite=evaluation.overwrite)
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
    """Format the figures as a plain-text table: one line per source, then the means."""
    names = [printable(f"{row.mixture}/{row.source}".removeprefix("./")) for row in rows]
    width = max(map(len, [*names, "mean of voices"]))
    title = f"BSS Eval {evaluation.bss}, {FILTER_LENGTH} taps, "
    title += "whole audio" if evaluation.bss == "v3" else f"windows of {evaluation.window_s:g} s"
    lines = [title + "; dB", " " * width + "".join(f"{head:>8}" for head in COLUMNS.values())]
    for name, row in zip(names, rows, strict=True):
        if row.status == "ok":
            lines.append(_table_line(name, row.figures, width))
        else:
            lines.append(f"{name:<{width}}  {row.status}: {printable(row.detail)}")
    for kind in ("voices", "others"):
        chosen = _of_kind(rows, kind, evaluation)
        if chosen:
            lines.append(_table_line(f"mean of {kind}", _means(chosen), width))
            lines[-1] += f"  ({len(chosen)})"
    return "\n".join(lines)


def separation_exit_code(rows: Sequence[SourceScores]) -> int:
    """Return 12 if any source was unreadable, else 0."""
    return UNREADABLE if any(row.status == "unreadable" for row in rows) else 0


def _table_line(name: str, figures: Mapping[str, float | None], width: int) -> str:
    values = [figures[key] for key in COLUMNS]
    cells = ["-" if value is None else f"{value:.2f}" for value in values]
    return f"{name:<{width}}" + "".join(f"{cell:>8}" for cell in cells)


def _of_kind(
    rows: Sequence[SourceScores], kind: str, evaluation: SeparationEvaluation
) -> list[SourceScores]:
    wanted = kind == "voices"
    return [r for r in rows if r.status == "ok" and evaluation.is_voice(r.source) == wanted]


def _means(rows: Sequence[SourceScores]) -> dict[str, float | None]:
    """Return the mean of each figure over the sources that have it."""
    means: dict[str, float | None] = {}
    for name in SeparationScores._fields:
        known = [row.figures[name] for row in rows if row.figures[name] is not None]
        means[name] = float(np.mean(np.array(known, float))) if known else None
    return means


def _find_mixtures(folder: Path) -> dict[str, dict[str, Path]]:
    """Return the sources of each mixture by its folder's name, `.` for the folder itself."""
    found = {".": _audio_files(folder)}
    for below in sorted(path for path in folder.iterdir() if path.is_dir()):
        found[below.name] = _audio_files(below)
    return {name: files for name, files in found.items() if files}


def _audio_files(folder: Path) -> dict[str, Path]:
    """Return the audio files in a folder by their names without the suffix."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    # Hidden files are no audio: macOS leaves `._a.wav` beside each a.wav.
    files = [p for p in paths if p.suffix.lower() in AUDIO_SUFFIXES and not p.name.startswith(".")]
    named = {path.stem: path for path in files}
    if len(named) < len(files):
        twice = next(path for path in files if named[path.stem] != path)
        raise ValueError(f"{folder} must hold one file a source, has two of {twice.stem}")
    return named


class _Waveform(NamedTuple):
    """Mono audio `(N,)` and its sample rate in Hz."""

    wav: torch.Tensor
    sample_rate: int


class _AudioMismatch(Exception):
    """Waveforms of one mixture differ in length or sample rate."""


def _score_mixture(
    name: str,
    references: Mapping[str, Path],
    estimates: Mapping[str, Path],
    evaluation: SeparationEvaluation,
) -> Iterator[SourceScores]:
    wanted = [source for source in references if source in estimates and source != MIXTURE]
    true: dict[str, _Waveform] = {}
    for source in wanted:
        try:
            # The references are read with the first estimate, and kept.
            true = true or {key: _read_waveform(path) for key, path in references.items()}
            waveforms = {**true, ESTIMATE: _read_waveform(estimates[source])}
            yield _score_source(name, source, waveforms, evaluation)
        except (UnreadableMedia, _AudioMismatch) as error:
            yield SourceScores(name, source, "unreadable", str(error), {})


def _score_source(
    name: str,
    source: str,
    waveforms: Mapping[str, _Waveform],
    evaluation: SeparationEvaluation,
) -> SourceScores:
    """Score the waveform at key `ESTIMATE` against that of the source."""
    wav, rate = waveforms[source]
    for key, (other, other_rate) in waveforms.items():
        if (len(other), other_rate) != (len(wav), rate):
            what = "the estimate" if key == ESTIMATE else f"reference {key}"
            raise _AudioMismatch(
                f"{what} is {len(other)} samples at {other_rate} Hz, "
                f"the reference {len(wav)} at {rate} Hz"
            )
    others = [key for key in waveforms if key not in (ESTIMATE, source, MIXTURE)]
    among_voices = evaluation.is_voice(source)
    second = [key for key in others if among_voices and evaluation.is_voice(key)]
    music = [key for key in others if key not in second]
    window = round(evaluation.window_s * rate) if evaluation.bss == "v4" else None
    scores = score_sources(
        waveforms[ESTIMATE].wav[None],
        wav[None],
        _stack(waveforms, music),
        _stack(waveforms, second),
        waveforms[MIXTURE].wav[None] if MIXTURE in waveforms else None,
        BssOptions(evaluation.bss, window, window),
    )
    figures = {key: _finite(float(value)) for key, value in scores._asdict().items()}
    if scores.silent():
        which = "the reference" if not wav.any() else "the estimate"
        return SourceScores(name, source, "silent", f"{which} is silent", figures)
    return SourceScores(name, source, "ok", "", figures)


def _stack(waveforms: Mapping[str, _Waveform], names: Sequence[str]) -> torch.Tensor | None:
    return torch.stack([waveforms[name].wav for name in names])[None] if names else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _read_waveform(path: Path) -> _Waveform:
    """Read the audio of a file, mixed down to one channel, at its own sample rate."""
    rate = header_sample_rate(path)
    blocks = list(read_audio(path, 0.0, None))
    if not blocks:
        raise UnreadableMedia("damaged", f"{path.name} holds no audio")
    return _Waveform(torch.from_numpy(np.concatenate(blocks)), rate)
