"""Writes what one rank of two, or the only one, saves of DTensors and of both FSDPs; a process of its own, since it starts
a process group. Arguments: the folder, the number of ranks."""

import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch import nn  # noqa: E402
from torch.distributed.device_mesh import init_device_mesh  # noqa: E402
from torch.distributed.fsdp import FullyShardedDataParallel, StateDictType, fully_shard  # noqa: E402
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard  # noqa: E402
from torch.testing._internal.distributed.fake_pg import FakeStore  # noqa: E402

folder, world = Path(sys.argv[1]), int(sys.argv[2])
dist.init_process_group("fake", rank=0, world_size=world, store=FakeStore())
mesh = init_device_mesh("cpu", (world,))
data = torch.arange(6.0).view(2, 3)


def save(content, name: str):
    torch.save(content, folder / f"{name}.pth")


def distributed(placement):
    return DTensor.from_local(data, mesh, [placement], run_check=False)


for name, placement in [("shard", Shard(0)), ("replicate", Replicate()), ("partial", Partial())]:
    save({"w": distributed(placement), "b": torch.ones(3)}, name)
save({"w": nn.Parameter(distributed(Shard(0))), "b": torch.ones(3)}, "parameter")

network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
fully_shard(network, mesh=mesh)
save(network.state_dict(), "fsdp2")
optimizer = torch.optim.Adam(network.parameters())
for parameter in network.parameters():
    parameter.grad = torch.zeros_like(parameter)
optimizer.step()
save({"model": {"w": data}, "optimizer": optimizer.state_dict()}, "optimizer")

network = FullyShardedDataParallel(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), device_id=torch.device("cpu"))
with FullyShardedDataParallel.state_dict_type(network, StateDictType.SHARDED_STATE_DICT):
    save(network.state_dict(), "fsdp1")
