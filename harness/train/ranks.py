"""The processes that train one model together: who they are, and what they tell each other beside gradients.

One process is the plain case: nothing of torch.distributed is touched then, and every call gives back what it got. With
several, small facts go through gloo on the CPU, whatever carries the gradients. All ranks must make the same calls in
the same order.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from harness.core.errors import RunFailedError
from harness.core.parallel import ParallelConfig, expert_group_size

_T = TypeVar("_T")
_LOOK_AGAIN_S = 0.05
MAIN = 0


@dataclass(slots=True)
class Ranks:
    """This process among `size`; `rank` 0 is the main one, which decides, writes and answers.

    `local_rank` numbers the processes that one launcher started on this machine, `local_size` counts them. `mesh` has
    all devices in one dimension, `expert_mesh` the dimensions ``replicate`` and ``expert`` (``None``: no experts are
    sharded). `control` is the group of all ranks on the CPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    strategy: str = "none"
    backend: str = "none"
    mesh: DeviceMesh | None = None
    expert_mesh: DeviceMesh | None = None
    control: Any = None
    _store: Any = None
    _num_waits: int = field(default=0, repr=False)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that decides, writes and answers."""
        return self.rank == MAIN

    @property
    def is_alone(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    def shard_experts_over(self, num_ranks: int) -> None:
        """Group the ranks, neighbours together, so that the experts are shared out over `num_ranks` of them."""
        assert self.mesh is not None  # noqa: S101 - there are other ranks
        shape = (self.size // num_ranks, num_ranks)
        self.expert_mesh = init_device_mesh(self.mesh.device_type, shape, mesh_dim_names=("replicate", "expert"))

    def share(self, batch: np.ndarray) -> np.ndarray:
        """Return this rank's rows of a step's batch: equal parts, in the order of ranks."""
        rows = len(batch) // self.size
        return batch if self.is_alone else batch[self.rank * rows : (self.rank + 1) * rows]

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        if not self.is_alone:
            dist.all_reduce(torch.zeros(1), group=self.control)

    def sum_(self, tensor: Tensor) -> Tensor:
        """Add up `tensor` over the ranks in place and return it; on its own device."""
        if not self.is_alone:
            dist.all_reduce(tensor)
        return tensor

    def gather(self, value: _T) -> list[_T]:
        """Return the value of every rank, in the order of ranks; on all ranks. Values are small and picklable."""
        if self.is_alone:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.control)
        return values

    def from_main(self, value: _T) -> _T:
        """Return the value of the main rank, on all ranks."""
        if self.is_alone:
            return value
        values: list[Any] = [value if self.is_main else None]
        dist.broadcast_object_list(values, src=MAIN, group=self.control)
        out: _T = values[0]
        return out

    def any_true(self, value: bool) -> bool:
        """Return whether the value of any rank is true; cheap enough for every step."""
        if self.is_alone:
            return value
        flag = torch.tensor([int(value)])
        dist.all_reduce(flag, dist.ReduceOp.MAX, group=self.control)
        return bool(flag.item())

    def first_true(self, value: _T) -> _T:
        """Return the first value, in the order of ranks, that is true, else the main rank's: one answer for all."""
        values = self.gather(value)
        return next((found for found in values if found), values[MAIN])

    def wait_for_main(self) -> None:
        """Wait, without a limit and without using the device, until the main rank has come here too.

        For long work that the main rank does alone: a collective would run into the time limit, or keep a GPU busy.
        """
        if self.is_alone:
            return
        self._num_waits += 1
        key = f"main_done/{self._num_waits}"
        if self.is_main:
            self._store.set(key, "1")
        else:
            while not self._store.check([key]):
                time.sleep(_LOOK_AGAIN_S)

    def run_by_turns(self, turns: Sequence[int], work: Any) -> Any:
        """Return ``work()`` of this rank; ranks go one after the other where their numbers in `turns` differ."""
        result = None
        for turn in sorted(set(turns)):
            if turns[self.rank] == turn:
                result = work()
            self.barrier()
        return result


ALONE = Ranks()


def join_ranks(  # noqa: PLR0917 - the process's own start calls it, once
    parallel: ParallelConfig, rank: int, size: int, local_rank: int, local_size: int, device_type: str
) -> Ranks:
    """Join the process group that the environment names (MASTER_ADDR, MASTER_PORT) and return this rank.

    Raises:
        RunFailedError: the launcher started another number of processes than the configuration says.
    """
    if size != parallel.num_processes:
        raise RunFailedError(
            f"{size} processes were started and parallel.num_processes is {parallel.num_processes}; "
            "start as many as the configuration says (torchrun --nnodes x --nproc-per-node)."
        )
    timeout = timedelta(seconds=parallel.timeout_s)
    backend = "gloo" if device_type == "cpu" else "nccl"
    store, _, _ = next(dist.rendezvous("env://", rank=rank, world_size=size, timeout=timeout))
    store.set_timeout(timeout)
    if device_type == "cuda":
        torch.cuda.set_device(local_rank)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)
    control = dist.new_group(backend="gloo", timeout=timeout)
    ranks = Ranks(
        rank=rank,
        size=size,
        local_rank=local_rank,
        local_size=local_size,
        strategy=parallel.strategy,
        backend=backend,
        mesh=init_device_mesh(device_type, (size,), mesh_dim_names=("all",)),
        control=control,
        _store=dist.PrefixStore("isojoule", store),
    )
    if parallel.strategy == "ep":
        ranks.shard_experts_over(expert_group_size(parallel))
    return ranks


def leave_ranks() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()
