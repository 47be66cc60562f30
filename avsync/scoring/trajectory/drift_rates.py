"""What is likely to have made a drift, in words."""

# Each slope in ppm that a mistake of rates gives, 1 - played / made of the frame or its inverse
# of the audio, and the mistake. Frames played slower than made leave the audio ahead.
RATES: tuple[tuple[float, str], ...] = (
    (1e6 * (1 - 1000 / 1001), "made at 24 fps, played at 23.976 (or made at 30, played at 29.97)"),
    (1e6 * (1 - 1001 / 1000), "made at 23.976 fps, played at 24 (or made at 29.97, played at 30)"),
    (1e6 * (1 - 24 / 25), "made at 25 fps, played at 24"),
    (1e6 * (1 - 25 / 24), "made at 24 fps, played at 25"),
    (1e6 * (1 - 24 / 25.025), "made at 25 fps, played at 23.976"),
    (1e6 * (1 - 25.025 / 24), "made at 23.976 fps, played at 25"),
    (1e6 * (1 - 44.1 / 48), "audio of 44.1 kHz played at 48"),
    (1e6 * (1 - 48 / 44.1), "audio of 48 kHz played at 44.1"),
)
# A slope is a mistake of rates where it is as close as this, or as its own error allows.
NEAR_PPM = 40.0


def likely_cause(ppm: float, error_ppm: float) -> str:
    """Return what is likely to have made a drift, in words; a mistake of rates where the slope is as near
    to one as can be told.
    """
    rate_ppm, cause = min(RATES, key=lambda rate: abs(rate[0] - ppm))
    if abs(rate_ppm - ppm) <= max(NEAR_PPM, min(2 * error_ppm, 0.1 * abs(rate_ppm))):
        return cause
    return f"a recorder's clock off by {abs(ppm):.0f} ppm"
