"""The released models: name -> how it is built, where its weights are, what is known of them."""

from pathlib import Path
from typing import TYPE_CHECKING

from avsync import weights as checkpoints
from avsync.tasks.card import Config, Job, ModelCard
from avsync.tasks.lipreading.catalog import SPEECH_MODELS
from avsync.tasks.separation.catalog import SEPARATION_MODELS
from avsync.tasks.sync.catalog import SYNC_MODELS
from avsync.tasks.talking.catalog import TALKING_MODELS

if TYPE_CHECKING:
    from torch import nn

PRETRAINED = Path(__file__).parents[1] / "pretrained"
MODELS = {
    row.name: row for row in (*SYNC_MODELS, *SEPARATION_MODELS, *SPEECH_MODELS, *TALKING_MODELS)
}


def list_models() -> tuple[ModelCard, ...]:
    """Return every released model, in the order of the table."""
    return tuple(MODELS.values())


def model_card(name: str, job: Job | None = None) -> ModelCard:
    """Return the row of that name, of a model for that job; ValueError lists the names."""
    names = [row.name for row in MODELS.values() if job in (None, row.job)]
    if name not in names:
        raise ValueError(f"model must be one of {', '.join(names)}, got {name!r}")
    return MODELS[name]


def create_model(
    name: str,
    pretrained: bool = False,
    weights: str | Path | None = None,
    config: Config | None = None,
) -> "nn.Module":
    """Build a model by name, on the CPU, with or without trained weights.

    Args:
        name: one of `list_models()`.
        pretrained: load the released weights; the model is then in `eval` mode.
        weights: load this safetensors file (its config beside it) instead of the released weights.
        config: fields of the model's config that differ from the checkpoint's or from the defaults.

    ValueError for an unknown name or field; RuntimeError for weights that are missing, damaged, of
    another hash, or of another model.
    """
    row = model_card(name)
    if weights is None and not pretrained:
        return row.build(config or {})
    checkpoint = _released(row) if weights is None else checkpoints.load(weights, as_float32=True)
    model = row.build({**checkpoint.config, **(config or {})})
    try:
        model.load_state_dict(checkpoint.state_dict, strict=True)
    except RuntimeError as error:
        raise RuntimeError(f"the weights do not fit model {name}: {error}") from error
    return model.eval()


def _released(row: ModelCard) -> checkpoints.Checkpoint:
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
