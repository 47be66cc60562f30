"""CPU time of functions, measured in alternation."""

import time
from collections.abc import Callable
from typing import Any


def least_cpu_seconds(
    functions: list[Callable[[], Any]], repeats: int
) -> tuple[list[Any], list[float]]:
    """Call functions in turn and take the least CPU time of each; the first round counts too.

    CPU time of this process does not depend on other programs, as long as all functions use one
    thread.

    Args:
        functions: called without arguments.
        repeats: number of rounds after the first.

    Returns:
        The last result of each function and the least seconds of each.
    """
    results: list[Any] = [None] * len(functions)
    least_s = [float("inf")] * len(functions)
    for _ in range(repeats + 1):
        for index, function in enumerate(functions):
            started_s = time.process_time()
            results[index] = function()
            least_s[index] = min(least_s[index], time.process_time() - started_s)
    return results, least_s
