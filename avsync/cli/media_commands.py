"""Sub-commands on videos as functions whose arguments are the command line: check, fix, demo.

Each returns the exit code. What they do is imported inside them: torch takes seconds to load, and
help must not.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro

from avsync.cli.arguments import Detector, File, Flag, Folder, Output, OutputPath, named, say
from avsync.tasks.registry import model_card
from avsync.timing import DEFAULT_PROFILE, tolerance

Files = Annotated[list[Path], tyro.conf.Positional, tyro.conf.arg(metavar="FILE...")]
JsonPath = Annotated[str | None, tyro.conf.arg(metavar="PATH|-")]


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
    model_card(model, "sync")
    if not files:
        raise ValueError("say which FILE to check")
    if resume and jsonl is None:
        raise ValueError("--resume goes on with the results in a file: name it with --jsonl PATH")
    from avsync.pipelines.check import export as tables
    from avsync.pipelines.check import messages as words
    from avsync.pipelines.check.batch import check_files

    results = []
    found = check_files(
        files,
        model=model,
        weights=weights,
        profile=profile,
        search_s=search,
        detector=named(detector),
        workers=workers,
        results=jsonl,
        resume=resume,
    )
    try:
        for result in found:
            # Of ten thousand files only what is written in the end is kept.
            results.append(result if json or html else replace(result, tracks=()))
            if json != "-":
                say(words.sentence(result))
    except KeyboardInterrupt:
        if jsonl is not None:
            print(f"avsync: what is done is in {jsonl}; --resume goes on", file=sys.stderr)
        raise
    if json != "-" and len(results) > 1:
        from avsync.pipelines.check.export import summary

        say("\n".join(["", *summary(results, worst)]))
    if json == "-":
        sys.stdout.write(tables.json_text(results))
    elif json is not None:
        tables.write_json(results, json)
    if csv is not None:
        tables.write_csv(results, csv)
    if html is not None:
        from avsync.report import write_report

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
    """Move the audio to the lips and measure the result.

    A constant offset is repaired without re-encoding. An audio that drifts is resampled, one that
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
    model_card(model, "sync")
    from avsync.pipelines.check import messages as words
    from avsync.pipelines.fix.fix_file import FixRefused
    from avsync.pipelines.fix.fix_file import fix as run
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
                detector=named(detector),
                min_confidence=min_confidence,
                force=force,
                dry_run=dry_run,
                overwrite=overwrite,
                progress=progress,
            )
        except FixRefused as refusal:
            say(f"before  {words.sentence(refusal.before)}")
            if refusal.after is not None:
                say(f"after   {words.sentence(refusal.after)}")
            print(f"avsync: {refusal}", file=sys.stderr)
            return max(words.CANNOT_TELL, words.exit_code(refusal.before))
    say(f"before  {words.sentence(done.before)}")
    say(words.printable(done.repair.sentence(would=dry_run)))
    if done.after is not None:
        say(f"after   {words.sentence(done.after)}")
    return words.exit_code(done.after or done.before)


def demo(folder: Folder = Path("avsync-demo"), /) -> int:
    """Render a talking face, shift its audio, then find and repair that. Works offline.

    Args:
        folder: where the clips and the report page go.
    """
    from avsync.cli.demo import demo as run

    return 0 if run(folder, say=say).found else 1


OutputFolder = Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
ModelName = Annotated[str, tyro.conf.arg(metavar="NAME")]


def separate(
    file: File,
    /,
    output: OutputFolder,
    who: str = "all",
    model: ModelName = "lip_mask",
    weights: OutputPath = None,
    detector: Detector = "best",
    mux: Flag = False,
    html: OutputPath = None,
    references: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    overwrite: Flag = False,
) -> int:
    """Write the voice of each face in a video as a WAV file, and what is left of the audio.

    voice_0.wav, voice_1.wav, ... from left to right and rest.wav add up to the audio of the file;
    separation.json says what was done. Exit code: 0 separated, 11 cannot tell, 12 unreadable.

    Args:
        file: a video.
        output: folder for the files, made if missing.
        who: whose voice: all, left, right, or a number from 0, counted from the left.
        model: a separation model that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        detector: the face detector; `best` is YuNet where it can be had.
        mux: write a video for each voice as well: voice_0.mp4 is an mp4 with that voice alone.
        html: write a report page with spectrograms, masks and players here.
        references: a folder with the true voice_0.wav, ... and rest.wav, to measure against.
        overwrite: replace what an earlier separation has written there.
    """
    model_card(model, "separation")
    from avsync.pipelines.check.messages import printable
    from avsync.pipelines.progress import progress_bar
    from avsync.pipelines.separate import result as words
    from avsync.pipelines.separate.separate_file import separate as run

    with progress_bar(printable(file.name)) as progress:
        done = run(
            file,
            output,
            who=who,
            model=model,
            weights=weights,
            detector=named(detector),
            mux=mux,
            references=references,
            overwrite=overwrite,
            progress=progress,
        )
    say("\n".join([words.sentence(done), *words.metric_lines(done)]))
    if html is not None and done.status == "ok":
        from avsync.report.separation import write_separation_report

        write_separation_report(done, html)
    return words.exit_code(done)


Input = Annotated[Path, tyro.conf.arg(metavar="FILE")]
Who = Annotated[str | None, tyro.conf.arg(metavar="WHO")]
JsonOutput = Annotated[str | None, tyro.conf.arg(metavar="PATH|-")]


def talk(
    face: Input,
    audio: Input,
    output: Output,
    who: Who = None,
    model: str = "synctalklip",
    weights: OutputPath = None,
    detector: Detector = "best",
    json: JsonOutput = None,
    overwrite: Flag = False,
) -> int:
    """Make a face say what a voice says: its mouth is drawn anew, and the voice is its audio.

    The video keeps its length and the times of its frames. The new file says that it is
    generated; say so too wherever you show it. Exit code: 0 written, 11 cannot tell, 12 unreadable.

    Args:
        face: a video of a face.
        audio: the voice: an audio, or a video whose audio is taken.
        output: the new video: .mp4, .m4v, .mov, .mkv or .webm.
        who: whose mouth moves where there are several faces: left, right, all, or a number from 0,
            counted from the left.
        model: synctalklip or wav2lip.
        weights: a checkpoint of that model; none ships.
        detector: the face detector; `best` is YuNet where it can be had.
        json: write what was done here as JSON; `-` prints the JSON and nothing else.
        overwrite: replace a file that is there.
    """
    model_card(model, "talking")
    from json import dumps

    from avsync.atomic import write_text
    from avsync.pipelines.check.messages import printable
    from avsync.pipelines.progress import progress_bar
    from avsync.pipelines.talk import result as words
    from avsync.pipelines.talk.talk_file import talk as run

    with progress_bar(printable(face.name)) as progress:
        done = run(
            face,
            audio,
            output,
            who=who,
            model=model,
            weights=weights,
            detector=named(detector),
            overwrite=overwrite,
            progress=progress,
        )
    text = dumps(words.talk_json(done), indent=2, allow_nan=False) + "\n"
    if json == "-":
        sys.stdout.write(text)
        return words.exit_code(done)
    say(words.sentence(done))
    if json is not None:
        write_text(json, text)
    return words.exit_code(done)
