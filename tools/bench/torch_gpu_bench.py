"""What bench-gpu.sh compares thaw with: ResNets on a GPU, as PyTorch's users write them when they care for speed.

    torch_gpu_bench.py train --arch ARCH --batch N --precision fp32|bf16|fp16 [--what all|layer4|head] [--compile]
    torch_gpu_bench.py loader --shards 'data/train-*.h5' --workers N

One configuration, and one line of JSON: pictures per second (median of several rounds), seconds from the start of the
process to the end of the first step, and the largest memory that tensors had on the device.

Training takes random pictures that are on the device already, in channels_last, under autocast (fp16 with GradScaler),
with cudnn.benchmark, SGD(fused=True) and set_to_none; --compile is torch.compile(mode="max-autotune"), CUDA graphs
included. Of `head`, what is frozen is in eval mode and under no_grad; of `layer4`, it has requires_grad=False.
"""
import argparse
import glob
import json
import os
import statistics
import time

import torch
import torchvision


def seconds_of_process():
    """Since the process was started, the interpreter and all imports included."""
    with open("/proc/self/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    with open("/proc/uptime") as file:
        return float(file.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


class Step:
    """One step of training, called again and again."""

    def __init__(self, args):
        self.device, self.dtype = args.device, getattr(torch, {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}[args.precision])
        net = getattr(torchvision.models, args.arch)(num_classes=args.classes)
        net = net.to(self.device, memory_format=torch.channels_last).train()
        for name, parameter in net.named_parameters():
            parameter.requires_grad = args.what == "all" or name.startswith("fc") or (
                args.what == "layer4" and name.startswith("layer4"))
        self.head = None
        if args.what == "head":
            self.head, net.fc = net.fc, torch.nn.Identity()
            net.eval()
        trained = [p for m in (net, self.head) if m is not None for p in m.parameters() if p.requires_grad]
        self.net = torch.compile(net, mode="max-autotune") if args.compile else net
        self.optimizer = torch.optim.SGD(trained, lr=1e-3, momentum=0.9, fused=True)
        self.scaler = torch.amp.GradScaler(self.device, enabled=self.dtype == torch.float16)
        self.x = torch.randn(args.batch, 3, args.crop, args.crop, device=self.device).contiguous(
            memory_format=torch.channels_last)
        self.y = torch.randint(args.classes, (args.batch,), device=self.device)

    def outputs(self):
        if self.head is None:
            return self.net(self.x)
        with torch.no_grad():
            features = self.net(self.x)
        return self.head(features)

    def __call__(self):
        with torch.autocast(self.device, dtype=self.dtype, enabled=self.dtype != torch.float32):
            loss = torch.nn.functional.cross_entropy(self.outputs(), self.y)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def seconds_of(step, device, steps):
    wait(device)
    begun = time.perf_counter()
    for _ in range(steps):
        step()
    wait(device)
    return time.perf_counter() - begun


def train(args):
    torch.backends.cudnn.benchmark = True
    step = Step(args)
    step()
    wait(args.device)
    first = seconds_of_process()
    seconds_of(step, args.device, 10 if args.device == "cuda" else 1)
    steps = args.steps or max(3, min(100, int(0.5 / max(seconds_of(step, args.device, 1), 1e-4))))
    rates = [args.batch * steps / seconds_of(step, args.device, steps) for _ in range(args.rounds)]
    memory = torch.cuda.max_memory_allocated() / 2**20 if args.device == "cuda" else None
    return {"images_per_second": statistics.median(rates), "first_step_seconds": first, "allocated_mib": memory}


class Shards(torch.utils.data.Dataset):
    """thaw's shards by h5py, each worker with files of its own."""

    def __init__(self, pattern, views):
        import h5py
        self.views, self.files, self.rows = views, sorted(glob.glob(pattern)), []
        self.pixels = None
        for number, name in enumerate(self.files):
            with h5py.File(name) as shard:
                self.rows += [(number, int(r["offset"]), int(r["height"]), int(r["width"]), int(r["label"]))
                              for r in shard["index"][:]]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        import h5py
        if self.pixels is None:
            self.pixels = [h5py.File(name)["pixels"] for name in self.files]
        number, offset, height, width, label = self.rows[i]
        picture = self.pixels[number][offset:offset + height * width * 3].reshape(height, width, 3)
        return self.views(torch.from_numpy(picture).permute(2, 0, 1)), label


def load(args):
    from torchvision.transforms import v2
    views = v2.Compose([
        v2.RandomResizedCrop(args.crop, antialias=True), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    loader = torch.utils.data.DataLoader(
        Shards(args.shards, views), args.batch, shuffle=True, num_workers=args.workers, pin_memory=args.device == "cuda",
        persistent_workers=args.workers > 0)
    for _ in loader:  # starts the workers, brings the files into memory
        pass
    rates = []
    for _ in range(args.rounds):
        begun = time.perf_counter()
        pictures = sum(len(labels) for _, labels in loader)
        rates.append(pictures / (time.perf_counter() - begun))
    return {"images_per_second": statistics.median(rates)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=["train", "loader"])
    parser.add_argument("--arch", default="resnet50")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp16")
    parser.add_argument("--what", choices=["all", "layer4", "head"], default="all")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--steps", type=int, help="of a round; as many as take half a second if not said")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shards")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    result = train(args) if args.work == "train" else load(args)
    result = {name: value if value is None else round(value, 3) for name, value in result.items()}
    print(json.dumps({"torch": torch.__version__, **vars(args), **result}))


if __name__ == "__main__":
    main()
