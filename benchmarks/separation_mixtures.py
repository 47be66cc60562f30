"""The mixtures that separators are tested on, as manifests small enough to publish.

    python benchmarks/separation_mixtures.py --data STORES/s1 --splits FILE --others STORES/others \
        --mir1k FOLDER --music FOLDER

Writes `mixtures/*.jsonl`, of 2 s: GRID sentences that were not in training (`sentences_...`) and
speakers that were not (`speakers_...`), each with accompaniment, with accompaniment and a second
voice, singers' too, and with the voice of another of these faces alone, all at equal levels. Music
and singers are those of the test split. Names are those of the folders of stores and sounds: `s1`,
`others`, `mir1k`, `music_cc`. What is named must be there to be heard; nothing is mixed here.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from avsync.data.mixture_manifest import draw_rows, write_manifest
from avsync.data.mixtures import MixtureLevels
from avsync.tasks.separation_spec import SeparationSpec, chunk
from avsync.training.mixture_data import MixtureData, open_mixtures

FOLDER = Path(__file__).parent / "mixtures"
SECONDS, COUNT, SEED = 2, 100, 2026
COMPANY = {
    "music": MixtureLevels(second_share=0.0),
    "music_and_voice": MixtureLevels(second_share=1.0),
    "voice": MixtureLevels(second_share=1.0, music_share=0.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="store of GRID s1")
    parser.add_argument("--splits", type=Path, required=True, help="its splits")
    parser.add_argument("--others", type=Path, required=True, help="store of other speakers")
    parser.add_argument("--mir1k", type=Path, required=True)
    parser.add_argument("--music", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="where resampled sound is kept")
    arguments = parser.parse_args()
    spec = SeparationSpec(*chunk(SECONDS))
    faces = {"sentences": (arguments.data, arguments.splits), "speakers": (arguments.others, None)}
    for who, (store, splits) in faces.items():
        talkers = MixtureData((store,), splits, cache=arguments.cache)
        all_sounds = replace(talkers, music=(arguments.music,), mir1k=arguments.mir1k)
        for company, levels in COMPANY.items():
            data = talkers if company == "voice" else all_sounds
            rows = draw_rows(open_mixtures(data, levels, spec, "test"), COUNT, SEED)
            path = FOLDER / f"{who}_{company}.jsonl"
            write_manifest(path, rows, spec)
            faces_used = len({row.target for row in rows})
            print(f"{path.name}: {len(rows)} mixtures of {faces_used} clips")


if __name__ == "__main__":
    main()
