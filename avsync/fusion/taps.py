"""What a transformer's layers attend to, seen from outside while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor, nn

from avsync.fusion.cross_modal import Attention, CrossModalTransformer


class Attended(NamedTuple):
    """One layer's attention: masked logits `(..., heads, L, K)`, before their softmax, and values
    `(..., heads, K, D / heads)`. Both carry gradients where the pass does.
    """

    logits: Tensor
    values: Tensor


@contextmanager
def attention_of(transformer: CrossModalTransformer) -> Iterator[list[Attended]]:
    """Within it, each pass through the transformer adds the attention of every layer to the list,
    the first layer first. Outside of it nothing is kept, and nothing costs anything.

    `attend_few` folds attention away and adds nothing.
    """
    seen: list[Attended] = []

    def keep(_: nn.Module, arguments: tuple[Tensor, Tensor]) -> None:
        seen.append(Attended(*arguments))

    attentions = [module for module in transformer.modules() if isinstance(module, Attention)]
    hooks = [attention.register_forward_pre_hook(keep) for attention in attentions]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
