"""What TensorBoard reads from the event files of a run, against its metrics.csv.

    check_events.py runs/NAME

Every curve has to have each epoch once, in order, with the value of its column: also where the run was stopped in
between, and its last file ends in half a record. Needs the package tensorboard and nothing of thaw's.
"""
import csv
import os
import sys

from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator

CURVES = {  # tag: column of metrics.csv
    "loss/train": "train_loss",
    "loss/val": "val_loss",
    "accuracy/train": "train_top1",
    "accuracy/val": "val_top1",
    "lr": "lr",
}
AVERAGE = {"loss/average": "average_loss", "accuracy/average": "average_top1"}  # where the job has an average


def read(folder, curves):
    """The points (step, value) of each curve, from the reader that scripts use and from the server's, which differ in
    when they drop what a stopped run had written."""
    scripts = event_accumulator.EventAccumulator(folder, {event_accumulator.SCALARS: 0})
    server = plugin_event_accumulator.EventAccumulator(folder, {plugin_event_accumulator.TENSORS: 0})
    scripts.Reload()
    server.Reload()
    assert set(scripts.Tags()["scalars"]) == set(server.Tags()["tensors"]) == set(curves), scripts.Tags()["scalars"]
    for tag in curves:
        yield "scripts", tag, [(event.step, event.value) for event in scripts.Scalars(tag)]
        yield "server", tag, [(event.step, event.tensor_proto.float_val[0]) for event in server.Tensors(tag)]


def main(folder):
    with open(os.path.join(folder, "metrics.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    curves = CURVES | (AVERAGE if "average_loss" in rows[0] else {})
    wrong = 0
    for reader, tag, points in read(folder, curves):
        # columns hold nine digits, or six behind the point; events hold float32
        want = [(int(row["epoch"]), float(row[curves[tag]])) for row in rows]
        same = len(points) == len(want) and all(
            p[0] == w[0] and abs(p[1] - w[1]) <= 6e-7 * max(1, abs(w[1])) for p, w in zip(points, want))
        wrong += not same
        print(f"{reader:8} {tag:15}", len(points), "points,", "as in metrics.csv" if same else f"NOT so: {points}")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
