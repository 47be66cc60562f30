"""Vocabulary of a lip reader: characters or words as numbers."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Unit = Literal["characters", "words"]
CHARACTERS = " abcdefghijklmnopqrstuvwxyz0123456789'"
# Starts and ends every text, as in fairseq.
END = 0
# Target after the end of a text, which losses ignore.
IGNORED = -100


class TextBatch(NamedTuple):
    """Texts for teacher forcing: inputs `(B, L)` start with END, targets `(B, L)` end with END."""

    inputs: Tensor
    targets: Tensor


class Vocabulary:
    """Convert texts to numbers and back; 0 is the end of a text.

    Texts are in lower case.

    Args:
        unit: kind of symbols.
        symbols: in order, the first has number 1; by default the characters of English.
    """

    def __init__(self, unit: Unit = "characters", symbols: Sequence[str] = ()) -> None:
        if unit not in ("characters", "words"):
            raise ValueError(f"unit must be characters or words, got {unit!r}")
        if unit == "words" and not symbols:
            raise ValueError("symbols must list the words of a vocabulary of words, got none")
        self.unit, self.symbols = unit, tuple(symbols or CHARACTERS)
        self._numbers = {symbol: number for number, symbol in enumerate(self.symbols, start=1)}
        if len(self._numbers) < len(self.symbols):
            raise ValueError("symbols must differ from each other, got one twice")

    def __len__(self) -> int:
        return 1 + len(self.symbols)

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text, without END.

        Raises:
            ValueError: a symbol is not in the vocabulary; the message names it.
        """
        words = text.lower().split()
        parts = words if self.unit == "words" else list(" ".join(words))
        if unknown := sorted(set(parts) - set(self._numbers)):
            raise ValueError(f"text must be made of the {self.unit} known, got {unknown} as well")
        return [self._numbers[part] for part in parts]

    def decode(self, numbers: Iterable[int]) -> str:
        """Return the text of numbers, up to the first END."""
        parts = []
        for number in numbers:
            if number == END:
                break
            parts.append(self.symbols[number - 1])
        text = (" " if self.unit == "words" else "").join(parts)
        return " ".join(text.split())

    def batch(self, texts: Sequence[str]) -> TextBatch:
        """Return texts for a decoder that predicts each symbol from those before it."""
        encoded = [self.encode(text) for text in texts]
        length = 1 + max(map(len, encoded))
        inputs = torch.full((len(texts), length), END)
        targets = torch.full((len(texts), length), IGNORED)
        for row, numbers in enumerate(encoded):
            inputs[row, 1 : 1 + len(numbers)] = torch.tensor(numbers, dtype=torch.long)
            targets[row, : 1 + len(numbers)] = torch.tensor([*numbers, END])
        return TextBatch(inputs, targets)
