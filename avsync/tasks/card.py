"""Model cards: what is known of each released model, and how it is built."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from torch import nn

Config = Mapping[str, Any]
Build = Callable[[Config], "nn.Module"]
Job = Literal["sync", "separation", "reading", "talking"]
FrozenConfig = TypeVar("FrozenConfig", bound="DataclassInstance")


class ModelCard(NamedTuple):
    """A released model.

    Args:
        name: what `create_model` and the command line call it.
        summary: architecture and size, in one line.
        build: builds the model with fresh weights, from the fields of its config that differ from
            the defaults.
        file: weights in the package, with their config beside them; None for models whose weights
            avsync may not ship: users bring theirs with `avsync convert`.
        sha256: hash of `file`; None without a file.
        licence: of the weights.
        trained_on: training data of the weights.
        measured: figures, with the command that prints them, or where they were published.
        train: arguments of `avsync train` for a model of which nobody published weights, else None.
        job: `sync` models score how well face and audio match in time, `separation` models extract
            one face's voice from a mixture, `reading` models transcribe speech, `talking` models
            generate a face that speaks given audio.
        config_sha256: `sha256_of_config` of the JSON beside `file`, which holds config and
            calibration; None without a file.
    """

    name: str
    summary: str
    build: Build
    file: str | None
    sha256: str | None
    licence: str
    trained_on: str
    measured: str
    train: str | None = None
    job: Job = "sync"
    config_sha256: str | None = None


def upstream_card(
    name: str,
    summary: str,
    build: Build,
    licence: str,
    trained_on: str,
    measured: str,
    job: Job = "sync",
) -> ModelCard:
    """Return the card of a model whose weights its authors publish: users convert them."""
    return ModelCard(name, summary, build, None, None, licence, trained_on, measured, job=job)


def untrained_card(
    name: str,
    summary: str,
    build: Build,
    measured: str,
    train: str,
    page: str,
    job: Job = "sync",
) -> ModelCard:
    """Return the card of a model without published weights: users train their own.

    Args:
        name: see `ModelCard`, as for the other arguments.
        summary: one line.
        build: builds the model.
        measured: figures.
        train: arguments of `avsync train`.
        page: documentation of the model, named in the licence.
        job: what the model is for.
    """
    licence = f"no weights published or shipped: train your own; see {page}"
    return ModelCard(name, summary, build, None, None, licence, "nothing", measured, train, job)


def replace_fields(defaults: FrozenConfig, config: Config) -> FrozenConfig:
    """Return a frozen config with some of its fields replaced.

    Args:
        defaults: the config; its fields may be configs.
        config: new values by name, as read from JSON: nested configs are dictionaries, and lists
            become tuples.

    Raises:
        ValueError: a name is not a field; the message lists the fields.
    """
    names = [field.name for field in fields(defaults)]
    if unknown := sorted(set(config) - set(names)):
        raise ValueError(
            f"config of {type(defaults).__name__} has no field {', '.join(unknown)}; "
            f"its fields are {', '.join(names)}"
        )
    values: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            value = replace_fields(getattr(defaults, name), value)
        values[name] = tuple(value) if isinstance(value, list) else value
    return replace(defaults, **values)
