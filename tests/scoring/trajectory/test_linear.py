import pytest

from avsync.scoring.trajectory.linear import likely_cause


@pytest.mark.parametrize(
    ("ppm", "error_ppm", "cause"),
    [
        (1003.0, 5.0, "made at 24 fps, played at 23.976"),
        (-985.0, 5.0, "made at 23.976 fps, played at 24"),
        (900.0, 60.0, "made at 24 fps, played at 23.976"),
        (900.0, 5.0, "a recorder's clock off by 900 ppm"),
        (-212.0, 30.0, "a recorder's clock off by 212 ppm"),
    ],
)
def test_a_confusion_of_rates_is_the_cause_only_if_the_slope_matches(ppm, error_ppm, cause):
    assert likely_cause(ppm, error_ppm).startswith(cause)
