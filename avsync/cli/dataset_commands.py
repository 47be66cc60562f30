"""Sub-commands on folders of videos and stores: prepare, audit, features, landmarks, score.

A function's signature is the command line; it returns the exit code. Pipelines are imported inside
the functions, so that `--help` does not load torch.
"""

from typing import Literal

from avsync.cli.arguments import (
    CorpusOffset,
    Detector,
    Flag,
    Folder,
    InputFolder,
    Lists,
    ModelName,
    OptionalPath,
    Output,
    OutputPath,
    Sources,
    StorePath,
    Videos,
    detector_name,
    say,
    with_config,
)
from avsync.outputs import JSON_OUTPUT, OutputFile, check_outputs
from avsync.tasks.catalog import DEFAULT_SYNC_MODEL
from avsync.tasks.registry import model_card
from avsync.timing import DEFAULT_PROFILE


def prepare(
    folder: Folder,
    /,
    output: Output,
    layout: Literal["folder", "lrs2", "acappella"] = "folder",
    lists: Lists = (),
    crops: tuple[Literal["head", "mesh"], ...] = (),
    detector: Detector = "best",
    workers: int = 0,
    timeout: float | None = None,
    shard: str | None = None,
    ray: str | None = None,
    min_face_px: float = 32.0,
    min_duration_s: float = 1.0,
) -> int:
    """Turn a folder of videos into a store of clips for training; run again to resume.

    Rejected tracks and the reasons are listed in rejected.csv in the store.

    Args:
        folder: folder of videos, searched recursively.
        output: the store, a folder.
        layout: a folder of videos, or a corpus as it is distributed, whose lists name the videos
            and give the store its splits.json.
        lists: lists of that corpus, files or names in the folder; by default all that are found.
        crops: crops besides face and mouth: head, 224 x 224 pixels, for syncnet; 226 MB a minute;
            mesh, 256 x 256 pixels, for face_sync; 295 MB a minute.
        detector: the face detector; `best` is YuNet.
        workers: number of processes; a file that crashes one affects no other file.
        timeout: seconds that a worker may take for a file; one that takes longer is rejected.
        shard: i/n prepares every n-th file from the i-th on: one of n calls on n machines that
            write to one store.
        ray: address of a Ray cluster whose machines run the workers, or local.
        min_face_px: narrower faces are rejected, in pixels of the source.
        min_duration_s: shorter tracks are rejected.
    """
    from avsync.pipelines.prepare.prepare_store import prepare as run

    done = run(
        folder,
        output,
        layout=layout,
        lists=lists,
        crops=crops,
        detector=detector_name(detector),
        workers=workers,
        timeout_s=timeout,
        shard=shard,
        ray=ray,
        min_face_px=min_face_px,
        min_duration_s=min_duration_s,
    )
    say(done.describe())
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
    """Write a model's features of videos or stores, 25 per second, as safetensors; resumes.

    Each file contains `features` and `times_s`, the centres of their windows. index.jsonl lists the
    files, and the error of each source that has none.

    Args:
        sources: videos, folders of videos, or stores of prepared clips.
        output: folder for the files.
        model: a name that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        stream: features of the faces, or of the audio.
        layer: dotted name of the module whose output is written; by default the embeddings that the
            model compares.
        detector: the face detector; `best` is YuNet.
    """
    model_card(model, "sync")
    if not sources:
        raise ValueError("say which FILE or STORE to take features of")
    from avsync.pipelines.check import messages as words
    from avsync.pipelines.features.extract import extract_features

    done = extract_features(
        sources,
        output,
        model=model,
        weights=weights,
        stream=stream,
        layer=layer,
        detector=detector_name(detector),
        say=lambda file: say(f"{file.source}: {file.describe()}"),
    )
    return words.UNREADABLE if any(file.problem for file in done) else 0


def landmarks(
    store: StorePath,
    /,
    videos: InputFolder,
    output: Output,
) -> int:
    """Write the 68 face landmarks of each clip of a store, for models that take them; resumes.

    Each clip gets CLIP.npz; pass the folder to `avsync train ynet --kind g` as --landmarks.
    Exit code: 12 if a video could not be read.

    Args:
        store: a store of prepared clips.
        videos: the folder of videos that the store was prepared from.
        output: folder for the files.
    """
    from avsync.data.store.reader import Store
    from avsync.faces.landmarks import MeshLandmarker
    from avsync.pipelines.check.messages import UNREADABLE
    from avsync.pipelines.prepare.landmarks import store_landmarks

    done = store_landmarks(Store(store), videos, output, MeshLandmarker())
    for clip in done:
        if clip.problem or clip.found < clip.frames:
            what = f"unreadable: {clip.problem}" if clip.problem else "no face in some frames"
            say(f"{clip.source}: {what}, {clip.found} of {clip.frames} found")
    say(f"landmarks of {sum(not clip.problem for clip in done)} clips are in {output}")
    return UNREADABLE if any(clip.problem for clip in done) else 0


def audit(
    store: StorePath,
    /,
    splits: OutputPath = None,
    split: str = "train",
    clips: int = 200,
    measured: int = 30,
    model: str = "dense_sync",
    weights: OutputPath = None,
    corpus_offset_ms: CorpusOffset = 0.0,
    clean: OutputPath = None,
    move: bool = True,
    overwrite: Flag = False,
) -> int:
    """Report the contents of a store and the problems that training on it would have.

    Checks lengths, faces, frame rates, silence, duplicates, speakers and offsets; changes nothing.

    Args:
        store: a store of prepared clips.
        splits: JSON file of clip names by split.
        split: a key of that file.
        clips: number of clips to open, evenly spread; 0 for all.
        measured: number of these whose offset a model measures; 0 for none.
        model: a name that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        corpus_offset_ms: constant offset that the clips are known to have (positive = the audio
            leads); clips are judged against it.
        clean: measure every clip and write a table of clips to drop or shift here; pass it to
            `avsync train` as --clean.
        move: shift clips whose offset is certain; otherwise they are dropped.
        overwrite: let --clean replace a file that is no clean table.
    """
    model_card(model, "sync")
    from avsync.pipelines.audit.audit_store import audit as run
    from avsync.pipelines.progress import progress_bar

    with progress_bar(f"auditing {store.name}") as progress:
        found = run(
            store,
            splits=splits,
            split=split,
            clips=clips,
            measured=measured,
            model=model,
            weights=weights,
            corpus_offset_ms=corpus_offset_ms,
            clean=clean,
            move=move,
            overwrite=overwrite,
            progress=progress,
        )
    say(*found.lines())
    if clean is not None:
        say(f"the clips to drop or shift are listed in {clean}")
    return 0


def score(
    videos: Videos,
    /,
    references: OptionalPath = None,
    model: ModelName = DEFAULT_SYNC_MODEL,
    weights: OutputPath = None,
    sync: ModelName = "dense_sync",
    sync_weights: OutputPath = None,
    profile: str = DEFAULT_PROFILE,
    detector: Detector = "best",
    workers: int = 0,
    csv: OutputPath = None,
    json: OutputPath = None,
    latex: OutputPath = None,
    overwrite: Flag = False,
) -> int:
    """Score the talking faces in videos as a paper's table has them, each and in the mean.

    Offset, mean misalignment, time out of tolerance, LSE-D, LSE-C and PRI; against true videos PSNR
    and SSIM too. Exit code: 0, or 12 if a video could not be read or does not match its reference.

    Args:
        videos: a video, or a folder of them.
        references: the true video, or a folder of true videos with the same names; they are scored
            too, beside the others.
        model: the sync model that measures offsets.
        weights: a checkpoint of that model instead of the released one.
        sync: the sync model whose embeddings give LSE and PRI; published LSE is that of syncnet.
        sync_weights: a checkpoint of that model instead of the released one.
        profile: tolerance profile: ebu, itu, itu-acceptable, atsc or film.
        detector: the face detector; `best` is YuNet.
        workers: number of processes that measure offsets.
        csv: write a row for each clip here.
        json: write clips and means here.
        latex: write the means here as a table for LaTeX.
        overwrite: let the outputs replace files that avsync did not write.
    """
    model_card(model, "sync")
    model_card(sync, "sync")
    from avsync.media.video_files import find_videos
    from avsync.pipelines.evaluate import score_table as tables
    from avsync.pipelines.evaluate.talking_scores import score as run

    outputs = [
        OutputFile("--csv", csv, tables.SCORES_CSV),
        OutputFile("--json", json, JSON_OUTPUT),
        OutputFile("--latex", latex, tables.SCORES_LATEX),
    ]
    given = find_videos([path for path in (videos, references) if path is not None])
    check_outputs(
        outputs, with_config(with_config(given, weights), sync_weights), overwrite=overwrite
    )
    table = run(
        videos,
        references,
        model=model,
        weights=weights,
        sync=sync,
        sync_weights=sync_weights,
        profile=profile,
        detector=detector,
        workers=workers,
    )
    say(*tables.score_text(table).split("\n"))
    tables.write_scores(table, csv=csv, json=json, latex=latex, overwrite=overwrite)
    return tables.score_exit_code(table)
