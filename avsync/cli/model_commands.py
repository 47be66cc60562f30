"""Sub-commands on models and on the installation: models, weights, convert, doctor.

A function's signature is the command line; it returns the exit code. Pipelines are imported inside
the functions, so that `--help` does not load torch.
"""

from typing import Literal

from avsync.cli.arguments import (
    File,
    Flag,
    Frames,
    Name,
    OptionalFile,
    OptionalName,
    OptionalOutput,
    Output,
    Pattern,
    say,
)


def models(
    pattern: Pattern = "*",
    /,
    job: Literal["all", "sync", "separation", "reading", "talking"] = "all",
) -> int:
    """List the models with their training data, licence and measured accuracy.

    Args:
        pattern: of the names, in quotes, such as 'face*'; by default all.
        job: list models for this alone.
    """
    from avsync.tasks.registry import list_models, model_card

    chosen = None if job == "all" else job
    found = list_models(pattern, chosen)
    if not found:
        model_card(pattern, chosen)  # Raises, and names the models there are.
    for card in found:
        print(f"{card.name}: {card.summary}")
        print(f"  trained on  {card.trained_on}")
        print(f"  licence     {card.licence}")
        print(f"  measured    {card.measured}")
    return 0


def convert(
    name: Name,
    file: File,
    /,
    output: Output,
    window_frames: Frames = None,
    overwrite: Flag = False,
) -> int:
    """Convert the published checkpoint of another project to safetensors.

    No code in the file is executed. The config is written beside the output, as .json.

    Args:
        name: the model: vocalist, mtdvocalist, syncnet, lip_expert, unet, ynet_m or ynet_g; or the
            encoder: whisper or face_mesh.
        file: the checkpoint as its authors published it.
        output: the weights, a file that ends in .safetensors.
        window_frames: window length that vocalist or mtdvocalist was trained on; default 5.
        overwrite: replace existing files.
    """
    from avsync.pipelines.convert_weights import convert_file

    convert_file(name, file, output, window_frames, overwrite=overwrite, say=say)
    return 0


def weights(
    name: OptionalName = None,
    file: OptionalFile = None,
    /,
    output: OptionalOutput = None,
    window_frames: Frames = None,
    overwrite: Flag = False,
) -> int:
    """Say where published weights are, check a downloaded file, and convert it.

    Nothing is downloaded.

    Args:
        name: the model or encoder; by default all that can be converted are listed.
        file: the file that you downloaded: its size and sha256 are compared with the published
            ones, where there are any.
        output: convert the file to these weights, a file that ends in .safetensors.
        window_frames: window length that vocalist or mtdvocalist was trained on; default 5.
        overwrite: replace existing files.
    """
    from avsync.pipelines.convert_weights import convert_file
    from avsync.pipelines.published_weights import (
        check_published,
        describe_published,
        published_files,
    )

    if output is not None and file is None:
        raise ValueError("-o needs the downloaded file: avsync weights NAME FILE -o PATH")
    if name is None or file is None:
        known = published_files(name)
        for one in known:
            say(*describe_published(one))
        if name is not None:
            say(f"next: avsync weights {name} {known[0].file} -o {known[0].model}.safetensors")
        return 0
    say(check_published(name, file))
    if output is not None:
        convert_file(name, file, output, window_frames, overwrite=overwrite, say=say)
    return 0


def doctor() -> int:
    """Report what is installed, and which device and face detector are used."""
    from avsync.pipelines.doctor import doctor as run

    findings = run()
    width = max(len(finding.topic) for finding in findings)
    for finding in findings:
        sign = {True: "ok", False: "!!", None: "  "}[finding.ok]
        say(f"{sign} {finding.topic:<{width}}  {finding.text}")
    return 1 if any(finding.ok is False for finding in findings) else 0
