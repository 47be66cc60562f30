"""The sub-command on faces that are drawn anew as a function whose arguments are the command line:
talk.

It returns the exit code. What it does is imported inside: torch takes seconds to load, and help
must not.
"""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from avsync.commands.arguments import Detector, Flag, Output, OutputPath, named, say
from avsync.registry import model_row

Input = Annotated[Path, tyro.conf.arg(metavar="FILE")]
Who = Annotated[str | None, tyro.conf.arg(metavar="WHO")]
JsonPath = Annotated[str | None, tyro.conf.arg(metavar="PATH|-")]


def talk(
    face: Input,
    audio: Input,
    output: Output,
    who: Who = None,
    model: str = "synctalklip",
    weights: OutputPath = None,
    detector: Detector = "best",
    json: JsonPath = None,
    overwrite: Flag = False,
) -> int:
    """Make a face say what a voice says: its mouth is drawn anew, and the voice is its sound.

    The film keeps its length and the times of its pictures. The new file says that it is
    generated; say so too wherever you show it. Exit code: 0 written, 11 cannot tell, 12 unreadable.

    Args:
        face: a film of a face.
        audio: the voice: a sound, or a film whose sound is taken.
        output: the new film: .mp4, .m4v, .mov, .mkv or .webm.
        who: whose mouth moves where there are several faces: left, right, all, or a number from 0,
            counted from the left.
        model: synctalklip or wav2lip.
        weights: a checkpoint of that model; none ships.
        detector: the face detector; `best` is YuNet where it can be had.
        json: write what was done here as JSON; `-` prints the JSON and nothing else.
        overwrite: replace a file that is there.
    """
    model_row(model, "talking")
    from json import dumps

    from avsync.atomic import write_text
    from avsync.pipelines import talk_result as words
    from avsync.pipelines.progress import progress_bar
    from avsync.pipelines.talk import talk as run
    from avsync.pipelines.words import printable

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
