"""The report page of a check: one self-contained HTML file (see docs/how_to/report.md)."""

from avsync.report.html import write_report

__all__ = ["write_report"]
