"""The registry of released models: list them, look one up, build it with its weights."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from avsync import weights as checkpoints
from avsync.hub import weights_path
from avsync.tasks.calibration import read_calibration
from avsync.tasks.card import Config, Job, ModelCard
from avsync.tasks.catalog import MODELS
from avsync.weights import PRETRAINED as PRETRAINED

if TYPE_CHECKING:
    from torch import Tensor, nn

Model = TypeVar("Model")
# Limits on the models of foreign configs: numbers beyond those in the weights, and what a tensor
# counts for, so that a million layers are too many.
SPARE_NUMBERS, NUMBERS_PER_TENSOR = 50_000_000, 1000
FACTORIES = ("empty", "zeros", "ones", "full", "randn", "rand", "arange", "linspace")
# What a config with other keys, types or values raises where the model is built.
UNBUILDABLE = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError),
    *(RuntimeError, TypeError, ValueError),
)
# Letters of an error of torch that are shown: it lists all tensors that do not fit.
MAX_CAUSE = 400


def list_models(pattern: str = "*", job: Job | None = None) -> tuple[ModelCard, ...]:
    """Return the cards of released models, in the order of the catalog; by default all.

    Args:
        pattern: of their names, as of files: `*` stands for any letters, `?` for one, `[ab]` for
            one of these.
        job: `sync`, `separation`, `reading` or `talking`: models for this alone.

    Raises:
        ValueError: there is no such job.
    """
    if job is not None and job not in get_args(Job):
        raise ValueError(f"job must be one of {', '.join(get_args(Job))}, got {job!r}")
    cards = [card for card in MODELS.values() if job in (None, card.job)]
    return tuple(card for card in cards if fnmatchcase(card.name, pattern))


def model_card(name: str, job: Job | None = None) -> ModelCard:
    """Return the card of a model.

    Args:
        name: one of `list_models()`.
        job: the job that the model must have; any by default.

    Raises:
        ValueError: no model for that job has the name; the message lists the names, and repeats
            the one that is spelt most like it.
    """
    names = [card.name for card in list_models(job=job)]
    if name not in names:
        similar = get_close_matches(str(name).lower(), names, n=1)
        meant = f"; did you mean {similar[0]!r}?" if similar else ""
        raise ValueError(f"model must be one of {', '.join(names)}, got {name!r}{meant}")
    return MODELS[name]


def create_model(
    name: str,
    pretrained: bool = False,
    weights: str | Path | None = None,
    config: Config | None = None,
    features_only: bool = False,
) -> "nn.Module":
    """Build a model by name, on the CPU, with or without trained weights.

    Args:
        name: one of `list_models()`.
        pretrained: load the released weights.
        weights: load these instead of the released ones: a safetensors file (its config beside it),
            or a folder or name of `avsync.hub.weights_path`, such as `hf-hub:OWNER/REPO`.
        config: fields of the model's config that differ from the checkpoint's or from the defaults.
        features_only: return `avsync.tasks.SyncFeatures` of a sync model: it maps frames and audio
            of a clip to vectors of `num_features`, one for each window of either stream.

    Returns:
        The model, in `eval` mode if weights were loaded. A sync model whose weights were calibrated
        has the result in its attribute `calibration`; drop it when you change the weights.

    Raises:
        ValueError: the name or a field is unknown, or the features are asked for of a model that is
            no sync model.
        RuntimeError: the weights are missing, damaged, of another hash, or of another model.
    """
    card = model_card(name)
    if features_only:
        if card.job != "sync":
            raise ValueError(f"features_only takes a sync model, {name} is for {card.job}")
        from avsync.tasks.features import SyncFeatures

        return SyncFeatures(create_model(name, pretrained, weights, config))
    if weights is None and not pretrained:
        return card.build(config or {})
    weights = None if weights is None else weights_path(weights)
    checkpoint = load_checkpoint(name, weights)
    model = _build_for(card, {**checkpoint.config, **(config or {})}, checkpoint, weights)
    if misfit := _describe_misfit(model.state_dict(), checkpoint.state_dict):
        which = "the weights" if weights is None else f"the weights {weights}"
        raise RuntimeError(f"{which} do not fit model {name}: {misfit}")
    model.load_state_dict(checkpoint.state_dict, strict=True)
    if checkpoint.calibration is not None:
        model.calibration = read_calibration(checkpoint.calibration)  # type: ignore[assignment]
    return model.eval()


def load_checkpoint(name: str, weights: str | Path | None = None) -> checkpoints.Checkpoint:
    """Load the released weights of a model with their config, both verified, or weights of a user.

    Args:
        name: one of `list_models()`.
        weights: a safetensors file with its config beside it, not verified, or a folder or name of
            `avsync.hub.weights_path`; None for the released weights.

    Raises:
        ValueError: the name is unknown.
        RuntimeError: a file is missing, damaged, or not as it was released.
    """
    card = model_card(name)
    if weights is not None:
        return checkpoints.load(weights_path(weights), as_float32=True)
    if card.train is not None:
        raise RuntimeError(
            f"no weights of {card.name} were published: train your own with "
            f"`avsync train {card.train}` and give those as weights"
        )
    if card.file is None:
        raise RuntimeError(
            f"avsync ships no weights for {card.name}: turn the published ones into ours with "
            f"`avsync convert {card.name} FILE -o OUT.safetensors` and give those as weights"
        )
    path = PRETRAINED / card.file
    return checkpoints.load(path, card.sha256, as_float32=True, config_sha256=card.config_sha256)


def _build_for(
    card: ModelCard,
    config: Config,
    checkpoint: "checkpoints.Checkpoint",
    weights: str | Path | None,
) -> "nn.Module":
    """Build the model of a checkpoint, whose config may hold anything."""
    from torch import Tensor
    from torch.overrides import TorchFunctionMode

    numbers = sum(tensor.numel() for tensor in checkpoint.state_dict.values())
    left = [SPARE_NUMBERS + 4 * numbers]

    class Bounded(TorchFunctionMode):
        """Stop a config that builds far more than the weights hold, before it is filled."""

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            made = func(*args, **(kwargs or {}))
            if isinstance(made, Tensor) and getattr(func, "__name__", "") in FACTORIES:
                left[0] -= made.numel() + NUMBERS_PER_TENSOR
                if left[0] < 0:
                    raise ValueError("it describes a far larger model than the weights hold")
            return made

    try:
        with Bounded():
            return card.build(config)
    except UNBUILDABLE as error:
        beside = "" if weights is None else f" {Path(weights).with_suffix('.json')}"
        cause = " ".join(str(error).split())[:MAX_CAUSE]
        others = "" if weights is None else "; if the weights are another model's, name that model"
        raise RuntimeError(
            f"the config{beside} does not fit model {card.name}: {cause}{others}"
        ) from error


def _describe_misfit(expected: Mapping[str, "Tensor"], found: Mapping[str, "Tensor"]) -> str | None:
    """Return in a sentence why tensors do not fit those of a model; None if they fit."""
    if missing := sorted(set(expected) - set(found)):
        return f"{len(missing)} of its {len(expected)} tensors are missing, such as {missing[0]}"
    if unknown := sorted(set(found) - set(expected)):
        return f"{len(unknown)} tensors are not of this model, such as {unknown[0]}"
    for name, tensor in found.items():
        wanted = expected[name]
        if tensor.shape != wanted.shape:
            return f"{name} has shape {tuple(tensor.shape)}, expected {tuple(wanted.shape)}"
        if tensor.is_floating_point() != wanted.is_floating_point():
            return f"{name} is of {tensor.dtype}, expected {wanted.dtype}"
        if not tensor.isfinite().all():
            return f"{name} has values that are not finite"
    return None


def resolve_model(
    model: str | Model,
    weights: str | Path | None,
    load: Callable[[str, str | None], Model],
    contract: Sequence[str],
) -> tuple[str, Model]:
    """Return the name of a model and the model itself, which is given by name or as an object.

    Args:
        model: a name, or a model object in eval mode, whose name is that of its class.
        weights: a checkpoint of the named model instead of the released one.
        load: loads a model by its name and the path of its weights.
        contract: what a model object must have, by attribute names.

    Raises:
        ValueError: an object that comes with weights, that lacks a part of the contract, or that is
            in train mode.
    """
    if isinstance(model, str):
        return model, load(model, None if weights is None else str(weights))
    name = type(model).__name__
    if missing := [attribute for attribute in contract if not hasattr(model, attribute)]:
        raise ValueError(
            f"model must be a name or an object that keeps the contract of its task: "
            f"{name} has no {', '.join(missing)}"
        )
    if weights is not None:
        raise ValueError(f"weights go with the name of a model: load them into the {name} itself")
    if getattr(model, "training", False):
        raise ValueError("model must be in eval mode: call model.eval() first")
    return name, model
