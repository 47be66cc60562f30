"""The released models: name -> how it is built, where its weights are, what is known of them."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from avsync import weights as checkpoints

if TYPE_CHECKING:
    from torch import nn

PRETRAINED = Path(__file__).parent / "pretrained"
Config = Mapping[str, Any]


class ModelRow(NamedTuple):
    """A released model.

    `file` lies in the package, beside its config; `sha256` is its hash, None until weights are
    released. `measured` gives figures with the command that prints them.
    """

    name: str
    summary: str
    build: Callable[[Config], "nn.Module"]
    file: str
    sha256: str | None
    licence: str
    trained_on: str
    measured: str


def _dense_sync(config: Config) -> "nn.Module":
    from avsync.tasks.dense_sync import DenseSyncConfig, build

    return build(_filled(DenseSyncConfig, config))


MODELS = {
    row.name: row
    for row in (
        ModelRow(
            name="dense_sync",
            summary="default sync model: mouth crops and voice, both encoded once over the clip",
            build=_dense_sync,
            file="dense_sync.safetensors",
            sha256="889dc7a8fb28cb207d8e72797e9dceca52affbaec09ca71c06e27a876d9e5232",
            licence="MIT",
            trained_on="GRID s1, training split (CC BY 4.0), and rendered clips",
            measured=(
                "GRID s1 test: 95.4 % of 5-frame windows inside words within a frame, all of 100 "
                "clips within 45 ms (avsync evaluate sync); LRS3: 20 of 20 clips of 2 s within "
                "45 ms (benchmarks/shifted_clips.py)"
            ),
        ),
    )
}


def list_models() -> tuple[ModelRow, ...]:
    """Every released model, in the order of the table."""
    return tuple(MODELS.values())


def model_row(name: str) -> ModelRow:
    """The row of that name; ValueError lists the names."""
    if name not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, got {name!r}")
    return MODELS[name]


def create_model(
    name: str,
    pretrained: bool = False,
    weights: str | Path | None = None,
    config: Config | None = None,
) -> "nn.Module":
    """Builds a model by name, on the CPU, with or without trained weights.

    Args:
        name: one of `list_models()`.
        pretrained: load the released weights; the model is then in `eval` mode.
        weights: load this safetensors file (its config beside it) instead of the released weights.
        config: fields of the model's config that differ from the checkpoint's or from the defaults.

    ValueError for an unknown name or field; RuntimeError for weights that are missing, damaged, of
    another hash, or of another model.
    """
    row = model_row(name)
    if weights is None and not pretrained:
        return row.build(config or {})
    checkpoint = _released(row) if weights is None else checkpoints.load(weights, as_float32=True)
    model = row.build({**checkpoint.config, **(config or {})})
    try:
        model.load_state_dict(checkpoint.state_dict, strict=True)
    except RuntimeError as error:
        raise RuntimeError(f"the weights do not fit model {name}: {error}") from error
    return model.eval()


def _released(row: ModelRow) -> checkpoints.Checkpoint:
    if row.sha256 is None:
        raise RuntimeError(f"no weights are released for model {row.name}; pass weights=PATH")
    return checkpoints.load(PRETRAINED / row.file, row.sha256, as_float32=True)


def _filled(config_class: type, config: Config) -> Any:
    names = [field.name for field in fields(config_class)]
    if unknown := sorted(set(config) - set(names)):
        raise ValueError(
            f"config of {config_class.__name__} has no field {', '.join(unknown)}; "
            f"its fields are {', '.join(names)}"
        )
    # JSON knows lists only; the fields of a frozen config are tuples.
    return config_class(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})
