"""Convert: a published checkpoint in, weights and config that `create_model` loads out."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from avsync.pipelines.check.messages import printable

if TYPE_CHECKING:
    from torch import Tensor

State = Mapping[str, "Tensor"]
# Of these, checkpoints for windows of several lengths were published, in which nothing says which.
WINDOWED = ("vocalist", "mtdvocalist")
WINDOW_FRAMES = 5
WIDE: tuple[int, ...] = (32,)  # channels of the first layer
NARROW: tuple[int, ...] = (16,)
# Parts that only one published model has, but for the last, which every separator has.
PARTS = {
    "netcnnlip": "syncnet",
    "face_encoder": "lip_expert",
    "face_encoder_blocks": "Wav2Lip's generator, which cannot measure",
    "graph_net": "ynet_g",
    "motion_net": "ynet_m",
    "final_conv": "unet",
}
# What to do with the weights of a model, by its job.
NEXT = {"sync": "avsync check VIDEO", "separation": "avsync separate VIDEO -o FOLDER"}


def convert_file(
    name: str,
    file: str | Path,
    output: str | Path,
    window_frames: int | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Write a published checkpoint as `output`, safetensors, and its config beside it as JSON.

    Nothing is written before the model has taken the weights, every one of them.

    Args:
        name: the model, one of `CONVERTERS`.
        file: what its authors published: a `.pth` of torch, or safetensors by the same names.
        output: ends in .safetensors.
        window_frames: frames of a window that the checkpoint was trained for, 5 where it is not
            given; for vocalist and mtdvocalist only.
        overwrite: replace files that are there, which else is a FileExistsError.
        say: told in one line what was converted and what to do next.

    ValueError for a wrong argument; RuntimeError where the file cannot be read safely, is damaged
    or is of another model.
    """
    if name not in CONVERTERS:
        raise ValueError(f"name must be one of {', '.join(CONVERTERS)}, got {name!r}")
    config = _config(name, window_frames)
    target = Path(output)
    _check_target(Path(file), target, overwrite)

    import torch

    from avsync.convert.upstream import read_upstream
    from avsync.tasks.registry import create_model, model_card
    from avsync.weights import save

    given = read_upstream(file)
    try:
        state = CONVERTERS[name](given)
        with torch.device("meta"):
            model = create_model(name, config=config)
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        other = _looks_like(given)
        hint = f"; it looks like {other}" if other not in (None, name) else ""
        raise RuntimeError(f"{file} is no checkpoint of {name}: {error}{hint}") from error
    save(target, state, config)
    if say is not None:
        count = sum(parameter.numel() for parameter in model.parameters())
        place = printable(shlex.quote(str(target)))
        following = f"{NEXT[model_card(name).job]} --model {name} --weights {place}"
        say(f"{name}: {count:,} parameters are in {place}; next: {following}")
    return target


def _config(name: str, window_frames: int | None) -> dict[str, int]:
    if name not in WINDOWED:
        if window_frames is not None:
            raise ValueError(f"window_frames is for {' and '.join(WINDOWED)} only, not for {name}")
        return {}
    if window_frames is not None and window_frames < 1:
        raise ValueError(f"window_frames must be at least 1, got {window_frames}")
    return {"window_frames": window_frames or WINDOW_FRAMES}


def _check_target(source: Path, target: Path, overwrite: bool) -> None:
    if target.suffix != ".safetensors":
        raise ValueError(f"output must end in .safetensors, got {target}")
    for path in (target, target.with_suffix(".json")):
        if path.is_dir() or (path.exists() and source.exists() and path.samefile(source)):
            raise ValueError(f"the output {path} is a folder or the input")
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} is already there; pass overwrite to replace it")


def _looks_like(state: State) -> str | None:
    """Whose checkpoint it is, by the names of its parts and the width of VocaLiST's first layer."""
    shapes = {name.removeprefix("module."): tensor.shape for name, tensor in state.items()}
    parts = {name.partition(".")[0] for name in shapes}
    if "vid_prenet" in parts:
        width = tuple(shapes.get("vid_prenet.0.conv_block.0.bias", ()))
        return {WIDE: "vocalist", NARROW: "mtdvocalist"}.get(width)
    return next((model for part, model in PARTS.items() if part in parts), None)


def _vocalist(state: State) -> "dict[str, Tensor]":
    from avsync.convert.vocalist import convert_vocalist

    return convert_vocalist(state)


def _mtdvocalist(state: State) -> "dict[str, Tensor]":
    from avsync.convert.vocalist import convert_mtdvocalist

    return convert_mtdvocalist(state)


def _syncnet(state: State) -> "dict[str, Tensor]":
    from avsync.convert.syncnet import convert_syncnet

    return convert_syncnet(state)


def _lip_expert(state: State) -> "dict[str, Tensor]":
    from avsync.convert.lip_expert import convert_lip_expert

    return convert_lip_expert(state)


def _unet(state: State) -> "dict[str, Tensor]":
    from avsync.convert.ynet import convert_unet

    return convert_unet(state)


def _ynet_m(state: State) -> "dict[str, Tensor]":
    from avsync.convert.ynet import convert_ynet_m

    return convert_ynet_m(state)


def _ynet_g(state: State) -> "dict[str, Tensor]":
    from avsync.convert.ynet import convert_ynet_g

    return convert_ynet_g(state)


CONVERTERS: dict[str, Callable[[State], "dict[str, Tensor]"]] = {
    "vocalist": _vocalist,
    "mtdvocalist": _mtdvocalist,
    "syncnet": _syncnet,
    "lip_expert": _lip_expert,
    "unet": _unet,
    "ynet_m": _ynet_m,
    "ynet_g": _ynet_g,
}
