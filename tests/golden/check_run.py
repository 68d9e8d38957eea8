"""What PyTorch counts with the tensors of a checkpoint on the pictures of the validation shards.

    check_run.py best.h5 'data/val-*.h5' 224
    check_run.py best.safetensors 'data/val-*.h5' 224      (from `thaw weights convert`)

Prints the loss and k/N, to be compared with `thaw eval`. The network is torchvision's; pixels come from the shards.
"""
import glob
import sys

import h5py
import numpy as np
import torch
import torchvision

from check_weights import safetensors


def load(path):
    """The network in evaluation mode, with its normalisation."""
    if path.endswith(".safetensors"):
        state, said = safetensors(path)
        model = torchvision.models.get_model(said["thaw.arch"], weights=None, num_classes=len(state["fc.bias"]))
        model.load_state_dict(state, strict=True)
        return model.eval(), *(np.array(said[key].split(), dtype=np.float32) for key in ("thaw.mean", "thaw.std"))
    with h5py.File(path) as file:
        state = {name: torch.from_numpy(np.array(data)) for name, data in file["model"].items()}
        arch = file.attrs["arch"]
        mean, std = np.array(file.attrs["mean"]), np.array(file.attrs["std"])
    arch = arch.decode() if isinstance(arch, bytes) else str(arch)
    model = torchvision.models.get_model(arch, weights=None, num_classes=len(state["fc.bias"]))
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    return model.eval(), mean.astype(np.float32), std.astype(np.float32)


def pictures(pattern, size):
    """Center crops (3, size, size) in [0, 1] with their labels, in the shards' order."""
    crop = torchvision.transforms.CenterCrop(size)
    for path in sorted(glob.glob(pattern)):
        with h5py.File(path) as file:
            pixels = file["pixels"]
            for row in file["index"]:
                height, width, begin = int(row["height"]), int(row["width"]), int(row["offset"])
                picture = pixels[begin:begin + height * width * 3].reshape(height, width, 3)
                yield crop(torch.from_numpy(picture).permute(2, 0, 1)).float() / 255, int(row["label"])


def main():
    model, mean, std = load(sys.argv[1])
    mean, std = torch.from_numpy(mean)[:, None, None], torch.from_numpy(std)[:, None, None]
    right = count = 0
    loss = 0.0
    with torch.inference_mode():
        for picture, label in pictures(sys.argv[2], int(sys.argv[3])):
            logits = model(((picture - mean) / std)[None])
            loss += torch.nn.functional.cross_entropy(logits, torch.tensor([label])).item()
            right += int(logits.argmax().item() == label)
            count += 1
    print(f"val loss {loss / count:.9g}  top1 {right / count:.6f} ({right}/{count})")


if __name__ == "__main__":
    main()
