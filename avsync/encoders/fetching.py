"""What to say where the published weights of somebody else's network cannot be had."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def fetching(name: str) -> Iterator[None]:
    """RuntimeError, with what can be done, where weights of that name could not be fetched."""
    try:
        yield
    except OSError as error:
        raise RuntimeError(
            f"the weights of {name} could not be fetched ({error}); without pretrained=True it "
            "begins from scratch"
        ) from error
