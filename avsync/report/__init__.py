"""The report page of a check: one self-contained HTML file. docs/report.md says how to read it."""

from avsync.report.html import write_report

__all__ = ["write_report"]
