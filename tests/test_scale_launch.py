"""Processes started from a notebook, and what frameworks do between two steps, by hand."""

import os
import shlex
import sys
import time

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel

from course_utils.scale.by_hand import accumulated_gradients, average_weights, mean_gradients
from course_utils.scale.launch import kill_when, run_processes

MEET = """
import os, socket, sys
names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "OMP_NUM_THREADS")
print(*(os.environ[name] for name in names), int(os.environ["MASTER_PORT"]) > 0, *sys.argv[1:])
"""


def test_each_of_a_job_gets_its_place_and_its_output_comes_back_in_order(tmp_path):
    printed = run_processes(
        [["-c", MEET, "a"], ["-c", MEET, "b"]], folder=tmp_path, together=True, timeout=120
    )
    assert printed == ["0 0 2 127.0.0.1 1 True a\n", "1 1 2 127.0.0.1 1 True b\n"]


def test_alone_they_are_no_job_and_work_in_the_folder(tmp_path):
    code = "import os; print(os.environ.get('RANK'), os.getcwd())"
    other = tmp_path / "other"
    other.mkdir()
    printed = run_processes([["-c", code]] * 2, folder=[tmp_path, other], timeout=120)
    assert printed == [f"None {os.path.realpath(place)}\n" for place in (tmp_path, other)]


def test_a_failure_ends_all_and_tells_the_last_lines(tmp_path):
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"ended with 3:\nwhy it failed"):
        run_processes(
            [
                ["-c", "import time; time.sleep(100)"],
                ["-c", "import sys; print('why it failed'); sys.exit(3)"],
            ],
            folder=tmp_path,
        )
    assert time.monotonic() - began < 60


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs groups of processes")
def test_after_the_time_limit_nothing_is_left_running_children_included(tmp_path):
    sleep = f"{shlex.quote(sys.executable)} -c 'import time; time.sleep(100)'"
    code = f"import os, pathlib, subprocess; c = subprocess.Popen({sleep!r}, shell=True);"
    code += "pathlib.Path('pid').write_text(str(c.pid)); c.wait()"
    with pytest.raises(TimeoutError, match="after 5 s a process was still running"):
        run_processes([["-c", code]], folder=tmp_path, timeout=5)
    child = int((tmp_path / "pid").read_text())
    for _ in range(500):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError("the child outlived its parent")


def test_killed_when_the_moment_has_come(tmp_path):
    code = "import pathlib, time; pathlib.Path('there').touch(); time.sleep(100)"
    ended = kill_when(["-c", code], (tmp_path / "there").exists, folder=tmp_path)
    assert ended != 0
    with pytest.raises(RuntimeError, match=r"ended by itself \(0\) before it was killed:\nbye"):
        kill_when(["-c", "print('bye')"], lambda: False, folder=tmp_path)
    with pytest.raises(TimeoutError, match="nothing to kill it for happened in 1 s"):
        kill_when(["-c", code], lambda: False, folder=tmp_path, timeout=1)


@pytest.mark.parametrize("part", [1, 4, 7, 11])
def test_accumulated_and_averaged_gradients_are_the_whole_batchs(part):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(15, 7), nn.GELU(), nn.Linear(7, 3)).double()
    images, labels = torch.randn(11, 3, 5).double(), torch.arange(11) % 3
    loss = F.cross_entropy(model(images), labels)
    names = [name for name, _ in model.named_parameters()]
    whole = dict(zip(names, torch.autograd.grad(loss, list(model.parameters())), strict=True))
    torch.testing.assert_close(accumulated_gradients(model, images, labels, part), whole)
    shares = [
        accumulated_gradients(model, images[k : k + 1], labels[k : k + 1], 1) for k in range(11)
    ]
    torch.testing.assert_close(mean_gradients(shares), whole)


def test_averaged_weights_are_pytorchs():
    torch.manual_seed(0)
    model = nn.Linear(5, 3).double()
    theirs, snapshots = AveragedModel(model), []
    for _ in range(7):
        nn.init.normal_(model.weight)
        snapshots.append({n: p.detach().clone() for n, p in model.named_parameters()})
        theirs.update_parameters(model)
    before = [{n: v.clone() for n, v in s.items()} for s in snapshots]
    torch.testing.assert_close(average_weights(snapshots), dict(theirs.module.named_parameters()))
    torch.testing.assert_close(snapshots, before)  # none is written into
