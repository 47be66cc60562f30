"""Sub-commands on models and on the installation: models, convert, doctor.

Each returns the exit code. What they do is imported inside them: torch takes seconds to load, and
help must not.
"""

from typing import Annotated

import tyro

from avsync.cli.arguments import File, Flag, Output, say

Name = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]


def models() -> int:
    """List the models: what they were trained on, their licence, what was measured."""
    from avsync.tasks.registry import list_models

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
        name: the model: vocalist, mtdvocalist, syncnet, lip_expert, unet, ynet_m or ynet_g.
        file: the checkpoint as its authors published it.
        output: the weights, a file that ends in .safetensors.
        window_frames: frames that vocalist or mtdvocalist was trained on; 5 where it is not given.
        overwrite: replace files that are there.
    """
    from avsync.pipelines.convert_weights import convert_file

    convert_file(name, file, output, window_frames, overwrite=overwrite, say=say)
    return 0


def doctor() -> int:
    """Say what is installed, which device and which face detector are used."""
    from avsync.pipelines.doctor import doctor as look

    findings = look()
    width = max(len(finding.topic) for finding in findings)
    for finding in findings:
        sign = {True: "ok", False: "!!", None: "  "}[finding.ok]
        print(f"{sign} {finding.topic:<{width}}  {finding.text}")
    return 1 if any(finding.ok is False for finding in findings) else 0
