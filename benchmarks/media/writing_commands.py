"""The commands of avsync that write files, with small inputs for them."""

import json
import multiprocessing
import shutil
from functools import partial
from pathlib import Path

import torch

from avsync.cli import main
from avsync.media.writers.remux import shift_audio
from avsync.media.writers.retime import retime_audio
from avsync.media.writers.time_map import AudioSegment
from avsync.pipelines.check.check_file import load_model
from avsync.pipelines.prepare.prepare_store import prepare
from avsync.synthetic import render_clip
from avsync.tasks.registry import create_model
from avsync.weights import save
from benchmarks.media.kill_writers import Command

SIZE = (320, 240)
ROOT = Path(__file__).parents[2]
# A talking-face model that is trained for nothing.
_GENERATOR = {"channels": [4, 6, 8, 12, 16, 24], "decoder": [24, 16, 12, 8, 6], "drawn": 4}
TALKER = {"mel_channels": [2, 3, 4, 5], "generator": _GENERATOR}


def make_commands(inputs: Path) -> list[Command]:
    """Write the inputs and return the commands.

    Args:
        inputs: folder for the inputs.
    """
    # In a process of its own: OpenCV's threads, once started, do not survive a fork.
    maker = multiprocessing.get_context("spawn").Process(target=_make_inputs, args=(inputs,))
    maker.start()
    maker.join()
    if maker.exitcode:
        raise RuntimeError("the inputs could not be made")
    load_model("dense_sync")
    tables = ("--json", "{out}/a.json", "--csv", "{out}/a.csv", "--html", "{out}/a.html")
    clips = ("{in}/anna/0.mp4", "{in}/ben/1.mkv")
    lines = ("--jsonl", "{out}/a.jsonl", "--resume")
    replace = "--overwrite"
    talk = ("--face", "{in}/anna/0.mp4", "--audio", "{in}/ben/1.mkv", "--model", "wav2lip")
    weights = ("--weights", "{in}/talker.safetensors", "-o", "{out}/new.mp4")
    train = ("--steps", "6", "--warmup", "0", "--save-every", "2", "--validate-every", "0")
    small = ("--batch", "2", "--frames", "12", "--width", "0.25", "--device", "cpu")
    convert = ("syncnet", "{in}/published.pth", "-o", "{out}/syncnet.safetensors", replace)
    store = ("--data", "{in}/store")
    return [
        _command("check tables", "check", *clips, *tables, replace, earlier=True),
        _command("check jsonl", "check", *clips, *lines),
        _command("check workers", "check", *clips, *lines, "--workers", "2"),
        _command("fix", "fix", "{in}/shifted.mp4", "-o", "{out}/fixed.mp4", replace, earlier=True),
        Command("retime", _retime, earlier=True),
        _command(
            *("separate", "separate", "{in}/two.mp4", "-o", "{out}", "--mux", replace),
            *("--html", "{out}/page.html"),
            earlier=True,
            together=(".wav", ".json", ".mp4"),
        ),
        _command(
            "talk", "talk", *talk, *weights, "--json", "{out}/talk.json", replace, earlier=True
        ),
        _command("demo", "demo", "{out}/demo", replace, earlier=True)._replace(slow=True),
        _command("prepare", "prepare", "{in}/videos", "-o", "{out}/store"),
        _command("features", "features", *clips, "-o", "{out}/features"),
        _command(
            "audit", "audit", "{in}/store", "--clean", "{out}/clean.csv", replace, earlier=True
        ),
        _command(
            *("evaluate", "evaluate", "sync", *store, "--json", "{out}/figures.json", replace),
            earlier=True,
        ),
        _command("train", "train", "dense-sync", *store, "-o", "{out}/run", *train, *small),
        _command(
            *("convert", "convert", *convert),
            earlier=True,
            together=(".safetensors", ".json"),
        ),
    ]


def _command(
    name: str, *arguments: str, earlier: bool = False, together: tuple[str, ...] = ()
) -> Command:
    return Command(name, partial(_run, arguments), earlier, together)


def _run(arguments: tuple[str, ...], inputs: Path, output: Path) -> int:
    paths = {"{in}": str(inputs), "{out}": str(output)}
    filled = []
    for argument in arguments:
        for mark, path in paths.items():
            argument = argument.replace(mark, path)
        filled.append(argument)
    return main(filled)


def _retime(inputs: Path, output: Path) -> int:
    # Directly: drift that `fix` would find takes a clip of minutes.
    segments = [AudioSegment(0, 99, 0, 500)]
    retime_audio(inputs / "ben" / "1.mkv", output / "retimed.mkv", segments, overwrite=True)
    return 0


def _make_inputs(inputs: Path) -> None:
    for folder in ("anna", "ben", "videos/anna", "videos/ben"):
        (inputs / folder).mkdir(parents=True, exist_ok=True)
    render_clip(inputs / "anna/0.mp4", 11, 3.0, size=SIZE)
    render_clip(inputs / "ben/1.mkv", 12, 3.0, size=SIZE)
    render_clip(inputs / "two.mp4", 13, 3.0, faces=2, size=(640, 360))
    shift_audio(inputs / "anna/0.mp4", inputs / "shifted.mp4", -200.0)
    for name in ("anna/0.mp4", "ben/1.mkv"):
        shutil.copy(inputs / name, inputs / "videos" / name)
    prepare(inputs / "videos", inputs / "store")
    torch.manual_seed(0)
    talker = create_model("wav2lip", config=TALKER)
    save(inputs / "talker.safetensors", talker.state_dict(), TALKER)
    keys = json.loads((ROOT / "tests" / "golden" / "keys_syncnet.json").read_text("utf-8"))
    published = {
        key: torch.tensor(0) if key.endswith("num_batches_tracked") else torch.rand(shape)
        for key, shape in keys.items()
    }
    torch.save(published, inputs / "published.pth")
