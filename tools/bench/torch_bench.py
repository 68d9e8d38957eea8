"""What bench.sh compares thaw with: the same work, as PyTorch's users write it.

    torch_bench.py train --threads N    pictures per second of training steps, peak memory in MiB
    torch_bench.py eval --threads N     pictures per second of evaluation
    torch_bench.py loader --photos DIR  pictures per second of one DataLoader worker
    torch_bench.py start --photos DIR   does one training step from files, and ends

train and eval take tensors that are in memory already, and the faster of both memory formats. Memory is that of
channels_last.
"""
import argparse
import resource
import time

import torch
import torchvision
from torchvision import transforms


def model(memory_format):
    return torchvision.models.resnet18(num_classes=2).to(memory_format=memory_format)


def rate(run, batch, warm, steps):
    for _ in range(warm):
        run()
    begun = time.perf_counter()
    for _ in range(steps):
        run()
    return batch * steps / (time.perf_counter() - begun)


def train_step(net, optimizer, x, y):
    optimizer.zero_grad(set_to_none=True)
    torch.nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()


def train(args, memory_format):
    net = model(memory_format).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    x = torch.randn(args.batch, 3, 224, 224).to(memory_format=memory_format)
    y = torch.randint(2, (args.batch,))
    return rate(lambda: train_step(net, optimizer, x, y), args.batch, 2, args.steps)


def evaluate(args, memory_format):
    net = model(memory_format).eval()
    x = torch.randn(args.batch, 3, 224, 224).to(memory_format=memory_format)
    with torch.inference_mode():
        return rate(lambda: net(x), args.batch, 2, args.steps)


def batches(args, workers):
    views = transforms.Compose([
        transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    photos = torchvision.datasets.ImageFolder(args.photos, views)
    return torch.utils.data.DataLoader(
        photos, args.batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


def load(args):
    loader = batches(args, 1)
    for _ in loader:  # starts the worker, brings the files into memory
        pass
    begun = time.perf_counter()
    pictures = sum(len(labels) for _, labels in loader)
    return pictures / (time.perf_counter() - begun)


def start(args):
    net = model(torch.contiguous_format).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    x, y = next(iter(batches(args, 0)))
    train_step(net, optimizer, x, y.clamp(max=1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "eval", "loader", "start"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--photos")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.what == "train":
        fast = train(args, torch.channels_last)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{max(fast, train(args, torch.contiguous_format)):.2f} {peak:.0f}")
    elif args.what == "eval":
        print(f"{max(evaluate(args, f) for f in (torch.channels_last, torch.contiguous_format)):.2f}")
    elif args.what == "loader":
        print(f"{load(args):.2f}")
    else:
        start(args)


if __name__ == "__main__":
    main()
