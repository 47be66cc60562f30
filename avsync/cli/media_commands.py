"""Sub-commands on media files: check, fix, separate, talk, demo.

A function's signature is the command line; it returns the exit code. Pipelines are imported inside
the functions, so that `--help` does not load torch.
"""

import sys
from pathlib import Path

from avsync.cli.arguments import (
    Detector,
    File,
    Files,
    Flag,
    Folder,
    InputFile,
    JsonPath,
    ModelName,
    OptionalFolder,
    Output,
    OutputFolder,
    OutputPath,
    Who,
    complain,
    detector_name,
    path_of,
    say,
    with_config,
)
from avsync.outputs import HTML_REPORT, JSON_OUTPUT, OutputFile, check_outputs, write_output
from avsync.tasks.catalog import DEFAULT_SYNC_MODEL
from avsync.tasks.registry import model_card
from avsync.timing import DEFAULT_PROFILE, tolerance


def check(
    files: Files,
    /,
    profile: str = DEFAULT_PROFILE,
    model: str = DEFAULT_SYNC_MODEL,
    weights: OutputPath = None,
    search: float = 1.0,
    detector: Detector = "best",
    audio: str = "all",
    workers: int = 0,
    timeout: float | None = None,
    shard: str | None = None,
    ray: str | None = None,
    json: JsonPath = None,
    jsonl: OutputPath = None,
    resume: Flag = False,
    csv: OutputPath = None,
    html: OutputPath = None,
    worst: int = 5,
    overwrite: Flag = False,
) -> int:
    """Measure the audio-video offset of videos, one line per file, and summarise a batch.

    Exit code: 0 in tolerance, 10 out of tolerance, 11 cannot tell, 12 unreadable; the worst of all.

    Args:
        files: videos, patterns, or folders, which are searched recursively for videos.
        profile: tolerance profile: ebu, itu, itu-acceptable, atsc or film.
        model: a name that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        search: largest offset searched for, in seconds, either way.
        detector: the face detector; `best` is YuNet.
        audio: audio streams to compare: all, a position from 0, or a language such as eng.
        workers: number of processes; a file that crashes one affects no other file.
        timeout: seconds that a worker may take for a file; one that takes longer is unreadable.
        shard: i/n checks every n-th file from the i-th on: one of n calls on n machines.
        ray: address of a Ray cluster whose machines run the workers, or local.
        json: write the results here as JSON; `-` prints the JSON and nothing else.
        jsonl: write one line of JSON per file here, as soon as the file is checked.
        resume: continue the --jsonl file; files whose content has changed are checked again.
        csv: write the results here as a table.
        html: write one report page for all files here.
        worst: number of files that the summary of a batch names.
        overwrite: let the outputs replace files that avsync did not write, but no checked file.
    """
    tolerance(profile)
    model_card(model, "sync")
    if not files:
        raise ValueError("say which FILE to check")
    if resume and jsonl is None:
        raise ValueError("--resume continues a results file: name it with --jsonl PATH")
    from avsync.media.video_files import find_videos
    from avsync.pipelines.check import export as tables
    from avsync.pipelines.check import messages as words
    from avsync.pipelines.check.batch import check_files
    from avsync.pipelines.check.jsonl import JSONL_RESULTS
    from avsync.scoring.result import without_tracks

    videos = find_videos(files)
    outputs = [
        OutputFile("--json", path_of(json), JSON_OUTPUT),
        OutputFile("--jsonl", jsonl, JSONL_RESULTS),
        OutputFile("--csv", csv, tables.CSV_RESULTS),
        OutputFile("--html", html, HTML_REPORT),
    ]
    check_outputs(outputs, with_config(videos, weights), overwrite=overwrite)
    results = []
    found = check_files(
        videos,
        model=model,
        weights=weights,
        profile=profile,
        search_s=search,
        detector=detector_name(detector),
        audio=audio,
        workers=workers,
        timeout_s=timeout,
        shard=shard,
        ray=ray,
        results=jsonl,
        resume=resume,
        overwrite=overwrite,
    )
    try:
        for result in found:
            # Tracks are large: of a long batch they are kept only if they are written at the end.
            results.append(result if json or html else without_tracks(result))
            if json != "-":
                say(*words.describe_all(result))
    except KeyboardInterrupt:
        if jsonl is not None:
            complain(f"finished results are in {jsonl}; --resume continues")
        raise
    if json != "-" and len(results) > 1:
        say("", *tables.summarize(results, worst))
    if json == "-":
        sys.stdout.write(tables.json_text(results))
    elif json is not None:
        tables.write_json(results, json, overwrite=overwrite)
    if csv is not None:
        tables.write_csv(results, csv, overwrite=overwrite)
    if html is not None:
        from avsync.report import write_report

        write_report(results, html, overwrite=overwrite)
    return words.worst_exit_code(results)


def fix(
    file: File,
    /,
    output: Output,
    profile: str = DEFAULT_PROFILE,
    model: str = DEFAULT_SYNC_MODEL,
    weights: OutputPath = None,
    search: float = 1.0,
    detector: Detector = "best",
    audio: str = "own",
    min_confidence: float | None = None,
    force: Flag = False,
    allow_loss: Flag = False,
    dry_run: Flag = False,
    overwrite: Flag = False,
) -> int:
    """Shift the audio into sync and measure the result.

    Each audio track is moved by its own offset; one whose offset is not known stays. A constant
    offset is repaired without re-encoding. Drifting audio is resampled, audio that jumps
    is shifted segment by segment; both are re-encoded with their codec. Refuses if the offset is
    uncertain or intermittent, or would not get smaller. The input is never overwritten.

    Args:
        file: a video.
        output: the corrected file.
        profile: tolerance profile: ebu, itu, itu-acceptable, atsc or film.
        model: a name that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        search: largest offset searched for, in seconds, either way.
        detector: the face detector; `best` is YuNet.
        audio: audio streams to repair, each by its own offset: `own` is every one that has one, a
            position from 0 or a language such as eng is that one; `all` also moves those whose
            offset is not known, by that of the file.
        min_confidence: refuse below this confidence; default 0.8.
        force: write even if the repair would be refused.
        allow_loss: write even if the container cannot hold all that matters.
        dry_run: print the repair, write nothing.
        overwrite: replace an existing file.
    """
    tolerance(profile)
    model_card(model, "sync")
    from avsync.pipelines.check import messages as words
    from avsync.pipelines.fix.fix_file import FixRefused
    from avsync.pipelines.fix.fix_file import fix as run
    from avsync.pipelines.progress import progress_bar

    with progress_bar(file.name) as progress:
        try:
            done = run(
                file,
                output,
                model=model,
                weights=weights,
                profile=profile,
                search_s=search,
                detector=detector_name(detector),
                audio=None if audio == "own" else audio,
                min_confidence=min_confidence,
                force=force,
                allow_loss=allow_loss,
                dry_run=dry_run,
                overwrite=overwrite,
                progress=progress,
            )
        except FixRefused as refusal:
            say(*words.describe_all(refusal.before, "before"))
            if refusal.after is not None:
                say(*words.describe_all(refusal.after, "after"))
            complain(refusal)
            return max(words.CANNOT_TELL, words.exit_code(refusal.before))
    say(*words.describe_all(done.before, "before"))
    say(*done.describe())
    if done.after is not None:
        say(*words.describe_all(done.after, "after"))
    return words.exit_code(done.after or done.before)


def demo(folder: Folder = Path("avsync-demo"), /, overwrite: Flag = False) -> int:
    """Render a talking face, shift its audio, then measure and repair the offset. Works offline.

    Args:
        folder: output folder for the clips and the report page.
        overwrite: replace files that are not of an earlier demo.
    """
    from avsync.cli.demo import demo as run

    return 0 if run(folder, say=say, overwrite=overwrite).found else 1


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
    references: OptionalFolder = None,
    overwrite: Flag = False,
) -> int:
    """Write the voice of each face in a video as a WAV file, and the rest of the audio.

    voice_0.wav, voice_1.wav, ... from left to right and rest.wav add up to the audio of the file;
    separation.json describes them. Exit code: 0 separated, 11 cannot tell, 12 unreadable.

    Args:
        file: a video.
        output: output folder, created if missing.
        who: which voices: all, left, right, or an index from 0, counted from the left.
        model: a separation model that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        detector: the face detector; `best` is YuNet.
        mux: also write a video for each voice: voice_0.mp4 for an mp4, with that voice alone.
        html: write a report page with spectrograms, masks and players here.
        references: folder with the true voice_0.wav, ... and rest.wav, to compute SDR against.
        overwrite: replace existing files, but not the video.
    """
    model_card(model, "separation")
    from avsync.pipelines.progress import progress_bar
    from avsync.pipelines.separate import result as words
    from avsync.pipelines.separate.separate_file import separate as run

    report = OutputFile("--html", html, HTML_REPORT)
    check_outputs([report], with_config([file], weights), overwrite=overwrite)
    with progress_bar(file.name) as progress:
        done = run(
            file,
            output,
            who=who,
            model=model,
            weights=weights,
            detector=detector_name(detector),
            mux=mux,
            references=references,
            overwrite=overwrite,
            progress=progress,
        )
    say(words.sentence(done), *words.metric_lines(done))
    if html is not None and done.status == "ok":
        from avsync.report.separation import write_separation_report

        write_separation_report(done, html, overwrite=overwrite)
    return words.exit_code(done)


def talk(
    face: InputFile,
    audio: InputFile,
    output: Output,
    who: Who = None,
    model: str = "synctalklip",
    weights: OutputPath = None,
    detector: Detector = "best",
    json: JsonPath = None,
    overwrite: Flag = False,
) -> int:
    """Generate a talking face: redraw the mouth of a video to match other speech.

    The video keeps its duration and frame times. The output is marked as generated; say so too
    wherever you show it. Exit code: 0 written, 11 cannot tell, 12 unreadable.

    Args:
        face: a video of a face.
        audio: the speech: an audio file, or a video whose audio is used.
        output: the new video: .mp4, .m4v, .mov, .mkv or .webm.
        who: which face speaks if there are several: left, right, all, or an index from 0, counted
            from the left.
        model: synctalklip or wav2lip.
        weights: a checkpoint of that model; none is shipped.
        detector: the face detector; `best` is YuNet.
        json: write the result here as JSON; `-` prints the JSON and nothing else.
        overwrite: replace existing files, but no input.
    """
    model_card(model, "talking")
    from json import dumps

    from avsync.pipelines.progress import progress_bar
    from avsync.pipelines.talk import result as words
    from avsync.pipelines.talk.talk_file import talk as run

    inputs = with_config([face, audio], weights)
    record = OutputFile("--json", path_of(json), JSON_OUTPUT)
    check_outputs([record], [*inputs, output], overwrite=overwrite)
    with progress_bar(face.name) as progress:
        done = run(
            face,
            audio,
            output,
            who=who,
            model=model,
            weights=weights,
            detector=detector_name(detector),
            overwrite=overwrite,
            progress=progress,
        )
    text = dumps(words.talk_json(done), indent=2, allow_nan=False) + "\n"
    if json == "-":
        sys.stdout.write(text)
        return words.exit_code(done)
    say(words.sentence(done))
    if json is not None:
        write_output(json, text, JSON_OUTPUT, [*inputs, output], overwrite=overwrite)
    return words.exit_code(done)
