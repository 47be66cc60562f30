"""Beam search: the likeliest texts, grown symbol by symbol."""

from collections.abc import Callable

import torch
from torch import Tensor

from avsync.tasks.vocabulary import END

# Maps texts so far `(K, L)`, which begin with END, to log probabilities `(K, V)` of what follows.
NextSymbol = Callable[[Tensor], Tensor]


def beam_search(follows: NextSymbol, beam: int = 1, longest: int = 100) -> list[int]:
    """The likeliest text by its mean log probability per symbol, END among them, without END.

    A beam of 1 is greedy: the likeliest symbol each time. A text that has not ended after `longest`
    symbols is taken as it is where no other has ended.

    Args:
        follows: the model.
        beam: texts that are grown side by side.
        longest: symbols of a text.
    """
    if beam < 1 or longest < 1:
        raise ValueError(f"beam and longest must be 1 or more, got {beam} and {longest}")
    texts, sums = torch.full((1, 1), END), torch.zeros(1)
    ended: list[tuple[float, list[int]]] = []
    for _ in range(longest):
        totals = sums[:, None] + follows(texts).float().cpu()
        best = totals.flatten().topk(min(beam, totals.numel()))
        rows = best.indices.div(totals.shape[1], rounding_mode="floor")
        texts = torch.cat([texts[rows], (best.indices % totals.shape[1])[:, None]], dim=1)
        over = texts[:, -1] == END
        # Every text that ends now has as many symbols.
        count = texts.shape[1] - 1
        pairs = zip(best.values[over], texts[over], strict=True)
        ended += [(float(total) / count, text[1:-1].tolist()) for total, text in pairs]
        texts, sums = texts[~over], best.values[~over]
        if len(ended) >= beam or not len(texts):
            break
    if not ended:
        return texts[int(sums.argmax()), 1:].tolist()
    return max(ended)[1]
