"""The mixtures that separators are measured on: who sings or speaks beside whom.

Each set is a manifest in `mixtures/`, drawn once. Whoever prepared the same clips in stores of the
same names makes the same mixtures of it.
"""

import re
from pathlib import Path
from typing import NamedTuple

from avsync.data.cache.audio import AudioCache
from avsync.data.corpora.audio_files import audio_files_of_split, list_audio_files, list_mir1k
from avsync.data.sampling.mixture_manifest import draw_rows, read_manifest, write_manifest
from avsync.data.sampling.mixtures import MixtureLevels, MixtureRow, Mixtures
from avsync.data.sampling.separation_targets import FaceSource, SeparationTargets
from avsync.data.store.reader import Store
from avsync.data.store.splits import clips_of_split
from avsync.tasks.separation.input_spec import SeparationSpec

FOLDER = Path(__file__).parent / "mixtures"
SEED, DRAWN = 0, 40
# Stores go by their folders' names in a manifest.
SEEN, UNSEEN, RENDERED = "s1", "others", "rendered"
# Of the rendered clips of seeds 31000 to 31099 every fifth sings.
SINGS_EVERY, SINGS_AT = 5, 4


class SetPlan(NamedTuple):
    """A set of mixtures, whose manifest is `name`: whose voices are looked for, and whose are heard
    besides.

    `target` and `second` are kinds of clips, `singers` those of MIR-1K; without `second` there is
    one voice.
    """

    title: str
    name: str
    target: str
    second: str | None = None
    music: bool = True

    @property
    def file(self) -> Path:
        """Its manifest."""
        return FOLDER / f"{self.name}.jsonl"


# The speaker of GRID s1 was heard in training, though not these sentences; none of the other
# speakers was, nor any of these rendered voices.
SETS = [
    SetPlan("GRID sentences, one voice", "sentences", SEEN),
    SetPlan("GRID sentences, two voices", "sentences_two", SEEN, SEEN),
    SetPlan("GRID sentences, two voices without music", "sentences_only_two", SEEN, SEEN, False),
    SetPlan("GRID sentences beside singers", "sentences_singers", SEEN, "singers"),
    SetPlan("GRID sentences beside other speakers", "sentences_speakers", SEEN, UNSEEN),
    SetPlan("Other speakers, one voice", "speakers", UNSEEN),
    SetPlan("Other speakers, two voices", "speakers_two", UNSEEN, UNSEEN),
    SetPlan("Other speakers beside GRID sentences", "speakers_sentences", UNSEEN, SEEN),
    SetPlan("Rendered speech, one voice", "rendered_speech", "speech"),
    SetPlan("Rendered speech, two voices", "rendered_speech_two", "speech", "speech"),
    SetPlan("Rendered singing, one voice", "rendered_singing", "singing"),
    SetPlan("Rendered singing, two voices", "rendered_singing_two", "singing", "singing"),
]
# Of two voices, with and without music, of unseen sentences.
CLAIM = SETS[1:3]


class TestData(NamedTuple):
    """Where the clips and sounds of all sets lie; `offset_ms` of each store (positive = the audio
    leads) is taken off.
    """

    seen: Path
    unseen: Path
    rendered: Path
    splits: Path
    offset_ms: tuple[float, float, float]
    mir1k: Path
    music: Path
    landmarks: Path | None = None

    def company(
        self, spec: SeparationSpec, sounds: AudioCache, levels: MixtureLevels | None = None
    ) -> Mixtures:
        """All test clips in the geometry of a task, with music of the test splits; ValueError where
        a store is not called as manifests call it.
        """
        named = {SEEN: self.seen, UNSEEN: self.unseen, RENDERED: self.rendered}
        sources = []
        for (name, path), offset_ms in zip(named.items(), self.offset_ms, strict=True):
            if path.name != name:
                raise ValueError(f"the folder of this store must be called {name}, got {path}")
            store = Store(path)
            split = "test" if name == SEEN else "train"
            places = clips_of_split(store, self.splits if name == SEEN else None, split)
            sources.append(FaceSource(store, places, offset_ms))
        music = list_mir1k(self.mir1k, "music"), list_audio_files(self.music)
        chosen = [sound for each in music for sound in audio_files_of_split(each, "test")]
        singers = audio_files_of_split(list_mir1k(self.mir1k, "voice"), "test")
        faces = SeparationTargets(sources, spec, sounds, self.landmarks if spec.landmarks else None)
        return Mixtures(faces, chosen, singers, levels)


def build_evidence_map(
    plan: SetPlan, data: TestData, spec: SeparationSpec, sounds: AudioCache, count: int
) -> list[MixtureRow]:
    """The first `count` mixtures of a set: those of its manifest, which is drawn and written where
    there is none.
    """
    if not plan.file.is_file():
        levels = MixtureLevels(
            second_share=1.0 if plan.second else 0.0, music_share=1.0 if plan.music else 0.0
        )
        mixtures = restricted(plan, data.company(spec, sounds, levels))
        drawn = draw_rows(mixtures, DRAWN, SEED)
        plan.file.parent.mkdir(exist_ok=True)
        write_manifest(plan.file, drawn, spec)
    return read_manifest(plan.file, spec)[:count]


def restricted(plan: SetPlan, mixtures: Mixtures) -> Mixtures:
    """The mixtures, of which only those of the plan are drawn."""
    names = [mixtures.faces.names[k] for k in mixtures.usable]
    singers = [name for name in mixtures.voices if name not in mixtures.face_indices]
    mixtures.usable = [mixtures.face_indices[name] for name in names if is_of(name, plan.target)]
    faces = [name for name in names if plan.second and is_of(name, plan.second)]
    mixtures.voices = singers if plan.second == "singers" else faces
    return mixtures


def is_of(name: str, kind: str) -> bool:
    """Whether a clip `STORE/ID` is of that kind: of that store, or rendered speech or singing."""
    store, _, clip = name.partition("/")
    if kind in (SEEN, UNSEEN):
        return store == kind
    seed = re.search(r"s(\d+)", clip)
    if store != RENDERED or seed is None:
        return False
    return (int(seed[1]) % SINGS_EVERY == SINGS_AT) == (kind == "singing")
