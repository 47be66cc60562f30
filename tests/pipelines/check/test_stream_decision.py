"""An answer in tolerance does not stand against much evidence for other offsets."""

import pytest

from avsync.pipelines.check.stream_decision import _contradicts
from avsync.scoring.result import Coverage


@pytest.mark.parametrize(
    ("supports_s", "against_s", "contradicted"),
    [(1.0, 2.9, False), (1.0, 3.0, True), (40.0, 9.9, False), (40.0, 10.0, True)],
)
def test_an_answer_falls_with_3_s_and_a_quarter_of_its_support_against_it(
    supports_s, against_s, contradicted
):
    assert _contradicts(Coverage(supports_s, against_s, 100.0)) is contradicted
