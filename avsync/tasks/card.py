"""A row of the tables of released models."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import nn

Config = Mapping[str, Any]
Job = Literal["sync", "separation", "reading", "talking"]


class ModelCard(NamedTuple):
    """A released model.

    `file` lies in the package, beside its config; `sha256` is its hash. Both are None for models
    whose weights are others' to give: users bring theirs with `avsync convert`. `measured` gives
    figures with the command that prints them, or where they were published. `train` is what follows
    `avsync train` where nobody has weights to give, else None. `job` is what the model is for:
    `sync` models score how well face and voice belong together, `separation` models tell voices
    apart, `reading` models write down what is said, `talking` models make faces say it.
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
    job: Job = "sync"


def reference(
    name: str,
    summary: str,
    build: Callable[[Config], "nn.Module"],
    licence: str,
    trained_on: str,
    measured: str,
    job: Job = "sync",
) -> ModelCard:
    """Return a published model whose weights users bring themselves."""
    return ModelCard(name, summary, build, None, None, licence, trained_on, measured, job=job)


def design(
    name: str,
    summary: str,
    build: Callable[[Config], "nn.Module"],
    measured: str,
    train: str,
    page: str,
    job: Job = "sync",
) -> ModelCard:
    """Return a design of which no weights can be had: users train their own."""
    licence = f"no weights published or shipped: train your own; see {page}"
    return ModelCard(name, summary, build, None, None, licence, "nothing", measured, train, job)


def filled(defaults: Any, config: Config) -> Any:
    """Return a frozen config with the given fields changed; ValueError lists its fields."""
    names = [field.name for field in fields(defaults)]
    if unknown := sorted(set(config) - set(names)):
        raise ValueError(
            f"config of {type(defaults).__name__} has no field {', '.join(unknown)}; "
            f"its fields are {', '.join(names)}"
        )
    # JSON knows lists only; the fields of a frozen config are tuples.
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    return replace(defaults, **given)
