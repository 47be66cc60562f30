"""Where training runs: one device, or as many processes as torchrun has started."""

import atexit
import gc
import os
from typing import TYPE_CHECKING

import torch
from torch import nn

from avsync.training.settings import LoopSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def start_fabric(settings: LoopSettings) -> "Fabric":
    """Fabric on one device, or on all processes of torchrun, on however many nodes."""
    from lightning_fabric import Fabric

    processes = here = 1
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        processes = int(os.environ["WORLD_SIZE"])
        here = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(
        accelerator=settings.device,
        devices=here,
        num_nodes=processes // here,
        strategy="ddp" if processes > 1 else "auto",
        precision=settings.precision,
    )
    if processes > 1:
        fabric.launch()
        atexit.unregister(_part)
        atexit.register(_part)
    return fabric


def share_first(fabric: "Fabric", module: nn.Module) -> None:
    """Gives every process the first one's weights and buffers.

    Buffers differ between processes: after this it does not matter which one writes a file last.
    """
    if fabric.world_size > 1:
        for value in module.state_dict().values():
            torch.distributed.broadcast(value, 0)
        # A process that ended while another still listens to it would take that one down.
        torch.distributed.barrier()


def _part() -> None:
    # In this order, while Python still stands: threads of gloo that still want the interpreter
    # bring the process down at its very end, and for ever wait for a group that DDP frees last.
    gc.collect()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
