"""Trains a small network for one step with DeepSpeed on two processes (gloo, CPU), saves a checkpoint, and joins it by
DeepSpeed's own function. Arguments: the stage of ZeRO, the dtype of training, the folder. Writes FOLDER.full.pt too."""

import os
import sys
import warnings

warnings.filterwarnings("ignore")
os.environ["DS_ACCELERATOR"] = "cpu"

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402
from ports import free_port  # noqa: E402
from torch import nn  # noqa: E402


class Network(nn.Module):
    """Odd sizes, two groups of parameters, buffers of three dtypes, a shared and two frozen parameters."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 6)
        self.first = nn.Linear(6, 5)
        self.norm = nn.LayerNorm(5)
        self.second = nn.Linear(5, 3, bias=False)
        self.frozen = nn.Linear(3, 3)
        self.third = nn.Linear(3, 6)
        self.head = nn.Linear(6, 7, bias=False)
        self.head.weight = self.embed.weight
        self.scale = nn.Parameter(torch.tensor([1.5]))
        self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3]))
        self.register_buffer("steps", torch.tensor(7))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.frozen.requires_grad_(False)

    def forward(self, words):
        inner = self.second(self.norm(self.first(self.embed(words))))
        return self.head(self.third(self.frozen(inner)) * self.scale)


def work(rank: int, world: int, port: int, stage: int, dtype: str, folder: str):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world))
    import deepspeed

    settings = {
        "train_micro_batch_size_per_gpu": 2, "zero_allow_untested_optimizer": True,
        "optimizer": {"type": "Adam", "params": {"lr": 0.1, "torch_adam": True}}, "zero_optimization": {"stage": stage},
    }  # fmt: skip
    if dtype != "fp32":
        settings[dtype] = {"enabled": True}
    deepspeed.init_distributed("gloo")
    torch.manual_seed(0)
    network = Network()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.dim() > 1]},
        {"params": [parameter for parameter in trained if parameter.dim() <= 1], "weight_decay": 0.0},
    ]
    engine, *_ = deepspeed.initialize(model=network, model_parameters=groups, config=settings)
    engine.backward(engine(torch.tensor([1, 2]) + rank).float().sum())
    engine.step()
    engine.save_checkpoint(folder, client_state={"epoch": 4})
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(work, (2, free_port(), int(sys.argv[1]), sys.argv[2], sys.argv[3]), 2)
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    torch.save(dict(get_fp32_state_dict_from_zero_checkpoint(sys.argv[3])), sys.argv[3] + ".full.pt")
