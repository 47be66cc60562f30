"""The phones of a synthetic speaker: acoustic targets, and targets of lips, jaw and tongue.

Source: formants of an average man from Peterson and Barney, Control methods used in a study of the
vowels, 1952. Lips and jaw are in millimetres of an average face.
"""

from typing import NamedTuple


class Phone(NamedTuple):
    """Articulatory and acoustic targets of one phone.

    `formants` are F1 to F3 in Hz. `voicing`, `aspiration` and `murmur` are amplitudes of the
    glottal source, of breath through the mouth, and of the voice through closed lips or the nose;
    `noise` holds the amplitudes of frication in `NOISE_BANDS_HZ`. `jaw_mm` and `aperture_mm` are
    openings, `spread_mm` moves each mouth corner outwards; `rounding`, `tuck` (lower lip under the
    teeth) and `tongue` (tip raised, visible) are in [0, 1]. `dominance` is the weight of the
    phone's lips and jaw against its neighbours' (coarticulation): a weak phone takes the shape of
    the vowels around it. `lips_closed` closes the lips completely.
    """

    formants: tuple[float, float, float]
    duration_s: float
    voicing: float = 0.0
    aspiration: float = 0.0
    murmur: float = 0.0
    noise: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    jaw_mm: float = 4.0
    aperture_mm: float = 5.0
    spread_mm: float = 0.0
    rounding: float = 0.0
    tuck: float = 0.0
    tongue: float = 0.0
    dominance: float = 1.0
    lips_closed: bool = False


# Of bursts of the lips, bursts of the back of the tongue, sh, and s.
NOISE_BANDS_HZ = ((300.0, 1600.0), (1300.0, 3600.0), (2200.0, 6000.0), (4200.0, 10500.0))


def _vowel(
    formants: tuple[float, float, float],
    jaw: float,
    aperture: float,
    spread: float,
    rounding: float,
) -> Phone:
    return Phone(
        formants,
        0.15,
        1.0,
        0.02,
        jaw_mm=jaw,
        aperture_mm=aperture,
        spread_mm=spread,
        rounding=rounding,
    )


VOWELS = {
    "iy": _vowel((280, 2250, 2900), 3.0, 4.5, 4.5, 0.0),
    "ih": _vowel((400, 1950, 2550), 4.5, 6.5, 2.5, 0.0),
    "eh": _vowel((550, 1800, 2500), 7.0, 9.0, 2.0, 0.0),
    "ae": _vowel((680, 1700, 2450), 11.0, 13.0, 2.5, 0.0),
    "aa": _vowel((740, 1120, 2450), 13.0, 15.5, 0.0, 0.0),
    "ah": _vowel((620, 1220, 2500), 9.0, 10.5, 0.0, 0.0),
    "ao": _vowel((590, 860, 2450), 11.0, 12.5, -4.0, 0.6),
    "ow": _vowel((480, 900, 2350), 7.0, 8.0, -5.5, 0.85),
    "uh": _vowel((450, 1050, 2300), 5.0, 6.0, -3.0, 0.5),
    "uw": _vowel((320, 900, 2250), 3.0, 3.5, -7.0, 1.0),
    "er": _vowel((480, 1350, 1700), 5.0, 6.0, -2.0, 0.4),
    "ax": _vowel((520, 1450, 2450), 5.0, 6.0, 0.0, 0.0),
}
_LIPS, _GUM, _BACK = (280.0, 900.0, 2200.0), (320.0, 1700.0, 2600.0), (300.0, 1900.0, 2400.0)
_PALATE = (320.0, 1900.0, 2500.0)
CONSONANTS: dict[str, tuple[Phone, ...]] = {
    # A stop is a closure and then a release: its burst is exactly between them.
    "p": (
        Phone(_LIPS, 0.095, jaw_mm=3, aperture_mm=0, dominance=1.5, lips_closed=True),
        Phone(_LIPS, 0.045, aspiration=0.5, dominance=0.05),
    ),
    "b": (
        Phone(_LIPS, 0.085, murmur=0.25, jaw_mm=3, aperture_mm=0, dominance=1.5, lips_closed=True),
        Phone(_LIPS, 0.010, voicing=0.5, dominance=0.05),
    ),
    "m": (
        Phone(_LIPS, 0.085, murmur=0.8, jaw_mm=3, aperture_mm=0, dominance=1.5, lips_closed=True),
    ),
    "t": (
        Phone(_GUM, 0.070, jaw_mm=2.0, aperture_mm=3.0, spread_mm=1, tongue=0.8, dominance=0.3),
        Phone(_GUM, 0.040, aspiration=0.45, noise=(0, 0, 0.1, 0.15), dominance=0.05),
    ),
    "d": (
        Phone(
            _GUM,
            0.060,
            murmur=0.22,
            jaw_mm=2.0,
            aperture_mm=3.0,
            spread_mm=1,
            tongue=0.8,
            dominance=0.3,
        ),
        Phone(_GUM, 0.012, voicing=0.5, noise=(0, 0, 0.05, 0.05), dominance=0.05),
    ),
    "n": (Phone(_GUM, 0.070, murmur=0.8, jaw_mm=2.5, aperture_mm=3.5, tongue=0.8, dominance=0.3),),
    "k": (
        Phone(_BACK, 0.075, jaw_mm=4, aperture_mm=5.0, dominance=0.15),
        Phone(_BACK, 0.050, aspiration=0.5, noise=(0, 0.12, 0, 0), dominance=0.05),
    ),
    "g": (
        Phone(_BACK, 0.065, murmur=0.22, jaw_mm=4, aperture_mm=5.0, dominance=0.15),
        Phone(_BACK, 0.015, voicing=0.5, noise=(0, 0.06, 0, 0), dominance=0.05),
    ),
    "f": (
        Phone(
            _LIPS,
            0.100,
            noise=(0.03, 0.05, 0.07, 0.10),
            jaw_mm=2.5,
            aperture_mm=1.2,
            tuck=1,
            dominance=1.5,
        ),
    ),
    "v": (
        Phone(
            _LIPS,
            0.070,
            voicing=0.3,
            noise=(0.02, 0.03, 0.04, 0.05),
            jaw_mm=2.5,
            aperture_mm=1.2,
            tuck=1,
            dominance=1.5,
        ),
    ),
    "s": (
        Phone(
            _GUM,
            0.110,
            noise=(0, 0, 0.05, 0.50),
            jaw_mm=1,
            aperture_mm=3.2,
            spread_mm=2,
            dominance=0.6,
        ),
    ),
    "z": (
        Phone(
            _GUM,
            0.080,
            voicing=0.25,
            noise=(0, 0, 0.03, 0.25),
            jaw_mm=1,
            aperture_mm=3.2,
            spread_mm=2,
            dominance=0.6,
        ),
    ),
    "sh": (
        Phone(
            _PALATE,
            0.110,
            noise=(0, 0.08, 0.5, 0.15),
            jaw_mm=2,
            aperture_mm=5,
            spread_mm=-4,
            rounding=0.8,
            dominance=1.0,
        ),
    ),
    "ch": (
        Phone(_PALATE, 0.060, jaw_mm=2, aperture_mm=4, spread_mm=-3, rounding=0.7, dominance=0.9),
        Phone(
            _PALATE,
            0.070,
            noise=(0, 0.08, 0.45, 0.15),
            jaw_mm=2,
            aperture_mm=5,
            spread_mm=-4,
            rounding=0.8,
            dominance=0.9,
        ),
    ),
    "th": (
        Phone(
            _GUM,
            0.085,
            noise=(0.01, 0.02, 0.04, 0.07),
            jaw_mm=3.5,
            aperture_mm=5,
            tongue=1.0,
            dominance=0.7,
        ),
    ),
    "h": (Phone((520.0, 1450.0, 2450.0), 0.060, aspiration=0.5, dominance=0.03),),
    "l": (
        Phone(
            (360, 1100, 2600),
            0.070,
            voicing=0.55,
            jaw_mm=5,
            aperture_mm=6,
            tongue=1.0,
            dominance=0.35,
        ),
    ),
    "r": (
        Phone(
            (340, 1150, 1600),
            0.070,
            voicing=0.55,
            jaw_mm=3,
            aperture_mm=4.5,
            spread_mm=-3,
            rounding=0.6,
            dominance=0.6,
        ),
    ),
    "w": (
        Phone(
            (300, 700, 2200),
            0.075,
            voicing=0.5,
            jaw_mm=2.5,
            aperture_mm=2.2,
            spread_mm=-7,
            rounding=1.0,
            dominance=1.3,
        ),
    ),
    "y": (
        Phone(
            (270, 2200, 3000),
            0.060,
            voicing=0.5,
            jaw_mm=2.5,
            aperture_mm=4,
            spread_mm=3,
            dominance=0.6,
        ),
    ),
}
REST = Phone((500.0, 1500.0, 2500.0), 0.3, jaw_mm=0.5, aperture_mm=0.0, dominance=0.6)
INHALE = Phone(
    (600.0, 1500.0, 2500.0), 0.25, aspiration=0.05, jaw_mm=4.0, aperture_mm=4.0, dominance=0.6
)
# Index of the noise band of a stop's burst.
BURST_BAND = {"p": 0, "b": 0, "t": 3, "d": 3, "k": 1, "g": 1, "ch": 2}
