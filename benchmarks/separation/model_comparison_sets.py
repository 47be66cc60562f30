"""Test sets of separation: target speech or singing with other voices and accompaniment.

The mixtures of each set are listed in a manifest in `mixtures/`, which was drawn once. The same
clips in stores of the same names give the same mixtures.
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
# Names of the stores' folders in the manifests.
SEEN, UNSEEN, RENDERED = "s1", "others", "rendered"
# Of the rendered clips of seeds 31000 to 31099 every fifth is singing.
SINGING_PERIOD, SINGING_PHASE = 5, 4


class MixtureSet(NamedTuple):
    """A test set of mixtures.

    Args:
        title: title in tables and records.
        name: name of the manifest.
        target: kind of the target clips.
        second: kind of the interfering clips, `singers` for MIR-1K; None for a single voice.
        music: whether there is accompaniment.
    """

    title: str
    name: str
    target: str
    second: str | None = None
    music: bool = True

    @property
    def file(self) -> Path:
        """Path of the manifest."""
        return FOLDER / f"{self.name}.jsonl"


# The speaker of GRID s1 is in the training data, but not these sentences; none of the other
# speakers nor of the rendered voices is.
SETS = [
    MixtureSet("GRID sentences, one voice", "sentences", SEEN),
    MixtureSet("GRID sentences, two voices", "sentences_two", SEEN, SEEN),
    MixtureSet("GRID sentences, two voices without music", "sentences_only_two", SEEN, SEEN, False),
    MixtureSet("GRID sentences beside singers", "sentences_singers", SEEN, "singers"),
    MixtureSet("GRID sentences beside other speakers", "sentences_speakers", SEEN, UNSEEN),
    MixtureSet("Other speakers, one voice", "speakers", UNSEEN),
    MixtureSet("Other speakers, two voices", "speakers_two", UNSEEN, UNSEEN),
    MixtureSet("Other speakers beside GRID sentences", "speakers_sentences", UNSEEN, SEEN),
    MixtureSet("Rendered speech, one voice", "rendered_speech", "speech"),
    MixtureSet("Rendered speech, two voices", "rendered_speech_two", "speech", "speech"),
    MixtureSet("Rendered singing, one voice", "rendered_singing", "singing"),
    MixtureSet("Rendered singing, two voices", "rendered_singing_two", "singing", "singing"),
]
# The sets that the verdicts are about: two voices, held-out sentences, with and without music.
CLAIM = SETS[1:3]


class TestData(NamedTuple):
    """Paths of the clips and audio files of all sets.

    `offset_ms` are the constant offsets of the three stores (positive = the audio leads), which are
    removed.
    """

    seen: Path
    unseen: Path
    rendered: Path
    splits: Path
    offset_ms: tuple[float, float, float]
    mir1k: Path
    music: Path
    landmarks: Path | None = None

    def mixtures(
        self, spec: SeparationSpec, audio: AudioCache, levels: MixtureLevels | None = None
    ) -> Mixtures:
        """Return the mixtures of all test clips, interfering speakers and accompaniment.

        Args:
            spec: input spec of the model.
            audio: cache of resampled audio.
            levels: levels and shares of the parts; None for the defaults.

        Raises:
            ValueError: if the folder of a store does not have the name used in the manifests.
        """
        named = {SEEN: self.seen, UNSEEN: self.unseen, RENDERED: self.rendered}
        sources = []
        for (name, path), offset_ms in zip(named.items(), self.offset_ms, strict=True):
            if path.name != name:
                raise ValueError(f"the folder of this store must be called {name}, got {path}")
            store = Store(path)
            split = "test" if name == SEEN else "train"
            indices = clips_of_split(store, self.splits if name == SEEN else None, split)
            sources.append(FaceSource(store, indices, offset_ms))
        listed = list_mir1k(self.mir1k, "music"), list_audio_files(self.music)
        music = [file for files in listed for file in audio_files_of_split(files, "test")]
        singers = audio_files_of_split(list_mir1k(self.mir1k, "voice"), "test")
        faces = SeparationTargets(sources, spec, audio, self.landmarks if spec.landmarks else None)
        return Mixtures(faces, music, singers, levels)


def rows_of(
    test_set: MixtureSet, data: TestData, spec: SeparationSpec, audio: AudioCache, count: int
) -> list[MixtureRow]:
    """Read the first `count` mixtures of a set; draw and write its manifest if there is none."""
    if not test_set.file.is_file():
        levels = MixtureLevels(
            second_share=1.0 if test_set.second else 0.0,
            music_share=1.0 if test_set.music else 0.0,
        )
        mixtures = restrict(test_set, data.mixtures(spec, audio, levels))
        drawn = draw_rows(mixtures, DRAWN, SEED)
        test_set.file.parent.mkdir(exist_ok=True)
        write_manifest(test_set.file, drawn, spec)
    return read_manifest(test_set.file, spec)[:count]


def restrict(test_set: MixtureSet, mixtures: Mixtures) -> Mixtures:
    """Restrict what is drawn to the kinds of clips of a set; changes and returns `mixtures`."""
    names = [mixtures.faces.names[k] for k in mixtures.usable]
    indices = mixtures.face_indices
    singers = [name for name in mixtures.voices if name not in indices]
    mixtures.usable = [indices[name] for name in names if is_of(name, test_set.target)]
    faces = [name for name in names if test_set.second and is_of(name, test_set.second)]
    mixtures.voices = singers if test_set.second == "singers" else faces
    return mixtures


def is_of(name: str, kind: str) -> bool:
    """Whether a clip `STORE/ID` is of a kind: the name of its store, `speech` or `singing`."""
    store, _, clip = name.partition("/")
    if kind in (SEEN, UNSEEN):
        return store == kind
    seed = re.search(r"s(\d+)", clip)
    if store != RENDERED or seed is None:
        return False
    return (int(seed[1]) % SINGING_PERIOD == SINGING_PHASE) == (kind == "singing")
