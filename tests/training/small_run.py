"""A run of the training loop in a process of its own, to be killed or doubled.

python small_run.py FOLDER SEED   killed at random moments until it is through
torchrun ... small_run.py FOLDER  a run that all processes share
"""

import faulthandler
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path

import lightning_fabric  # noqa: F401  # slow to import: once, before the forks
import timm.utils.model_ema  # noqa: F401
import torch
from torch import nn

from avsync.training.engine.early_stop import Watch
from avsync.training.engine.loop import fit
from avsync.training.engine.settings import LoopSettings

STEPS, SHARED_STEPS, KILLS = 100, 5, 4
# Write end of the pipe by which a child reports that it makes a batch.
pipe: int | None = None


class Noisy(nn.Module):
    """Batch statistics, dropout and momentum: all that a resumed run could get wrong."""

    def __init__(self, plain=False):
        super().__init__()
        torch.manual_seed(0)
        noise = [] if plain else [nn.BatchNorm1d(16), nn.Dropout(0.2)]
        self.net = nn.Sequential(nn.Linear(4, 16), *noise, nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x, y):
        return (self.net(x)[:, 0] - y).square().mean()


def make_batch(rng, draws):
    if pipe is not None:
        os.write(pipe, b".")
    x = torch.rand(8, 4, generator=draws)
    return x, x.sum(1) * float(rng.uniform(0.9, 1.1))


def measured(task):
    return {"weight": float(task.net[0].weight.detach().abs().mean())}


def noisy_run(folder):
    loop = settings(folder, patience=4)
    return fit(Noisy(), make_batch, loop, 1.0, measured, Watch("weight"))


def plain_run(folder, make=make_batch, **changes):
    loop = settings(folder, steps=SHARED_STEPS, lr=0.1, **changes)
    return fit(Noisy(plain=True), make, loop, 1.0, measured)


def settings(folder, **changes):
    small = {"steps": STEPS, "warmup": 10, "save_every": 3, "validate_every": 20, "ema": 0.9}
    return LoopSettings(output=Path(folder), device="cpu", **{**small, **changes})


def killed_run(folder):
    """Restart the run until it ends, and print after how many batches it was killed."""
    global pipe
    moments = random.Random(0)
    killed_after = []
    while True:
        reader, pipe = os.pipe()
        child = forked(lambda: noisy_run(folder))
        os.close(pipe)
        pipe = None
        batches = moments.randrange(2, 20)
        if len(killed_after) < KILLS and reached(reader, batches):
            # Somewhere in a step, or while it is saved: a step takes some milliseconds.
            time.sleep(moments.uniform(0, 0.01))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(reader)
        if not os.WIFSIGNALED(status):
            print("killed after", *killed_after)
            return os.waitstatus_to_exitcode(status)
        killed_after.append(batches)


def reached(reader, count):
    """Return whether the child has made that many batches, once it has or has ended."""
    return all(os.read(reader, 1) for _ in range(count))


def shared_run(folder):
    """Do what `torchrun --nproc-per-node 2` does, without importing again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test"}
    children = []
    for rank in range(2):
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        children.append(forked(lambda: plain_run(folder)))
    return max(abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) for child in children)


def forked(work):
    """Start a process that does the work and exits; return its number."""
    child = os.fork()
    if child:
        return child
    faulthandler.dump_traceback_later(60, exit=True)
    work()
    # To the end of the process, as in a run of its own.
    sys.exit(0)


if __name__ == "__main__":
    # How many threads share a sum changes its last bit: all runs here have one.
    torch.set_num_threads(1)
    root = Path(sys.argv[1])
    noisy_run(root / "whole")
    sys.exit(killed_run(root / "killed") or shared_run(root / "shared"))
