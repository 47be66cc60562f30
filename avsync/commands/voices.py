"""Sub-commands on voices in mixtures as functions whose arguments are the command line: separate.

Each returns the exit code. What they do is imported inside them: torch takes seconds to load, and
help must not.
"""

from pathlib import Path
from typing import Annotated

import tyro

from avsync.commands.arguments import Detector, File, Flag, OutputPath, named, say
from avsync.registry import model_row

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
    """Write the voice of each face in a video as a WAV file, and what is left of the sound.

    voice_0.wav, voice_1.wav, ... from left to right and rest.wav add up to the sound of the file;
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
    model_row(model, "separation")
    from avsync.pipelines import separate_result as words
    from avsync.pipelines.progress import progress_bar
    from avsync.pipelines.separate import separate as run
    from avsync.pipelines.words import printable

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
        from avsync.pipelines.report.separation import write_separation_report

        write_separation_report(done, html)
    return words.exit_code(done)
