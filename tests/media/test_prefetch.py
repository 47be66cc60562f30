import threading
import time

import pytest

from avsync.media.prefetch import prefetch


def counted(limit, made, fail_at=None):
    try:
        for number in range(limit):
            if number == fail_at:
                raise RuntimeError("broken")
            made.append(number)
            yield number
    finally:
        made.append("closed")


def test_items_come_whole_and_in_order():
    made = []
    assert list(prefetch(counted(100, made), 3)) == list(range(100))
    assert made[-1] == "closed"


def test_the_thread_is_ahead_but_not_by_more_than_asked():
    made = []
    items = prefetch(counted(100, made), 4)
    next(items)
    deadline = time.monotonic() + 5
    while len(made) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(made) == 6  # one taken, four waiting, one in hand
    items.close()


def test_closing_early_ends_the_thread_and_closes_the_items():
    made = []
    before = threading.active_count()
    items = prefetch(counted(10**6, made), 2)
    assert next(items) == 0
    items.close()
    assert threading.active_count() == before
    assert made[-1] == "closed"


def test_errors_are_raised_where_the_items_are_used():
    items = prefetch(counted(5, [], fail_at=2), 2)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(RuntimeError, match="broken"):
        next(items)
