"""Runs two or four processes (gloo) that each save their own parts with torch.save, and one of them the whole tensors.
Arguments: the folder, the number of processes. Writes NAME/model_rank_R.pt and NAME.full.pt."""

import os
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402
from ports import free_port  # noqa: E402
from torch import nn  # noqa: E402
from torch.distributed._shard.api import load_with_process_group  # noqa: E402
from torch.distributed._shard.sharded_tensor import Shard as LocalShard  # noqa: E402
from torch.distributed._shard.sharded_tensor import init_from_local_shards  # noqa: E402
from torch.distributed.device_mesh import init_device_mesh  # noqa: E402
from torch.distributed.fsdp import FullyShardedDataParallel, StateDictType, fully_shard  # noqa: E402
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor  # noqa: E402
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module  # noqa: E402

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.uint8, torch.bool, torch.complex64]


def save(folder: Path, name: str, rank: int, part, whole, **options):
    (folder / name).mkdir(exist_ok=True)
    dist.barrier()
    torch.save(part, folder / name / f"model_rank_{rank}.pt", **options)
    if rank == 0:
        torch.save(whole, folder / f"{name}.full.pt")


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 5))


def placed(mesh, world):
    """Tensors of random shapes, dtypes and placements, one-dimensional and by rows, columns and grids."""
    generator = torch.Generator().manual_seed(world)
    part, whole = {}, {}
    for index in range(40):
        shape = torch.randint(1, 9, (int(torch.randint(1, 4, (), generator=generator)),), generator=generator).tolist()
        value = (torch.rand(shape, generator=generator) * 200 - 100).to(DTYPES[index % len(DTYPES)])
        if value.dim() == 2 and index % 3 == 0:
            value = value.t()
        placements = []
        for _ in range(mesh.ndim):
            axis = int(torch.randint(-1, value.dim(), (), generator=generator))
            placements.append(Replicate() if axis < 0 else Shard(axis))
        name = f"t{index}"
        whole[name] = value
        part[name] = distribute_tensor(value, mesh, placements)
    part["tied"], whole["tied"] = part["t1"], whole["t1"]
    return part, whole


def work(rank: int, world: int, port: int, folder: Path):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(world))
    dist.init_process_group("gloo", rank=rank, world_size=world)
    mesh = init_device_mesh("cpu", (2, world // 2) if world > 2 else (world,))
    part, whole = placed(mesh, world)
    save(folder, f"dtensors{world}", rank, {"model": part, "step": 3}, {"model": whole})
    save(folder, f"legacy{world}", rank, part, whole, _use_new_zipfile_serialization=False)
    if world > 2:
        grid = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
        for name, meshes in [("fsdp_tp", "both"), ("hsdp", "replicas"), ("sub", "sub")]:
            model = network()
            whole = {key: value.clone() for key, value in model.state_dict().items()}
            if meshes == "both":
                parallelize_module(model, grid["tp"], {"0": ColwiseParallel(), "2": RowwiseParallel()})
                fully_shard(model, mesh=grid["dp"])
            else:
                fully_shard(model, mesh=grid if meshes == "replicas" else grid["tp"])
            save(folder, name, rank, model.state_dict(), whole)
    else:
        model = network()
        whole = {key: value.clone() for key, value in model.state_dict().items()}
        fully_shard(model, mesh=mesh)
        optimizer = torch.optim.Adam(model.parameters())
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        save(folder, "fsdp2", rank, model.state_dict(), whole)
        save(folder, "training", rank, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rank": rank}, whole)
        part = {"w": DTensor.from_local(torch.ones(2, 3) * rank, mesh, [Partial()], run_check=False)}
        part["b"] = distribute_tensor(torch.arange(3.0), mesh, [Shard(0)])
        save(folder, "partial", rank, part, {"b": torch.arange(3.0)})
        model = FullyShardedDataParallel(network(), device_id=torch.device("cpu"))
        whole = {key: value.clone() for key, value in network().state_dict().items()}
        with FullyShardedDataParallel.state_dict_type(model, StateDictType.SHARDED_STATE_DICT):
            save(folder, "fsdp1", rank, {"model": model.state_dict()}, {"model": whole})
        torch.manual_seed(0)
        whole = {"a.weight": torch.randn(6, 4), "a.bias": torch.randn(5), "a.columns": torch.randn(3, 7)}
        part = {}
        for name, value in whole.items():
            axis = 1 if name == "a.columns" else 0
            pieces = torch.chunk(value, world, dim=axis)
            offsets = [0] * value.dim()
            offsets[axis] = sum(piece.shape[axis] for piece in pieces[:rank])
            local = LocalShard.from_tensor_and_offsets(pieces[rank].contiguous(), offsets, rank)
            part[name] = init_from_local_shards([local], *value.shape)
        with load_with_process_group(dist.group.WORLD):
            save(folder, "sharded", rank, part, whole)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    place, count = Path(sys.argv[1]), int(sys.argv[2])
    mp.spawn(work, (count, free_port(), place), count)
