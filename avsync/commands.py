"""The sub-commands of `avsync` as functions whose arguments are the command line.

Each returns the exit code. What they do is imported inside them: torch takes seconds to load, and
help must not.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from avsync.registry import model_row
from avsync.timing import DEFAULT_PROFILE, tolerance

Files = Annotated[list[Path], tyro.conf.Positional, tyro.conf.arg(metavar="FILE...")]
File = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
Sources = Annotated[list[Path], tyro.conf.Positional, tyro.conf.arg(metavar="FILE|STORE...")]
StorePath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
Name = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
Lists = Annotated[tuple[str, ...], tyro.conf.arg(name="list", metavar="FILE...")]
Output = Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="PATH")]
JsonPath = Annotated[str | None, tyro.conf.arg(metavar="PATH|-")]
OutputPath = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]
Detector = Literal["best", "yunet", "haar"]
Flag = tyro.conf.FlagCreatePairsOff[bool]


def check(
    files: Files,
    /,
    profile: str = DEFAULT_PROFILE,
    model: str = "dense_sync",
    weights: OutputPath = None,
    search: float = 1.0,
    detector: Detector = "best",
    workers: int = 0,
    json: JsonPath = None,
    jsonl: OutputPath = None,
    resume: Flag = False,
    csv: OutputPath = None,
    html: OutputPath = None,
    worst: int = 5,
) -> int:
    """Say where the voice is against the lips, one line per file, and sum up a batch.

    Exit code: 0 in tolerance, 10 out of tolerance, 11 cannot tell, 12 unreadable; the worst of all.

    Args:
        files: videos, patterns, or folders, which stand for the videos in and below them.
        profile: what is tolerated: ebu, itu, itu-acceptable, atsc or film.
        model: a name that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        search: seconds searched either way.
        detector: the face detector; `best` is YuNet where it can be had.
        workers: processes that check a file each; a file that crashes one costs only itself.
        json: write the results here as JSON; `-` prints the JSON and nothing else.
        jsonl: write one line of JSON per file here, each as soon as it is checked.
        resume: go on with what is in the --jsonl file; what has changed is checked again.
        csv: write the results here as a table.
        html: write one report page for all files here.
        worst: how many files the summary of a batch names.
    """
    tolerance(profile)
    model_row(model)
    if not files:
        raise ValueError("say which FILE to check")
    if resume and jsonl is None:
        raise ValueError("--resume goes on with the results in a file: name it with --jsonl PATH")
    from avsync.pipelines import tables, words
    from avsync.pipelines.batch import check_files

    results = []
    found = check_files(
        files,
        model=model,
        weights=weights,
        profile=profile,
        search_s=search,
        detector=_named(detector),
        workers=workers,
        results=jsonl,
        resume=resume,
    )
    try:
        for result in found:
            # Of ten thousand files only what is written in the end is kept.
            results.append(result if json or html else replace(result, tracks=()))
            if json != "-":
                _say(words.sentence(result))
    except KeyboardInterrupt:
        if jsonl is not None:
            print(f"avsync: what is done is in {jsonl}; --resume goes on", file=sys.stderr)
        raise
    if json != "-" and len(results) > 1:
        from avsync.pipelines.summary import summary

        _say("\n".join(["", *summary(results, worst)]))
    if json == "-":
        sys.stdout.write(tables.json_text(results))
    elif json is not None:
        tables.write_json(results, json)
    if csv is not None:
        tables.write_csv(results, csv)
    if html is not None:
        from avsync.pipelines.report import write_report

        write_report(results, html)
    return words.worst(results)


def fix(
    file: File,
    /,
    output: Output,
    profile: str = DEFAULT_PROFILE,
    model: str = "dense_sync",
    weights: OutputPath = None,
    search: float = 1.0,
    detector: Detector = "best",
    min_confidence: float | None = None,
    force: Flag = False,
    dry_run: Flag = False,
    overwrite: Flag = False,
) -> int:
    """Move the sound to the lips and measure the result.

    A constant offset is repaired without re-encoding. A sound that drifts is resampled, one that
    jumps is moved piece by piece; both are encoded as they were. Refuses where the offset is
    unsure, comes and goes, or would not get smaller. The input is never overwritten.

    Args:
        file: a video.
        output: the corrected file.
        profile: what is tolerated: ebu, itu, itu-acceptable, atsc or film.
        model: a name that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        search: seconds searched either way.
        detector: the face detector; `best` is YuNet where it can be had.
        min_confidence: refuse below this confidence; 0.8 where it is not given.
        force: write even so.
        dry_run: say what would be done, and write nothing.
        overwrite: replace a file that is there.
    """
    tolerance(profile)
    model_row(model)
    from avsync.pipelines import words
    from avsync.pipelines.fix import FixRefused
    from avsync.pipelines.fix import fix as run
    from avsync.pipelines.progress import progress_bar

    with progress_bar(words.printable(file.name)) as progress:
        try:
            done = run(
                file,
                output,
                model=model,
                weights=weights,
                profile=profile,
                search_s=search,
                detector=_named(detector),
                min_confidence=min_confidence,
                force=force,
                dry_run=dry_run,
                overwrite=overwrite,
                progress=progress,
            )
        except FixRefused as refusal:
            _say(f"before  {words.sentence(refusal.before)}")
            if refusal.after is not None:
                _say(f"after   {words.sentence(refusal.after)}")
            print(f"avsync: {refusal}", file=sys.stderr)
            return max(words.CANNOT_TELL, words.exit_code(refusal.before))
    _say(f"before  {words.sentence(done.before)}")
    _say(words.printable(done.repair.sentence(would=dry_run)))
    if done.after is not None:
        _say(f"after   {words.sentence(done.after)}")
    return words.exit_code(done.after or done.before)


def models() -> int:
    """List the models: what they were trained on, their licence, what was measured."""
    from avsync.registry import list_models

    for row in list_models():
        print(f"{row.name}: {row.summary}")
        print(f"  trained on  {row.trained_on}")
        print(f"  licence     {row.licence}")
        print(f"  measured    {row.measured}")
    return 0


def convert(
    name: Name,
    file: File,
    /,
    output: Output,
    window_frames: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    overwrite: Flag = False,
) -> int:
    """Bring the published weights of another project: its checkpoint in, safetensors out.

    Nothing in the file is run. The config is written beside the output, as .json.

    Args:
        name: the model: vocalist, mtdvocalist, syncnet or lip_expert.
        file: the checkpoint as its authors published it.
        output: the weights, a file that ends in .safetensors.
        window_frames: frames that vocalist or mtdvocalist was trained on; 5 where it is not given.
        overwrite: replace files that are there.
    """
    from avsync.pipelines.convert import convert_file

    convert_file(name, file, output, window_frames, overwrite=overwrite, say=_say)
    return 0


def prepare(
    folder: Folder,
    /,
    output: Output,
    layout: Literal["folder", "lrs2", "acappella"] = "folder",
    lists: Lists = (),
    crops: tuple[Literal["head"], ...] = (),
    detector: Detector = "best",
    workers: int = 1,
    min_face_px: float = 32.0,
    min_duration_s: float = 1.0,
) -> int:
    """Turn a folder of videos into a store of clips for training; run again to resume.

    What is rejected, and why, is in rejected.csv in the store.

    Args:
        folder: searched with the folders below it.
        output: the store, a folder.
        layout: a folder of videos, or a corpus as it is distributed; its lists say which videos
            count, and the store gets a splits.json.
        lists: lists of that corpus, files or names in the folder; all there are if not given.
        crops: crops besides face and mouth: head, 224 x 224 pixels, for syncnet; 226 MB a minute.
        detector: the face detector; `best` is YuNet where it can be had.
        workers: processes.
        min_face_px: narrower faces are rejected, in pixels of the source.
        min_duration_s: shorter tracks are rejected.
    """
    from avsync.pipelines.prepare import prepare as run

    done = run(
        folder,
        output,
        layout=layout,
        lists=lists,
        crops=crops,
        detector=_named(detector),
        workers=workers,
        min_face_px=min_face_px,
        min_duration_s=min_duration_s,
    )
    _say(done.describe())
    return 0


def features(
    sources: Sources,
    /,
    output: Output,
    model: str = "dense_sync",
    weights: OutputPath = None,
    stream: Literal["video", "audio"] = "video",
    layer: str = "",
    detector: Detector = "best",
) -> int:
    """Write a model's features of videos or stores, 25 a second, as safetensors; resumes.

    Each file holds `features` and `times_s`, the middles of their windows. index.jsonl lists the
    files, and what is wrong with a source that has none.

    Args:
        sources: videos, folders of videos, or stores of prepared clips.
        output: folder for the files.
        model: a name that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        stream: of the faces, or of the sound.
        layer: a module of the model by its dotted name, whose output is taken; without it, the
            vectors that the model compares.
        detector: the face detector; `best` is YuNet where it can be had.
    """
    model_row(model)
    if not sources:
        raise ValueError("say which FILE or STORE to take features of")
    from avsync.pipelines import words
    from avsync.pipelines.extract import extract

    done = extract(
        sources,
        output,
        model=model,
        weights=weights,
        stream=stream,
        layer=layer,
        detector=_named(detector),
        say=lambda each: _say(words.printable(f"{each.source}: {each.describe()}")),
    )
    return words.UNREADABLE if any(each.problem for each in done) else 0


def audit(
    store: StorePath,
    /,
    splits: OutputPath = None,
    split: str = "train",
    clips: int = 200,
    measured: int = 30,
    model: str = "dense_sync",
    weights: OutputPath = None,
    zero_ms: float = 0.0,
    clean: OutputPath = None,
    move: bool = True,
) -> int:
    """Say what is in a store before a model is trained on it, and what training will suffer from.

    Lengths, faces, pictures a second, silence, duplicates, speakers, offsets. Nothing is changed.

    Args:
        store: a store of prepared clips.
        splits: JSON file of clip names by split.
        split: a key of that file.
        clips: how many clips are opened, evenly spread; 0 for all.
        measured: how many of them a model measures the offset of; 0 for none.
        model: a name that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        zero_ms: offset that all clips are known to have; positive = the audio leads.
        clean: measure every clip and write a table here that says which are dropped or moved, to be
            given to `avsync train` as --clean.
        move: move clips that are surely off by that table; otherwise they are dropped.
    """
    model_row(model)
    from avsync.pipelines.audit import audit as look
    from avsync.pipelines.progress import progress_bar

    with progress_bar(f"looking at {store.name}") as progress:
        found = look(
            store,
            splits=splits,
            split=split,
            clips=clips,
            measured=measured,
            model=model,
            weights=weights,
            zero_ms=zero_ms,
            clean=clean,
            move=move,
            progress=progress,
        )
    _say("\n".join(found.lines()))
    if clean is not None:
        _say(f"what becomes of each clip is in {clean}")
    return 0


def demo(folder: Folder = Path("avsync-demo"), /) -> int:
    """Render a talking face, shift its sound, then find and repair that. Works offline.

    Args:
        folder: where the clips and the report page go.
    """
    from avsync.pipelines.demo import demo as run

    return 0 if run(folder, say=_say).found else 1


def doctor() -> int:
    """Say what is installed, which device and which face detector are used."""
    from avsync.pipelines.doctor import doctor as look

    findings = look()
    width = max(len(finding.topic) for finding in findings)
    for finding in findings:
        sign = {True: "ok", False: "!!", None: "  "}[finding.ok]
        print(f"{sign} {finding.topic:<{width}}  {finding.text}")
    return 1 if any(finding.ok is False for finding in findings) else 0


def _named(detector: Detector) -> str | None:
    return None if detector == "best" else detector


def _say(line: str) -> None:
    print(line, flush=True)
