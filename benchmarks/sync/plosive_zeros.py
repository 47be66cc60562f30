"""Measure where the zero of many sources lies, from lip closures, without a sync model or words.

    python benchmarks/sync/plosive_zeros.py --stores people grid_s1 grid_other_speakers wild_lrs3
        --people ../shared/data/people/people.tsv --cache FOLDER

`--stores` are made by `avsync prepare --crops mesh`. A clip's source is the page it comes from and
its corpus if people.tsv lists it, otherwise the name of the store's folder. Landmarks are computed
once and kept in `--cache`. `closure_matching` describes the estimate; a second one uses every
movement of the lips, not only closures.

Checked are: rendered clips (true offset 0), the largest source with its audio moved by known times,
other settings, and how often the interval of few of its clips holds the estimate of all of them.
Offsets are in ms, positive = the audio leads; a frame counts as the middle of the time it is shown.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm, t

from avsync.data.cache.mouths import MouthCache
from avsync.data.store.reader import Store, clip_folder
from avsync.synthetic.clip import render
from avsync.timing import SAMPLE_RATE
from benchmarks.record import write_record
from benchmarks.sync.closure_matching import (
    CLOSED_SHARE,
    MAX_OFFSET_MS,
    ClipEvidence,
    bootstrap_offsets,
    gather_evidence,
    inner_lip_gap,
    offset_of,
)
from benchmarks.sync.people_tables import Person, read_people

MOUTH_SIZE = 64
# A bootstrap of few clips is too narrow. Its central 95 %, widened like a 90 % interval of
# Student's t for as many people (or clips of one person), should hold the truth in 90 % or more.
DRAWS, SEED, PERCENTILES = 200, 0, (2.5, 97.5)
# Half width of what clips and people do not average out: the error on rendered clips, and how far
# the threshold of closed lips moves the estimate. Added in squares.
SYSTEMATIC_MS = 8.0
MIN_CLIPS, MIN_CLOSURES = 4, 10
# Wider intervals hold more than one peak.
CLEAR_MS = 60.0
SHARES, MOVED_MS, SUBSETS = (0.15, 0.35), (-80, 33, 80), (4, 6, 10, 15, 25)
TRIALS = 100


class MeasuredClip(NamedTuple):
    """A clip of a source: gap of the lips `(T,)`, audio `(N,)` at 16 kHz, answer of a model."""

    id: str
    source: str
    person: str
    gap: np.ndarray
    wav: np.ndarray
    model_ms: float | None = None

    def evidence(self, share: float = CLOSED_SHARE) -> ClipEvidence:
        return gather_evidence(self.id, self.person, self.gap, self.wav, share)


def source_of(file: str, person: Person | None, store: str) -> str:
    """Name the source of a file: `PAGE/CORPUS`, or the store if the person is not known."""
    return f"{file.partition('__')[0]}/{person.speaker.partition(':')[0]}" if person else store


def read_clips(
    folders: Iterable[Path],
    people: dict[str, Person],
    one_person: Sequence[str],
    cache: MouthCache,
) -> Iterator[MeasuredClip]:
    """Read the clips of stores; clips without a mesh are reported and left out."""
    for folder in folders:
        store = Store(folder)
        for row in store.rows:
            crops = str(clip_folder(store.path, row.id) / "mesh.npy")
            try:
                cache.fill([crops])
            except ValueError as error:
                print(error)
                continue
            file = row.source.rpartition("/")[2]
            person, gap = people.get(file), inner_lip_gap(cache.landmarks(crops, 0, row.frames))
            wav = np.array(store[row.id].wav_16k)
            # Where nothing is known, each clip counts as a person.
            unlisted = folder.name if folder.name in one_person else row.id
            name = person.speaker if person else unlisted
            model_ms = person.offset_ms if person else None
            source = source_of(file, person, folder.name)
            yield MeasuredClip(row.id, source, name, gap, wav, model_ms)


def estimate(clips: Sequence[ClipEvidence], kind: str = "both") -> dict[str, Any]:
    """Estimate the offset of clips, with its 90 % interval, from `both` edges or `movement`."""
    evidence = np.array([getattr(clip, kind) for clip in clips])
    drawn = bootstrap_offsets(evidence, [clip.person for clip in clips], DRAWS, SEED)
    zero_ms = offset_of(evidence.sum(0))
    units = len({clip.person for clip in clips})
    units = max(2, len(clips) if units == 1 else units)
    wider = t.ppf(0.95, units - 1) / norm.ppf(0.95) * np.sqrt(units / (units - 1))
    low, high = np.percentile(drawn, PERCENTILES)
    # No offset beyond the range was searched for.
    low = max(-MAX_OFFSET_MS, zero_ms - wider * max(0.0, zero_ms - low))
    high = min(MAX_OFFSET_MS, zero_ms + wider * max(0.0, high - zero_ms))
    return {
        "zero_ms": round(zero_ms, 1),
        "interval_ms": [
            round(float(zero_ms - np.hypot(zero_ms - low, SYSTEMATIC_MS)), 1),
            round(float(zero_ms + np.hypot(high - zero_ms, SYSTEMATIC_MS)), 1),
        ],
        "sampling_ms": [round(float(low), 1), round(float(high), 1)],
    }


def summarise(clips: Sequence[MeasuredClip], found: Sequence[ClipEvidence]) -> dict[str, Any]:
    """Compute the figures of one source from its clips and their evidence."""
    useful = [clip for clip in found if clip.closures]
    model = [clip.model_ms for clip in clips if clip.model_ms is not None]
    closures = estimate(useful)
    low, high = closures["interval_ms"]
    return {
        "closures": sum(clip.closures for clip in found),
        "clips": len(useful),
        "people": len({clip.person for clip in useful}),
        **closures,
        "clear": high - low < CLEAR_MS,
        "parting_ms": round(offset_of(sum_of(useful, "parting")), 1),
        "closing_ms": round(offset_of(sum_of(useful, "closing")), 1),
        "movement": estimate(found, "movement"),
        "model_median_ms": float(np.median(model)) if model else None,
        "model_clips": len(model),
    }


def sum_of(clips: Sequence[ClipEvidence], kind: str) -> np.ndarray:
    return np.sum([getattr(clip, kind) for clip in clips], axis=0)


def moved_by_model(clips: Sequence[MeasuredClip]) -> dict[str, Any] | None:
    """Estimate where a model's zero lies: the offset that is left when its answers are removed."""
    sure = [clip for clip in clips if clip.model_ms is not None]
    found = [moved_audio(clip, -round(clip.model_ms or 0.0)).evidence() for clip in sure]
    useful = [clip for clip in found if clip.closures]
    if len(useful) < MIN_CLIPS:
        return None
    return {
        "closures": sum(clip.closures for clip in useful),
        "clips": len(useful),
        "people": len({clip.person for clip in useful}),
        **estimate(useful),
        "movement": estimate(found, "movement"),
    }


def rendered_clips(count: int) -> Iterator[MeasuredClip]:
    """Render clips with offset 0; the opening of the lips is the one that was drawn."""
    for seed in range(count):
        clip = render(seed=seed, size=(64, 64), sample_rate=SAMPLE_RATE)
        gap = clip.aperture_mm[0].astype(np.float64)
        yield MeasuredClip(str(seed), "rendered", str(seed), gap, clip.wav)


def moved_audio(clip: MeasuredClip, lead_ms: int) -> MeasuredClip:
    """Move a clip's audio to lead by more; its ends are filled with silence."""
    samples = lead_ms * SAMPLE_RATE // 1000
    wav = np.roll(clip.wav, -samples)
    gone = slice(len(wav) - samples, None) if samples > 0 else slice(0, -samples)
    wav[gone] = 0
    return clip._replace(wav=wav)


def check_settings(clips: Sequence[MeasuredClip]) -> dict[str, Any]:
    """Estimate with other thresholds of closed lips."""
    return {
        f"closed_share_{share}": estimate([e for c in clips if (e := c.evidence(share)).closures])
        for share in SHARES
    }


def check_moved(clips: Sequence[MeasuredClip]) -> dict[str, Any]:
    """Estimate with the audio moved by known times."""
    return {
        f"{lead_ms:+d}": estimate(
            [e for c in clips if (e := moved_audio(c, lead_ms).evidence()).closures]
        )
        for lead_ms in MOVED_MS
    }


def check_coverage(clips: Sequence[ClipEvidence], kind: str) -> dict[str, Any]:
    """Count how often intervals of few clips hold the estimate of all: of 90 % they should."""
    truth, rng = offset_of(sum_of(clips, kind)), np.random.default_rng(SEED)
    table = {}
    for size in SUBSETS:
        if 3 * size > len(clips):
            continue
        tries = [
            estimate([clips[i] for i in rng.choice(len(clips), size, replace=False)], kind)
            for _ in range(TRIALS)
        ]
        found = np.array([tried["zero_ms"] for tried in tries])
        held = {
            name: np.mean([tried[key][0] <= truth <= tried[key][1] for tried in tries])
            for name, key in (("sampling", "sampling_ms"), ("whole", "interval_ms"))
        }
        table[str(size)] = {
            "held_by_sampling_interval": round(float(held["sampling"]), 2),
            "held_by_whole_interval": round(float(held["whole"]), 2),
            "sd_ms": round(float(found.std()), 1),
            "mean_error_ms": round(float(found.mean() - truth), 1),
        }
    return table


def corpus_of(source: str) -> str:
    """Return the corpus of a source, by which pages are pooled: GRID, LRS3 or another."""
    return next((corpus for corpus in ("grid", "lrs3") if corpus in source), "other")


def run_checks(
    clips: Sequence[MeasuredClip],
    found: Sequence[ClipEvidence],
    others: Sequence[ClipEvidence],
    rendered: int,
) -> dict[str, Any]:
    """Run all checks on rendered clips, those of the largest source, and those of many people."""
    drawn = list(rendered_clips(rendered))
    return {
        "rendered_with_zero_offset": summarise(drawn, [clip.evidence() for clip in drawn]),
        "rendered_settings": check_settings(drawn),
        "settings": check_settings(clips),
        "audio_moved_by_ms": check_moved(clips),
        "coverage": check_coverage([clip for clip in found if clip.closures], "both"),
        "coverage_of_movement": check_coverage(found, "movement"),
        "coverage_across_people": check_coverage(others, "both"),
    }


def show(name: str, row: dict[str, Any]) -> None:
    """Print one row of the table."""
    low, high = row["interval_ms"]
    move, model = row["movement"], row["model_median_ms"]
    print(
        f"{name:36} {row['closures']:4} closures {row['clips']:3} clips {row['people']:3} people  "
        f"{row['zero_ms']:+6.1f} ({low:+6.1f} to {high:+6.1f}){' ' if row['clear'] else '?'}  "
        f"movement {move['zero_ms']:+6.1f} ({move['interval_ms'][0]:+6.1f} to "
        f"{move['interval_ms'][1]:+6.1f})  model {'' if model is None else f'{model:+.0f}'}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stores", type=Path, nargs="+", required=True)
    parser.add_argument("--people", type=Path, help="people.tsv")
    parser.add_argument("--one-person", nargs="*", default=["grid_s1"], help="stores of one person")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the landmarks")
    parser.add_argument("--rendered", type=int, default=20, help="number of rendered clips")
    args = parser.parse_args()
    people = {p.file: p for p in read_people(args.people)} if args.people else {}
    cache = MouthCache(args.cache, MOUTH_SIZE)
    clips: dict[str, list[MeasuredClip]] = {}
    for clip in read_clips(args.stores, people, args.one_person, cache):
        clips.setdefault(clip.source, []).append(clip)
    if not clips:
        raise SystemExit("the stores hold no clip with a face")
    largest = max(clips, key=lambda name: len(clips[name]))
    found = {name: [clip.evidence() for clip in of_one] for name, of_one in clips.items()}
    sources, corpora, model_zero = {}, {}, {}
    for name in sorted(clips):
        useful = [clip.closures for clip in found[name] if clip.closures]
        if len(useful) >= MIN_CLIPS and sum(useful) >= MIN_CLOSURES:
            sources[name] = summarise(clips[name], found[name])
            show(name, sources[name])
    for corpus in ("grid", "lrs3", "other"):
        names = [name for name in clips if corpus_of(name) == corpus and name != largest]
        pooled = [clip for name in names for clip in clips[name]]
        evidence = [clip for name in names for clip in found[name]]
        if corpus != "other" and any(clip.closures for clip in evidence):
            corpora[corpus] = summarise(pooled, evidence)
            show(f"all of {corpus}", corpora[corpus])
        if (zero := moved_by_model(pooled)) is not None:
            model_zero[corpus] = zero
            print(f"zero of the model on {corpus}: {zero}")
    many = [clip for name in found if corpus_of(name) == "lrs3" for clip in found[name]]
    many = [clip for clip in many if clip.closures]
    checks = run_checks(clips[largest], found[largest], many, args.rendered)
    write_record(
        "sync/plosive_zeros",
        {
            "sign": "positive = the audio leads",
            "convention": "a frame counts as the middle of the time it is shown",
            "interval": "90 %: people and clips drawn with replacement, and the systematic part",
            "systematic_ms": SYSTEMATIC_MS,
            "largest_source": largest,
            "sources": sources,
            "pages_of_a_corpus_together": corpora,
            "offset_after_moving_by_the_model": model_zero,
            "checks": checks,
        },
    )


if __name__ == "__main__":
    main()
