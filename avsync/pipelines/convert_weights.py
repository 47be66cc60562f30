"""Convert published checkpoints to weights and a config that `create_model` loads."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from avsync.pipelines.check.messages import printable

if TYPE_CHECKING:
    from torch import Tensor, nn

State = Mapping[str, "Tensor"]


class EncoderConverter(NamedTuple):
    """How the file of a frozen encoder, which is no model by itself, becomes weights.

    `read` returns tensors by upstream name, or by ours; `convert` those by our name; `loader` is
    the public function that loads the weights.
    """

    read: Callable[[str | Path], State]
    convert: Callable[[State], "dict[str, Tensor]"]
    build: Callable[..., "nn.Module"]
    config: dict[str, int]
    loader: str


# Published checkpoints of these models have windows of different lengths, and do not state which.
WINDOWED = ("vocalist", "mtdvocalist")
WINDOW_FRAMES = 5
WIDE: tuple[int, ...] = (32,)  # channels of the first layer
NARROW: tuple[int, ...] = (16,)
# Modules that only one published model has, except the last, which every separator has.
MODULES = {
    "netcnnlip": "syncnet",
    "face_encoder": "lip_expert",
    "face_encoder_blocks": "Wav2Lip's generator, which cannot measure",
    "graph_net": "ynet_g",
    "motion_net": "ynet_m",
    "final_conv": "unet",
}
# The command that uses the weights of a model, by its job.
NEXT_COMMAND = {"sync": "avsync check VIDEO", "separation": "avsync separate VIDEO -o FOLDER"}


def convert_file(
    name: str,
    file: str | Path,
    output: str | Path,
    window_frames: int | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Convert a published checkpoint to safetensors, with its config beside it as JSON.

    Nothing is written before the model has loaded all of the weights.

    Args:
        name: the model, one of `CONVERTERS`, or the encoder, one of `ENCODERS`; a hyphen counts as
            an underscore.
        file: the checkpoint as published: a `.pth` of torch, or safetensors with the same keys; for
            face_mesh MediaPipe's `face_landmarker.task`, or the `.tflite` file in it.
        output: path of the weights, ending in .safetensors.
        window_frames: frames of a window that the checkpoint was trained for, 5 by default; for
            vocalist and mtdvocalist only.
        overwrite: replace existing files.
        say: called with one line that reports what was converted and which command comes next.

    Returns:
        The path of the weights.

    Raises:
        ValueError: an argument is wrong.
        FileExistsError: a file exists and `overwrite` is False.
        RuntimeError: the file cannot be read safely, is damaged, or belongs to another model.
    """
    name = name.replace("-", "_")
    if name not in (*CONVERTERS, *ENCODERS):
        names = ", ".join((*CONVERTERS, *ENCODERS))
        raise ValueError(f"name must be one of {names}, got {name!r}")
    config = _config(name, window_frames)
    target = Path(output)
    _check_target(Path(file), target, overwrite)

    from avsync.weights import save

    state, count = _convert(name, file, config)
    _check_target(Path(file), target, overwrite)
    # Encoders are published and shipped in half precision.
    save(target, state, config, half=name in ENCODERS, overwrite=overwrite)
    if say is not None:
        path = printable(shlex.quote(str(target)))
        say(f"{name}: {count:,} parameters are in {path}; next: {_next(name, target)}")
    return target


def _convert(
    name: str, file: str | Path, config: dict[str, int]
) -> "tuple[dict[str, Tensor], int]":
    """Return a state dict that the network has loaded and the count of its parameters."""
    import torch

    from avsync.tasks.registry import create_model

    encoder = ENCODERS.get(name)
    given = (encoder.read if encoder else _read_upstream)(file)
    try:
        state = (encoder.convert if encoder else CONVERTERS[name])(given)
        with torch.device("meta"):
            model = encoder.build(**config) if encoder else create_model(name, config=config)
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        other = _looks_like(given)
        guess = f"; it looks like {other}" if other not in (None, name) else ""
        raise RuntimeError(f"{file} is no checkpoint of {name}: {error}{guess}") from error
    return state, sum(parameter.numel() for parameter in model.parameters())


def _next(name: str, target: Path) -> str:
    from avsync.tasks.registry import model_card

    if name in ENCODERS:
        return printable(f"avsync.encoders.{ENCODERS[name].loader}({str(target)!r})")
    path = printable(shlex.quote(str(target)))
    return f"{NEXT_COMMAND[model_card(name).job]} --model {name} --weights {path}"


def _config(name: str, window_frames: int | None) -> dict[str, int]:
    if name not in WINDOWED:
        if window_frames is not None:
            raise ValueError(f"window_frames is for {' and '.join(WINDOWED)} only, not for {name}")
        return dict(ENCODERS[name].config) if name in ENCODERS else {}
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
    """Guess the model of a checkpoint by its modules and the width of VocaLiST's first layer."""
    shapes = {name.removeprefix("module."): tensor.shape for name, tensor in state.items()}
    modules = {name.partition(".")[0] for name in shapes}
    if "vid_prenet" in modules:
        width = tuple(shapes.get("vid_prenet.0.conv_block.0.bias", ()))
        return {WIDE: "vocalist", NARROW: "mtdvocalist"}.get(width)
    return next((model for module, model in MODULES.items() if module in modules), None)


def _read_upstream(file: str | Path) -> State:
    from avsync.convert.upstream import read_upstream

    return read_upstream(file)


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


def _whisper(state: State) -> "dict[str, Tensor]":
    from avsync.convert.whisper import convert_whisper

    return convert_whisper(state)


def _whisper_encoder(layers: int) -> "nn.Module":
    from avsync.encoders.pretrained.whisper import WhisperEncoder

    return WhisperEncoder(layers)


def _read_face_mesh(file: str | Path) -> State:
    from avsync.convert.face_mesh import convert_face_mesh

    return convert_face_mesh(file)


def _face_mesh() -> "nn.Module":
    from avsync.encoders.pretrained.face_mesh import FaceMesh

    return FaceMesh()


ENCODERS = {
    "whisper": EncoderConverter(
        _read_upstream, _whisper, _whisper_encoder, {"layers": 1}, "load_whisper_encoder"
    ),
    # The graph in the published file has no names, so its reader gives the tensors ours.
    "face_mesh": EncoderConverter(_read_face_mesh, dict, _face_mesh, {}, "load_face_mesh"),
}
CONVERTERS: dict[str, Callable[[State], "dict[str, Tensor]"]] = {
    "vocalist": _vocalist,
    "mtdvocalist": _mtdvocalist,
    "syncnet": _syncnet,
    "lip_expert": _lip_expert,
    "unet": _unet,
    "ynet_m": _ynet_m,
    "ynet_g": _ynet_g,
}
