"""Sub-commands on stores of clips: prepare, audit, features, landmarks.

Each returns the exit code. What they do is imported inside them: torch takes seconds to load, and
help must not.
"""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from avsync.cli.arguments import Detector, Folder, Output, OutputPath, named, say
from avsync.tasks.registry import model_card

Sources = Annotated[list[Path], tyro.conf.Positional, tyro.conf.arg(metavar="FILE|STORE...")]
Videos = Annotated[Path, tyro.conf.arg(metavar="DIR")]
StorePath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
Lists = Annotated[tuple[str, ...], tyro.conf.arg(name="list", metavar="FILE...")]


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
    from avsync.pipelines.prepare.prepare_store import prepare as run

    done = run(
        folder,
        output,
        layout=layout,
        lists=lists,
        crops=crops,
        detector=named(detector),
        workers=workers,
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
    """Write a model's features of videos or stores, 25 a second, as safetensors; resumes.

    Each file holds `features` and `times_s`, the middles of their windows. index.jsonl lists the
    files, and what is wrong with a source that has none.

    Args:
        sources: videos, folders of videos, or stores of prepared clips.
        output: folder for the files.
        model: a name that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        stream: of the faces, or of the audio.
        layer: a module of the model by its dotted name, whose output is taken; without it, the
            vectors that the model compares.
        detector: the face detector; `best` is YuNet where it can be had.
    """
    model_card(model, "sync")
    if not sources:
        raise ValueError("say which FILE or STORE to take features of")
    from avsync.pipelines.check import messages as words
    from avsync.pipelines.features.extract import extract

    done = extract(
        sources,
        output,
        model=model,
        weights=weights,
        stream=stream,
        layer=layer,
        detector=named(detector),
        say=lambda each: say(words.printable(f"{each.source}: {each.describe()}")),
    )
    return words.UNREADABLE if any(each.problem for each in done) else 0


def landmarks(
    store: StorePath,
    /,
    videos: Videos,
    output: Output,
    model: OutputPath = None,
) -> int:
    """Write the 68 landmarks of each clip of a store, for models that look at these; resumes.

    Each clip gets CLIP.npz, to be given to `avsync train ynet --kind g` as --landmarks.
    Exit code: 12 where a video could not be read.

    Args:
        store: a store of prepared clips.
        videos: the folder of videos that it was prepared from.
        output: folder for the files.
        model: MediaPipe's face_landmarker.task, instead of the one that is fetched.
    """
    from avsync.data.store.reader import Store
    from avsync.faces.landmarks import MediaPipeLandmarker
    from avsync.pipelines.check.messages import UNREADABLE, printable
    from avsync.pipelines.prepare.landmarks import store_landmarks

    with MediaPipeLandmarker(model) as landmarker:
        done = store_landmarks(Store(store), videos, output, landmarker)
    for each in done:
        if each.problem or each.found < each.frames:
            what = f"unreadable: {each.problem}" if each.problem else "no face in some frames"
            say(printable(f"{each.source}: {what}, {each.found} of {each.frames} found"))
    say(f"landmarks of {sum(not each.problem for each in done)} clips are in {output}")
    return UNREADABLE if any(each.problem for each in done) else 0


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

    Lengths, faces, frames a second, silence, duplicates, speakers, offsets. Nothing is changed.

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
    model_card(model, "sync")
    from avsync.pipelines.audit.audit_store import audit as look
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
    say("\n".join(found.lines()))
    if clean is not None:
        say(f"what becomes of each clip is in {clean}")
    return 0
