"""Markdown tables of benchmark results: rows, means with confidence intervals, marked sections."""

import numpy as np
from scipy.stats import t


def row(cells: list[str]) -> str:
    """Return one line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def mean_of(values: list[float]) -> str:
    """Format a mean, with its 95 % confidence interval if there are two or more values."""
    if not values:
        return "-"
    # `z` formats what rounds to zero without a sign.
    mean = f"{np.mean(values):z.1f}"
    return mean if len(values) == 1 else f"{mean} ± {half_interval(values):.1f}"


def half_interval(values: list[float]) -> float:
    """Return the half width of the 95 % confidence interval of the mean, by Student's t."""
    return float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)


def verdict(gains: list[float]) -> str:
    """State whether the 95 % confidence interval of the mean gain excludes 0."""
    if len(gains) < 2:
        return "one seed"
    mean, half = np.mean(gains), half_interval(gains)
    return "better" if mean > half else "worse" if mean < -half else "no difference seen"


def put_in(page: str, name: str, text: str) -> str:
    """Replace the text between a page's marks `<!-- NAME tables: begin -->` and `... end -->`.

    Raises:
        ValueError: if the page lacks one of the marks.
    """
    begin, end = (f"<!-- {name} tables: {word} -->" for word in ("begin", "end"))
    if begin not in page or end not in page:
        raise ValueError(f"the page must have the marks {begin} and {end}")
    before, after = page.partition(begin)[0], page.partition(end)[2]
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"
