"""Prefetch a generator in a background thread."""

from collections.abc import Generator, Iterator
from contextlib import suppress
from queue import Empty, Queue
from threading import Event, Thread
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")


class _End(NamedTuple):
    error: BaseException | None


def prefetch(items: Generator[Item], count: int) -> Iterator[Item]:
    """Yield the items of a generator that a thread runs at most `count` items ahead.

    The thread ends when this generator does; its errors are raised here.

    Args:
        items: the generator; it is closed at the end.
        count: size of the queue, at least 2: with 1, closing early could block.
    """
    queue: Queue[Item | _End] = Queue(count)
    stop = Event()

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                queue.put(item)
                if stop.is_set():
                    break
        except BaseException as caught:  # Raised again in the caller's thread.
            error = caught
        items.close()
        queue.put(_End(error))

    thread = Thread(target=work, name="avsync-prefetch", daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        # Makes room for the item in flight and the end marker, so that the thread cannot block.
        with suppress(Empty):
            while True:
                queue.get_nowait()
        thread.join()
