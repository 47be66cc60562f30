"""Work done ahead of who needs it, by a thread of its own."""

from collections.abc import Generator, Iterator
from contextlib import suppress
from queue import Empty, Queue
from threading import Event, Thread
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")


class _End(NamedTuple):
    error: BaseException | None


def ahead(items: Generator[Item], count: int) -> Iterator[Item]:
    """Yield the same items, made by a thread that is at most `count` of them ahead.

    The thread ends when this generator does; its errors are raised here. `count` is at least 2, the
    least with which closing early cannot block.
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
        except BaseException as caught:  # Raised again where the caller can see it.
            error = caught
        items.close()
        queue.put(_End(error))

    thread = Thread(target=work, name="avsync-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        # Room for the one item under way and the end: the thread cannot block any more.
        with suppress(Empty):
            while True:
                queue.get_nowait()
        thread.join()
