"""The released models: name -> how it is built, where its weights are, what is known of them."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from avsync import weights as checkpoints

if TYPE_CHECKING:
    from torch import nn

PRETRAINED = Path(__file__).parent / "pretrained"
Config = Mapping[str, Any]


class ModelRow(NamedTuple):
    """A released model.

    `file` lies in the package, beside its config; `sha256` is its hash. Both are None for models
    whose weights are others' to give: users bring theirs with `avsync convert`. `measured` gives
    figures with the command that prints them, or where they were published. `train` is what follows
    `avsync train` where nobody has weights to give, else None.
    """

    name: str
    summary: str
    build: Callable[[Config], "nn.Module"]
    file: str | None
    sha256: str | None
    licence: str
    trained_on: str
    measured: str
    train: str | None = None


def _dense_sync(config: Config) -> "nn.Module":
    from avsync.tasks.dense_sync import DenseSyncConfig, build

    return build(_filled(DenseSyncConfig(), config))


def _vocalist(config: Config) -> "nn.Module":
    from avsync.tasks.vocalist import VocalistConfig, build

    return build(_filled(VocalistConfig(), config))


def _mtdvocalist(config: Config) -> "nn.Module":
    from avsync.tasks.vocalist import MTDVOCALIST, build

    return build(_filled(MTDVOCALIST, config))


def _syncnet(config: Config) -> "nn.Module":
    from avsync.tasks.syncnet import SyncNetConfig, build

    return build(_filled(SyncNetConfig(), config))


def _lip_expert(config: Config) -> "nn.Module":
    from avsync.tasks.lip_expert import LipExpertConfig, build

    return build(_filled(LipExpertConfig(), config))


def _perfect_match(config: Config) -> "nn.Module":
    from avsync.tasks.perfect_match import PerfectMatchConfig, build

    return build(_filled(PerfectMatchConfig(), config))


def _avst(config: Config) -> "nn.Module":
    from avsync.tasks.avst import AvstConfig, build

    return build(_filled(AvstConfig(), config))


def _vocalist_mc3(config: Config) -> "nn.Module":
    from avsync.tasks.vocalist_visual import Mc3VocalistConfig, build_mc3

    return build_mc3(_filled(Mc3VocalistConfig(), config))


def _vocalist_timm(config: Config) -> "nn.Module":
    from avsync.tasks.vocalist_visual import TimmVocalistConfig, build_timm

    return build_timm(_filled(TimmVocalistConfig(), config))


def _dense_sync_timm(config: Config) -> "nn.Module":
    from avsync.tasks.dense_sync_timm import TimmDenseSyncConfig, build

    return build(_filled(TimmDenseSyncConfig(), config))


def _reference(
    name: str,
    summary: str,
    build: Callable[[Config], "nn.Module"],
    licence: str,
    trained_on: str,
    measured: str,
) -> ModelRow:
    """A published model whose weights users bring themselves."""
    return ModelRow(name, summary, build, None, None, licence, trained_on, measured)


def _design(
    name: str,
    summary: str,
    build: Callable[[Config], "nn.Module"],
    measured: str,
    train: str,
    page: str,
) -> ModelRow:
    """A design of which no weights can be had: users train their own."""
    licence = f"no weights published or shipped: train your own; see {page}"
    return ModelRow(name, summary, build, None, None, licence, "nothing", measured, train)


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
                "GRID s1 test: 95.4 % of 5-frame windows inside words within a frame; 97 of 100 "
                "clips answered, all within 45 ms (avsync evaluate sync); LRS3, 2 s: 18 of 20 "
                "answered, all within 45 ms (the same)"
            ),
        ),
        _reference(
            "vocalist",
            "VocaLiST: 3-D lips, mel and three cross-modal transformers, 80.1 M parameters",
            _vocalist,
            licence="published weights: CC BY-NC 4.0, not shipped; see docs/vocalist.md",
            trained_on="LRS2, or Acappella (published weights)",
            measured="published: LRS2 92.8 % of 5-frame windows within a frame (Kadandale 2022)",
        ),
        _reference(
            "mtdvocalist",
            "MTDVocaLiST: VocaLiST distilled to 13.3 M parameters",
            _mtdvocalist,
            licence="published weights: no licence stated, not shipped; see docs/mtdvocalist.md",
            trained_on="LRS2 (published weights)",
            measured="published: LRS2 91.5 % of 5-frame windows within a frame (authors' log)",
        ),
        _reference(
            "syncnet",
            "SyncNet: the model that LSE-D and LSE-C are measured with, 13.6 M parameters",
            _syncnet,
            licence="published weights: MIT-style, not shipped; see docs/syncnet.md",
            trained_on="BBC television (published weights)",
            measured="published: LRS2 75.8 % of 5-frame windows within a frame (Kadandale 2022)",
        ),
        _reference(
            "lip_expert",
            "SyncNet*: Wav2Lip's lip expert, cosine of two embeddings, 16.4 M parameters",
            _lip_expert,
            licence="published weights: non-commercial research, not shipped; see "
            "docs/lip_expert.md",
            trained_on="LRS2 (published weights)",
            measured="not published by this protocol; retrained on Acappella: 57.7 % of 5-frame "
            "windows within 5 frames (Kadandale 2022)",
        ),
        _design(
            "perfect_match",
            "Perfect Match: SyncNet's streams, trained to pick one voice of N, 13.6 M parameters",
            _perfect_match,
            measured="published: LRS2 88.1 % of 5-frame windows within a frame (Kadandale 2022)",
            train="perfect-match",
            page="docs/perfect_match.md",
        ),
        _design(
            "avst",
            "AVST: convolutions, then one transformer over both streams, 42.2 M parameters",
            _avst,
            measured="published: LRS2 92.0 % of 5-frame windows within a frame (Kadandale 2022)",
            train="avst",
            page="docs/avst.md",
        ),
        _design(
            "vocalist_mc3",
            "VocaLiST that sees with MC3-18, an ablation of its paper, 53.0 M parameters",
            _vocalist_mc3,
            measured="published: poorer than VocaLiST, no figure (Kadandale 2022)",
            train="vocalist --backbone mc3_18",
            page="docs/visual_encoders.md",
        ),
        _design(
            "vocalist_timm",
            "VocaLiST that sees each picture with a network of timm",
            _vocalist_timm,
            measured="not published",
            train="vocalist --backbone resnet18",
            page="docs/visual_encoders.md",
        ),
        _design(
            "dense_sync_timm",
            "dense_sync that sees each picture with a network of timm",
            _dense_sync_timm,
            measured="not published",
            train="dense-sync --backbone resnet18",
            page="docs/visual_encoders.md",
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
    if row.train is not None:
        raise RuntimeError(
            f"no weights of {row.name} were published: train your own with "
            f"`avsync train {row.train}` and give those as weights"
        )
    if row.file is None:
        raise RuntimeError(
            f"avsync ships no weights for {row.name}: turn the published ones into ours with "
            f"`avsync convert {row.name} FILE -o OUT.safetensors` and give those as weights"
        )
    return checkpoints.load(PRETRAINED / row.file, row.sha256, as_float32=True)


def _filled(defaults: Any, config: Config) -> Any:
    names = [field.name for field in fields(defaults)]
    if unknown := sorted(set(config) - set(names)):
        raise ValueError(
            f"config of {type(defaults).__name__} has no field {', '.join(unknown)}; "
            f"its fields are {', '.join(names)}"
        )
    # JSON knows lists only; the fields of a frozen config are tuples.
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    return replace(defaults, **given)
