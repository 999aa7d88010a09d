"""Whole runs in processes of their own: killed and resumed, and two at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import scale_runs
import torch
from safetensors.torch import load_file

TESTS = Path(__file__).parent
EMA = {
    "class_path": "lightning.pytorch.callbacks.EMAWeightAveraging",
    "init_args": {"decay": 0.8},
}


def run(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS), environment.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]


def end_of(folder):
    """All that a run leaves: exported weights, and both checkpoints."""
    end = {("export", n): value for n, value in load_file(folder / "weights.safetensors").items()}
    for name in ("last", "best"):
        state = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        end |= {(name, key): value for key, value in state["state_dict"].items()}
        end[name, "step"] = torch.tensor(state["global_step"])
    return end


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, which Windows cannot")
def test_a_run_that_is_killed_ends_with_the_same_bits(tmp_path):
    """15 steps, 5 an epoch, saved every 2: within an epoch, and at the end of the second."""
    rows = [
        ([], []),  # undisturbed
        ([], [("step", 4), ("step", 0)]),
        ([], [("step", 10)]),  # saved last at the end of an epoch
        ([], [("validation", 3)]),
        ([], [("half written", 5)]),
        ([], [("epoch end", 1)]),
        ([EMA], []),  # undisturbed, with averaged weights
        ([EMA], [("step", 4), ("half written", 3)]),
    ]
    run(TESTS / "scale_runs.py", tmp_path, rows)
    for reference, others in ((0, range(1, 6)), (6, [7])):
        expected = end_of(tmp_path / str(reference))
        for row in others:
            end = end_of(tmp_path / str(row))
            assert end.keys() == expected.keys()
            assert [key for key in expected if not torch.equal(end[key], expected[key])] == [], row
    assert not torch.equal(
        end_of(tmp_path / "0")["export", "head.bias"], end_of(tmp_path / "6")["export", "head.bias"]
    )


@pytest.mark.slow
def test_two_processes_are_one_at_the_same_global_batch(tmp_path):
    """Losses, gradients, validation and weights in float64; no batch norm, nothing random."""
    arguments = {"image_size": 8, "dim": 12, "depth": 1, "heads": 2}
    noted = {}
    for name, processes in (("one", 1), ("two", 2)):
        folder = tmp_path / name
        trainer = {"devices": processes, "precision": "64-true", "max_epochs": 2}
        data = {"batch_size": 8 // processes, "augment": {"crop": 0, "flip": False}}
        record = {"class_path": "scale_runs.Record", "init_args": {"folder": str(folder)}}
        settings = scale_runs.config(
            folder, callbacks=[record], trainer=trainer, model={"arguments": arguments}, data=data
        )
        command = [
            "-m",
            "course_utils.scale",
            "fit",
            "--config",
            scale_runs.write(folder, settings),
        ]
        if processes == 2:
            command += ["--config", "ddp_cpu.yaml"]
        run(*command)
        noted[name] = [torch.load(folder / f"rank{rank}.pt") for rank in range(processes)]
    (one,), (first, second) = noted["one"], noted["two"]
    assert len(one["losses"]) == 10
    assert one["losses"][0].dtype == torch.float64
    mean = [(a + b) / 2 for a, b in zip(first["losses"], second["losses"], strict=True)]
    torch.testing.assert_close(mean, one["losses"])
    assert not torch.equal(first["losses"][0], second["losses"][0])  # each has its own images
    for rank in (first, second):
        torch.testing.assert_close(rank["gradients"], one["gradients"])
        torch.testing.assert_close(rank["weights"], one["weights"])
        for name in ("train_loss", "validation_loss", "validation_accuracy"):
            torch.testing.assert_close(rank["metrics"][name], one["metrics"][name])


@pytest.mark.slow
def test_stochastic_weight_averaging_exports_the_mean_with_statistics_of_its_own(tmp_path):
    """As docs/training_at_scale.md says: of the weights at the starts of epochs, and an epoch more."""
    swa = {
        "class_path": "lightning.pytorch.callbacks.StochasticWeightAveraging",
        "init_args": {"swa_lrs": 0.001, "swa_epoch_start": 0.5},
    }
    record = {"class_path": "scale_runs.Starts", "init_args": {"folder": str(tmp_path)}}
    model = {"model": "resnet_small32", "arguments": {"widths": [4, 6], "depths": [1, 1]}}
    settings = scale_runs.config(
        tmp_path, callbacks=[record, swa], trainer={"max_epochs": 4}, model=model
    )
    settings["trainer"]["callbacks"][-1]["init_args"]["best"] = False
    run("-m", "course_utils.scale", "fit", "--config", scale_runs.write(tmp_path, settings))
    starts = torch.load(tmp_path / "starts.pt")
    exported = load_file(tmp_path / "weights.safetensors")
    assert len(starts) == 5
    learned = [name for name in starts[0] if "running" not in name and "tracked" not in name]
    for name in learned:
        mean = torch.stack([weights[name] for weights in starts[1:4]]).mean(dim=0)
        torch.testing.assert_close(exported[name].float(), mean, rtol=1e-3, atol=1e-5)  # float16
    changed = [name for name in starts[0] if "running_mean" in name]
    assert changed
    for name in changed:
        assert not torch.equal(exported[name].float(), starts[4][name].half().float())
