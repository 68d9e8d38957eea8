"""What bench.sh compares thaw with: the same work, as PyTorch's users write it.

    torch_bench.py train --threads N    pictures per second of training steps, peak memory in MiB
    torch_bench.py eval --threads N     pictures per second of evaluation
    torch_bench.py loader --photos DIR  pictures per second of one DataLoader worker
    torch_bench.py distort --photos DIR --distortion NAME
                                        pictures per second of cutting and distorting tensors that are in memory
    torch_bench.py start --photos DIR   does one training step from files, and ends
    torch_bench.py save --file FILE --arch ARCH
                                        writes a state dict of random weights
    torch_bench.py weights --file FILE --arch ARCH
                                        milliseconds from the file to a network's parameters, median of nine
    torch_bench.py predict --file FILE --arch ARCH
                                        says what is in the pictures that standard input lists, as JSON lines

train and eval take tensors that are in memory already, and the faster of both memory formats. Memory is that of
channels_last.
"""
import argparse
import json
import resource
import statistics
import sys
import time

import torch
import torchvision
from torchvision import transforms
from torchvision.transforms import v2


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


COLOUR = [v2.ColorJitter(0.4, 0.4, 0.4, 0.1)]
BLUR = [v2.GaussianBlur(13, (0.1, 2))]
ROTATION = [v2.RandomRotation(15, v2.InterpolationMode.BILINEAR)]
ERASE = [v2.RandomErasing(1)]
DISTORTIONS = {  # what is done to a picture, and to a batch
    "none": ([], []),
    "rotation": (ROTATION, []),
    "brightness": ([v2.ColorJitter(brightness=0.4)], []),
    "contrast": ([v2.ColorJitter(contrast=0.4)], []),
    "saturation": ([v2.ColorJitter(saturation=0.4)], []),
    "hue": ([v2.ColorJitter(hue=0.1)], []),
    "colour": (COLOUR, []),
    "grey": ([v2.RandomGrayscale(1)], []),
    "blur": (BLUR, []),
    "erase": (ERASE, []),
    "usual": (ROTATION + COLOUR + BLUR + ERASE, []),
    "mixup": ([], [v2.ToDtype(torch.float32, scale=True), v2.MixUp(alpha=0.2, num_classes=2)]),
    "cutmix": ([], [v2.CutMix(alpha=1.0, num_classes=2)]),
}


def distort(args):
    """uint8 tensors, shorter edge 256 as in shards; for mixup, which needs it, a batch becomes float32 first."""
    to_tensor = v2.Compose([v2.Resize(256), v2.PILToTensor()])
    photos = [to_tensor(photo) for photo, _ in torchvision.datasets.ImageFolder(args.photos)]
    of_picture, of_batch = DISTORTIONS[args.distortion]
    views = v2.Compose([v2.RandomResizedCrop(224), v2.RandomHorizontalFlip(), *of_picture])
    labels = torch.randint(2, (args.batch,))

    def run():
        batch = torch.stack([views(photos[i]) for i in torch.randint(len(photos), (args.batch,))])
        if of_batch:
            v2.Compose(of_batch)(batch, labels)

    return rate(run, args.batch, 2, 3 * args.steps)


def start(args):
    net = model(torch.contiguous_format).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    x, y = next(iter(batches(args, 0)))
    train_step(net, optimizer, x, y.clamp(max=1))


def weights(args):
    net = torchvision.models.get_model(args.arch, weights=None)
    times = []
    for _ in range(9):
        begun = time.perf_counter()
        net.load_state_dict(torch.load(args.file, weights_only=True))
        times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times)


class Pictures(torch.utils.data.Dataset):
    def __init__(self, paths):
        self.paths = paths
        self.views = transforms.Compose([
            transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        return self.views(torchvision.datasets.folder.pil_loader(self.paths[i]))


def predict(args):
    paths = sys.stdin.read().splitlines()
    net = torchvision.models.get_model(args.arch, weights=None)
    net.load_state_dict(torch.load(args.file, weights_only=True))
    net = net.eval().to(memory_format=torch.channels_last)
    loader = torch.utils.data.DataLoader(Pictures(paths), args.batch, num_workers=args.threads)
    begun, done = time.perf_counter(), 0
    with torch.inference_mode():
        for batch in loader:
            top = net(batch.to(memory_format=torch.channels_last)).softmax(1).topk(5)
            for values, labels in zip(top.values.tolist(), top.indices.tolist()):
                print(json.dumps({"file": paths[done], "predictions": [
                    {"label": label, "probability": value} for label, value in zip(labels, values)]}))
                done += 1
    print(f"{done / (time.perf_counter() - begun):.2f} pictures/s once running", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "eval", "loader", "distort", "start", "save", "weights", "predict"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--photos")
    parser.add_argument("--file")
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--distortion", choices=DISTORTIONS, default="none")
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
    elif args.what == "distort":
        print(f"{distort(args):.2f}")
    elif args.what == "save":
        torch.save(torchvision.models.get_model(args.arch, weights=None).state_dict(), args.file)
    elif args.what == "weights":
        print(f"{weights(args):.2f}")
    elif args.what == "predict":
        predict(args)
    else:
        start(args)


if __name__ == "__main__":
    main()
