"""Measure which scores of talking faces see which faults, and which move without a fault.

    python -m benchmarks.sync.score_ladder --shared ../shared [--clips 4] [--only FAULT...]
    python -m benchmarks.sync.score_ladder --write docs/concepts/score_ladder.md

True clips that were never trained on, other speakers of GRID and LRS3, get 12 faults at five
strengths, and changes of codec, crop and frame rate that do no harm. All are scored by
`avsync.pipelines.evaluate.score`, in every score that has a mean.

Spearman's rank correlation of a score with the strength, 0 for the true clip, is taken within each
clip and averaged over clips, with its bootstrap interval over clips; a score that does not change
has 0. Pooled over clips it would measure how clips differ. `answered` is 1 for a clip with an
offset. A harmless change is measured by the change of the mean, over clips that have the score
both times: of the true clips, and of the same clips delayed by 160 ms, since a change in percent
of an offset near 0 says nothing.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from avsync.evaluation.sync_accuracy import bootstrap_interval
from avsync.pipelines.evaluate.talking_scores import MEAN_SCORES, ClipScores, score
from benchmarks.clip_file import Clip, read_clip, write_clip
from benchmarks.markdown_tables import put_in, row
from benchmarks.record import machine, read_records, write_record
from benchmarks.sync.corruption_fixtures import read_music
from benchmarks.sync.score_ladder_fixtures import FAULTS, NEUTRAL, SEED, Donors, Fault, delayed

SOURCES = ("grid_other_speakers", "wild_lrs3")
RECORD = "sync/score_ladder"
SCORES = ("answered", *MEAN_SCORES)
# Clips that harmless changes are applied to, and the delay of their audio in ms.
BASES = {"true": 0.0, "delayed": 160.0}
# Levels with a score, of six, that a rank correlation needs.
LEAST_LEVELS = 4
# Scores by strength, and by name of the clip.
Levels = list[dict[str, dict[str, float]]]


def score_folder(folder: Path, references: Path | None = None) -> dict[str, dict[str, float]]:
    """Score the videos of a folder: known scores by name of the file and of the score."""
    rows = [scored for scored in score(folder, references).rows if not scored.true]
    return {scored.clip: known_scores(scored) for scored in rows}


def known_scores(scored: ClipScores) -> dict[str, float]:
    """Return the scores of a clip that are known, by name, `answered` among them."""
    values = {name: getattr(scored, name) for name in MEAN_SCORES}
    known = {name: float(value) for name, value in values.items() if value is not None}
    return {"answered": float(scored.status == "ok"), **known}


def measure_fault(
    fault: Fault, clips: list[Clip], donors: list[Donors], true: dict[str, dict[str, float]]
) -> Levels:
    """Score clips with a fault at all strengths; the first level are the true clips' scores."""
    with tempfile.TemporaryDirectory() as work:
        folder, references = Path(work) / "made", Path(work) / "true"
        folder.mkdir()
        references.mkdir()
        for clip, given in zip(clips, donors, strict=True):
            for level, strength in enumerate(fault.strengths, 1):
                name = f"{level}_{clip.name}.mkv"
                fault.write(folder / name, clip, strength, given)
                if fault.comparable:
                    write_clip(references / name, clip.frames, clip.wav)
        # Without references first: a face is then tracked in the faulty video, as a user's is.
        found = score_folder(folder)
        if fault.comparable:
            compared = score_folder(folder, references)
            found = {name: compared[name] | scores for name, scores in found.items()}
    levels = [
        {clip.name: found[f"{level}_{clip.name}"] for clip in clips}
        for level in range(1, 1 + len(fault.strengths))
    ]
    return [true, *levels]


def rank_correlations(levels: Levels, name: str) -> list[float]:
    """Return Spearman's correlation of a score with the strength, of clips with enough levels."""
    found = []
    for clip in levels[0]:
        pairs = [(k, level[clip][name]) for k, level in enumerate(levels) if name in level[clip]]
        if len(pairs) >= LEAST_LEVELS:
            strengths, values = (rankdata(column) for column in zip(*pairs, strict=True))
            # A score that does not change has no rank correlation: it does not see the fault.
            constant = np.ptp(values) == 0
            found.append(0.0 if constant else float(np.corrcoef(strengths, values)[0, 1]))
    return found


def fault_figures(levels: Levels) -> dict[str, Any]:
    """Return rank correlation, its interval, and the means by strength of all scores."""
    figures: dict[str, Any] = {}
    for name in SCORES:
        rho = rank_correlations(levels, name)
        known = [[clip[name] for clip in level.values() if name in clip] for level in levels]
        figures[name] = {
            "spearman": float(np.mean(rho)) if rho else None,
            "interval": list(bootstrap_interval(rho)) if rho else None,
            "clips": len(rho),
            "means": [float(np.mean(values)) if values else None for values in known],
            "known": [len(values) for values in known],
        }
    return figures


def change_figures(
    before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """Return the change of each score's mean, absolute and in percent of it, with its interval.

    Args:
        before: scores by clip and name.
        after: scores of the changed clips.
    """
    figures: dict[str, Any] = {}
    for name in SCORES:
        both = [clip for clip in before if name in before[clip] and name in after[clip]]
        if not both:
            continue
        mean = float(np.mean([before[clip][name] for clip in both]))
        changes = [after[clip][name] - before[clip][name] for clip in both]
        percent = 100 / abs(mean) if mean else None
        figures[name] = {
            "clips": len(both),
            "mean": mean,
            "change": float(np.mean(changes)),
            "largest": float(np.max(np.abs(changes))),
            "percent": None if percent is None else float(np.mean(changes)) * percent,
            "interval_percent": None
            if percent is None
            else [bound * percent for bound in bootstrap_interval(changes)],
        }
    return figures


def read_clips(shared: Path, count: int) -> tuple[list[Clip], list[Donors]]:
    """Read as many clips of each source, evenly spaced, and the donors of each.

    The speech is that of the next clip of the source, which is another speaker's.
    """
    clips, speech = [], []
    for source in SOURCES:
        paths = sorted((shared / "data" / source).iterdir())
        chosen = [paths[index] for index in np.arange(count) * len(paths) // count]
        found = [read_clip(path, source) for path in chosen]
        clips += found
        speech += [found[(index + 1) % count].wav for index in range(count)]
    music = islice(cycle(wav for _, wav in read_music(shared)), len(clips))
    return clips, [Donors(wav, other) for wav, other in zip(speech, music, strict=True)]


def score_true(clips: list[Clip]) -> dict[str, dict[str, float]]:
    """Score clips without a fault."""
    with tempfile.TemporaryDirectory() as work:
        for clip in clips:
            write_clip(Path(work) / f"{clip.name}.mkv", clip.frames, clip.wav)
        return score_folder(Path(work))


def measure_neutral(clips: list[Clip]) -> dict[str, Any]:
    """Score clips before and after each harmless change and return the changes by its name."""
    before = score_true(clips)
    found: dict[str, Any] = {}
    for change in NEUTRAL:
        with tempfile.TemporaryDirectory() as work:
            for clip in clips:
                change.write(Path(work) / clip.name, clip)
            figures = change_figures(before, score_folder(Path(work)))
        found[change.name] = {"kind": change.kind, "scores": figures}
        print(change.name, _short(figures), flush=True)
    return found


def _short(figures: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value['change']:+.3f} ({value['percent'] or 0:+.1f} %)"
        for name, value in figures.items()
    )


def ladder_table(faults: dict[str, Any]) -> list[str]:
    """Return the Markdown table of rank correlations, of half of the clips or more."""
    names = [name for name in SCORES if any(f["scores"][name]["spearman"] for f in faults.values())]
    lines = [row(["fault", *names]), row(["---"] * (1 + len(names)))]
    for fault, found in faults.items():
        cells = []
        for name in names:
            figures = found["scores"][name]
            # The few clips that keep an offset under a fault are the least affected ones.
            if 2 * figures["clips"] < found["scores"]["answered"]["clips"]:
                cells.append("")
                continue
            low, high = figures["interval"]
            cells.append(f"{figures['spearman']:z.2f} ({low:z.2f} to {high:z.2f})")
        lines.append(row([fault, *cells]))
    return lines


def means_table(faults: dict[str, Any]) -> list[str]:
    """Return the Markdown table of means: true clips, weakest, middle and strongest fault."""
    names = [name for name in SCORES if any(f["scores"][name]["spearman"] for f in faults.values())]
    lines = [row(["fault", "strengths", *names]), row(["---"] * (2 + len(names)))]
    for fault, found in faults.items():
        strengths = f"0, {', '.join(f'{value:g}' for value in found['strengths'][::2])}"
        cells = []
        for name in names:
            means = found["scores"][name]["means"]
            shown = [means[0], *means[1::2]]
            cells.append(" / ".join("-" if mean is None else f"{mean:.4g}" for mean in shown))
        lines.append(row([fault, f"{strengths} {found['unit']}", *cells]))
    return lines


def neutral_table(neutral: dict[str, Any]) -> list[str]:
    """Return the Markdown table of the changes of means, in percent of the mean."""
    names = [name for name in SCORES if any(name in f["scores"] for f in neutral.values())]
    lines = [row(["change", *names]), row(["---"] * (1 + len(names)))]
    for change, found in neutral.items():
        cells = []
        for name in names:
            figures = found["scores"].get(name)
            if figures is None:
                cells.append("")
            elif figures["percent"] is None:
                cells.append(f"{figures['change']:+z.2f}")
            else:
                low, high = figures["interval_percent"]
                cells.append(f"{figures['percent']:+z.1f} ({low:+z.1f} to {high:+z.1f})")
        lines.append(row([f"{found['kind']}: {change}", *cells]))
    return lines


def write_page(page: Path) -> None:
    """Put the tables of the record into a page."""
    (record,) = read_records("sync", "score_ladder")
    text = page.read_text(encoding="utf-8")
    for name, lines in (
        ("ladder", ladder_table(record["faults"])),
        ("ladder_means", means_table(record["faults"])),
        ("ladder_true", neutral_table(record["neutral"]["true"])),
        ("ladder_delayed", neutral_table(record["neutral"]["delayed"])),
    ):
        text = put_in(text, name, "\n".join(lines))
    page.write_text(text, encoding="utf-8")


def run(shared: Path, count: int, chosen: Sequence[str]) -> None:
    """Measure the chosen faults, or all and the harmless changes, and write the record."""
    started_s = time.process_time()
    clips, donors = read_clips(shared, count)
    true = score_true(clips)
    faults: dict[str, Any] = {}
    for fault in FAULTS:
        if chosen and fault.name not in chosen:
            continue
        figures = fault_figures(measure_fault(fault, clips, donors, true))
        faults[fault.name] = {"unit": fault.unit, "strengths": fault.strengths, "scores": figures}
        shown = {name: figures[name]["spearman"] for name in SCORES}
        print(fault.name, {name: rho and round(rho, 2) for name, rho in shown.items()}, flush=True)
    neutral: dict[str, Any] = {}
    for base, delay_ms in BASES.items():
        if not chosen:
            moved = [delayed(clip, delay_ms) if delay_ms else clip for clip in clips]
            neutral[base] = measure_neutral(moved)
    cpu_s = time.process_time() - started_s
    print(f"{cpu_s:.0f} CPU s", machine(), sep="\n")
    if not chosen:
        used = {source: [c.name for c in clips if c.speaker == source] for source in SOURCES}
        head = {"seed": SEED, "clips": used, "cpu_s": round(cpu_s), "true": true}
        write_record(RECORD, {**head, "faults": faults, "neutral": neutral})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--clips", type=int, default=4, help="of each source")
    parser.add_argument("--only", nargs="*", default=[], help="only print these faults")
    parser.add_argument("--write", type=Path, help="only write the tables of the record to a page")
    arguments = parser.parse_args()
    if arguments.clips < 2:
        parser.error("--clips must be 2 or more: each gets the voice of another")
    if arguments.write is not None:
        write_page(arguments.write)
    else:
        run(arguments.shared, arguments.clips, arguments.only)


if __name__ == "__main__":
    main()
