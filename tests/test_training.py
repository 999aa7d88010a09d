"""The training loop against a plain one, and files from which a killed run goes on bit for bit."""

import math
import os
import random
import subprocess
import sys
import textwrap
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import TensorDataset

from course_utils import cnn, cvt, vit
from course_utils.augmentation import Augment
from course_utils.data.normalized import NormalizedImages, normalize
from course_utils.evaluation import at_least_float32
from course_utils.training import (
    STATE,
    History,
    Run,
    TrainConfig,
    evaluate,
    fit,
    parameter_groups,
    precision,
    schedule,
)

ITEMS, CHANNELS, SIDE, CLASSES = 23, 3, 6, 5


def small_model(seed=0, dropout=0.0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(CHANNELS, 7, 3, padding=1),
        nn.BatchNorm2d(7),
        nn.ReLU(),
        nn.Conv2d(7, 7, 3, groups=7),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(7 * 4 * 4, CLASSES),
    )


def labeled(items=ITEMS, seed=0, dtype=torch.float32):
    """Noise with a class: the more to learn, the brighter one channel."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (items,), generator=generator)
    images = torch.randn(items, CHANNELS, SIDE, SIDE, generator=generator).to(dtype)
    images[:, 0] += labels[:, None, None] / 2
    return TensorDataset(images, labels)


class Recording:
    """Data that remembers which rows were asked for."""

    def __init__(self, data):
        self.data, self.asked = data, []

    def __len__(self):
        return len(self.data)

    def __getitem__(self, rows):
        self.asked.append(rows)
        return self.data[rows]


# --- The loop ---


def fit_by_hand(model, batches, validation, config, per_epoch):
    """The usual twenty lines, with PyTorch's own schedules."""
    tables = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": tables}, {"params": rest, "weight_decay": 0.0}],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
    )
    rising = round(config.warmup * len(batches))
    factor = [
        (step + 1) / rising
        if step < rising
        else (1 + math.cos(math.pi * (step - rising) / (len(batches) - rising))) / 2
        for step in range(len(batches))
    ]
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, [*factor, 0.0].__getitem__)
    criterion = nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
    losses, accuracies, weights = [], [], []
    for step, (images, labels) in enumerate(batches):
        model.train()
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        if (step + 1) % per_epoch == 0:
            model.eval()
            images, labels = validation
            accuracies.append((model(images).argmax(1) == labels).double().mean().item())
            weights.append({k: v.clone() for k, v in model.state_dict().items()})
    train_losses = torch.tensor(losses).view(-1, per_epoch).mean(1).tolist()
    return train_losses, accuracies, weights


def test_fit_equals_a_plain_loop_and_keeps_the_best_epoch():
    config = TrainConfig(
        epochs=7,
        batch_size=5,
        learning_rate=0.02,
        weight_decay=0.3,
        warmup=0.2,
        label_smoothing=0.1,
        clip=0.5,
        seed=3,
    )
    data = Recording(labeled(dtype=torch.float64))
    validation = labeled(31, seed=4, dtype=torch.float64)
    ours, theirs = small_model().double(), small_model().double()
    history = fit(ours, data, validation, config=config)
    asked = data.asked[1:]  # the first was to count the classes
    for epoch in range(7):
        rows = asked[epoch * 5 : epoch * 5 + 5]
        assert [len(r) for r in rows] == [5, 5, 5, 5, 3]
        assert sorted(torch.cat(rows).tolist()) == list(range(ITEMS))
    assert not torch.equal(asked[0], asked[5])  # every epoch has an order of its own
    losses, accuracies, weights = fit_by_hand(
        theirs, [data.data[rows] for rows in asked], validation.tensors, config, per_epoch=5
    )
    torch.testing.assert_close(history.train_loss, losses, rtol=1e-6, atol=0)  # theirs are float32
    torch.testing.assert_close(history.validation_accuracy, accuracies, rtol=1e-6, atol=0)
    best = max(range(7), key=accuracies.__getitem__)
    assert best == history.best_epoch == 5  # the last one is as good, the first of the two is kept
    assert accuracies[5] == accuracies[6]
    torch.testing.assert_close(OrderedDict(weights[best]), ours.state_dict())
    assert not ours.training


def test_a_seed_gives_an_order_of_its_own_and_no_clip_means_none():
    """The gradient's norm is left alone with clip=0: the step is that of AdamW on it."""
    ours, theirs = small_model().double(), small_model().double()
    images, labels = labeled(dtype=torch.float64).tensors
    images = 50 * images
    run = Run(ours, TrainConfig(clip=0.0, warmup=0.0), 10, CLASSES)
    run.train_step(images, labels)
    F.cross_entropy(theirs(images), labels).backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    assert torch.cat([p.grad.flatten() for p in ours.parameters()]).norm() > 1
    orders = [
        torch.cat(Run(ours, TrainConfig(seed=s), 1, CLASSES).batches_left(97)) for s in (0, 1)
    ]
    assert not torch.equal(*orders)


def test_of_equal_epochs_the_first_is_kept():
    history = History()
    best = []
    for accuracy in (0.0, 0.5, 0.4, 0.5, 0.6, 0.6):
        history.validation_accuracy.append(accuracy)
        best.append(history.is_best())
    assert best == [True, True, False, False, True, False]


def test_the_schedule_is_pytorchs_warm_up_and_cosine():
    total, rising = 40, 8
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    lr = torch.optim.lr_scheduler
    scheduler = lr.SequentialLR(
        optimizer,
        [
            lr.LinearLR(optimizer, start_factor=1 / rising, total_iters=rising - 1),
            lr.CosineAnnealingLR(optimizer, T_max=total - rising),
        ],
        milestones=[rising],
    )
    for step in range(total):
        assert schedule(step, total, 0.2) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500), st.floats(0, 1))
def test_the_schedule_rises_once_then_falls_and_never_leaves_0_to_1(total, warmup):
    shares = [schedule(step, total, warmup) for step in range(total)]
    top = shares.index(max(shares))
    assert shares[top] == pytest.approx(1)
    assert all(a < b for a, b in pairwise(shares[: top + 1]))
    assert all(a >= b for a, b in pairwise(shares[top:]))
    assert min(shares) > 0


MODELS = {
    "vit_small32": lambda: vit.VisionTransformer(**vit.PRESETS["vit_small32"]),
    "resnet_small32": lambda: cnn.ResNet(**cnn.PRESETS["resnet_small32"]),
    "cvt_small32": lambda: cvt.ConvolutionalVisionTransformer(**cvt.PRESETS["cvt_small32"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_decays_is_what_timm_lets_decay(name):
    from timm.optim import param_groups_weight_decay

    model = MODELS[name]()
    tables = [n for n, _ in model.named_parameters() if n.endswith(("cls_token", "pos_embed"))]
    assert len(tables) == {"vit_small32": 2, "resnet_small32": 0, "cvt_small32": 1}[name]
    decay, keep = parameter_groups(model, 0.07)
    timms_keep, timms_decay = param_groups_weight_decay(model, 0.07, no_weight_decay_list=tables)
    for ours, theirs in ((decay, timms_decay), (keep, timms_keep)):
        assert ours["weight_decay"] == theirs["weight_decay"]
        assert {id(p) for p in ours["params"]} == {id(p) for p in theirs["params"]}


def test_smoothed_and_mixed_targets_give_the_loss_of_the_formula():
    config = TrainConfig(label_smoothing=0.2, augment=Augment(crop=0, flip=False, mix=1.0))
    model = small_model().double()
    images, labels = labeled(dtype=torch.float64).tensors
    run = Run(model, config, 10, CLASSES)
    torch.manual_seed(config.seed)
    mixed, targets = config.augment(images, labels, CLASSES)
    assert ((targets > 0).sum(dim=1) == 2).any()
    with torch.no_grad():
        logs = small_model().double().train()(mixed).log_softmax(1)
    smoothed = 0.8 * targets + 0.2 / CLASSES
    expected = -(smoothed * logs).sum(1).mean()
    run.train_step(images, labels)
    assert run.loss_sum == pytest.approx(expected.item(), rel=1e-12)


def test_the_average_of_the_weights_is_the_one_by_hand_and_is_what_is_kept():
    config = TrainConfig(ema=0.7, learning_rate=0.05, epochs=1, batch_size=6)
    data, validation = labeled(dtype=torch.float64), labeled(31, seed=1, dtype=torch.float64)
    model = small_model().double()
    run = Run(model, config, 4, CLASSES)
    average = None
    for rows in run.batches_left(ITEMS):
        run.train_step(*data[rows])
        now = {k: v.clone() for k, v in model.state_dict().items() if v.is_floating_point()}
        before = average or now
        average = {k: 0.7 * before[k] + 0.3 * now[k] for k in now}
    run.end_epoch(validation)
    kept = {k: v for k, v in run.best.items() if v.is_floating_point()}
    torch.testing.assert_close(kept, average)
    fitted = small_model().double()
    history = fit(fitted, data, validation, config=config)
    torch.testing.assert_close(dict(fitted.state_dict()), run.best)
    assert history.validation_loss == [evaluate(fitted, validation).loss]


# --- What surrounds the loop ---


class Observer(nn.Module):
    """Notes in which circumstances it is called."""

    def forward(self, x):
        kernels = torch.backends.cuda
        self.seen = {
            "autocast": torch.is_autocast_enabled("cpu"),
            "product": (x.flatten(1) @ x.flatten(1).T).dtype,
            "plain attention only": not kernels.flash_sdp_enabled(),
        }
        return x


def circumstances():
    return torch.is_autocast_enabled("cpu"), torch.backends.cuda.flash_sdp_enabled()


def test_bfloat16_holds_inside_its_context_and_nowhere_else():
    model = small_model()
    model.insert(0, Observer())
    types = {}
    for name, layer in model.named_modules():
        layer.register_forward_hook(lambda m, i, out, name=name: types.update({name: out.dtype}))
    before = circumstances()
    data = labeled()
    run = Run(model, TrainConfig(precision="bfloat16"), 4, CLASSES)
    run.train_step(*data[torch.arange(9)])
    assert model[0].seen == {
        "autocast": True,
        "product": torch.bfloat16,
        "plain attention only": True,
    }
    assert types["1"] == types["7"] == torch.bfloat16
    assert types["4"] == torch.float32  # depthwise
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in model.parameters())
    assert circumstances() == before
    result = evaluate(model, data, precision_name="bfloat16")
    assert result.logits.dtype == torch.float32
    assert types["7"] == torch.bfloat16
    assert model[0].seen["autocast"]
    assert not model[0].seen["plain attention only"]  # its fast kernel is slow backwards only
    evaluate(model, data)
    assert types["1"] == types["7"] == torch.float32
    assert model[0].seen == {
        "autocast": False,
        "product": torch.float32,
        "plain attention only": False,
    }


def test_the_precision_context_leaves_nothing_behind_nested_or_broken():
    model, before = small_model(), circumstances()
    depthwise, images = model[3], torch.randn(2, 7, SIDE, SIDE)
    assert depthwise.groups == 7
    expected = depthwise(images)

    def nested_and_broken():
        with precision("bfloat16", model):
            with precision("bfloat16", model):
                short = images.bfloat16()
                assert torch.equal(depthwise(short.float()), depthwise(short))
            assert depthwise(images).dtype == torch.float32
            raise KeyError

    with pytest.raises(KeyError):
        nested_and_broken()
    assert circumstances() == before
    assert "forward" not in vars(depthwise)
    assert torch.equal(depthwise(images), expected)
    with precision("float32", model):
        assert circumstances() == before


def test_an_unknown_precision_is_refused():
    message = '"float32" or "bfloat16"; got \'float16\''
    with pytest.raises(ValueError, match=message), precision("float16", small_model()):
        pass
    with pytest.raises(ValueError, match=message):
        TrainConfig(precision="float16")


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"save_every": 0},
        {"warmup": -0.1},
        {"warmup": 1.5},
        {"label_smoothing": 2},
        {"ema": 1},
    ],
)
def test_a_recipe_that_cannot_be_is_refused(wrong):
    ((_, value),) = wrong.items()
    with pytest.raises(ValueError, match=rf"at least 1, .*0 \.\.\. 1.*got .*{value}"):
        TrainConfig(**wrong)


def test_half_precision_logits_are_scored_in_float32_and_double_stays():
    for dtype, expected in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        assert at_least_float32(torch.zeros(1, dtype=dtype)).dtype == expected


def test_images_take_the_models_type():
    model = small_model().double()
    history = fit(model, labeled(), labeled(7, seed=1), config=TrainConfig(epochs=1))
    assert all(p.dtype == torch.float64 for p in model.parameters())
    assert math.isfinite(history.train_loss[0])
    assert evaluate(model, labeled()).logits.dtype == torch.float64


@pytest.mark.parametrize(("train", "validation"), [(0, 3), (3, 0)])
def test_empty_data_is_refused(train, validation):
    with pytest.raises(ValueError, match=f"to validate on; got {train} and {validation}"):
        fit(small_model(), labeled(train), labeled(validation))


def test_nothing_to_evaluate_is_refused():
    with pytest.raises(ValueError, match="needs images to classify; got 0"):
        evaluate(small_model(), labeled(0))


def test_a_loss_that_is_no_number_stops_before_it_reaches_the_weights(tmp_path):
    data = labeled()
    data.tensors[0][11] = math.nan
    model = small_model()
    model[1] = nn.Identity()  # a batch norm takes the number into its running mean
    config = TrainConfig(epochs=2, batch_size=1, learning_rate=0.25, warmup=0.5, save_every=1)
    with pytest.raises(
        FloatingPointError, match=r"loss is nan in step \d+: .*than 0\.25, .*than 0\.5 of"
    ):
        fit(model, data, labeled(seed=1), config=config, folder=tmp_path)
    assert all(p.isfinite().all() for p in model.parameters())
    state = torch.load(tmp_path / STATE, weights_only=True)
    assert all(value.isfinite().all() for value in state["model"].values())


def test_fit_leaves_all_random_numbers_alone_and_does_not_depend_on_them():
    config = TrainConfig(epochs=2, batch_size=6, augment=Augment(crop=1, mix=0.5))
    fitted = []
    for seed in (5, 6):
        model = small_model(dropout=0.5)
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
        fit(model, labeled(), labeled(9, seed=1), config=config)
        assert random.getstate() == before[0]
        assert np.random.get_state()[1].tolist() == before[1]
        assert torch.equal(torch.get_rng_state(), before[2])
        fitted.append(model.state_dict())
    assert all(torch.equal(fitted[0][name], fitted[1][name]) for name in fitted[0])
    other = small_model(dropout=0.5)
    fit(other, labeled(), labeled(9, seed=1), config=TrainConfig(**{**vars(config), "seed": 1}))
    assert not torch.equal(other[0].weight, fitted[0]["0.weight"])


class Draws(nn.Module):
    """Notes a random number at each call in training."""

    def __init__(self):
        super().__init__()
        self.noted = []

    def forward(self, x):
        if self.training:
            self.noted.append(torch.rand(()).item())
        return x


def test_every_step_of_every_seed_draws_numbers_of_its_own():
    noted = []
    for seed in (0, 1):
        model = small_model().insert(0, Draws())
        fit(model, labeled(), labeled(), config=TrainConfig(epochs=2, batch_size=6, seed=seed))
        noted += model[0].noted
    assert len(set(noted)) == len(noted) == 16


def test_fit_is_quiet_when_it_is_asked_to_be(monkeypatch, capfd):
    config = TrainConfig(epochs=1, batch_size=6)
    fit(small_model(), labeled(), labeled(), config=config)  # COURSE_QUIET is set in all tests
    assert capfd.readouterr() == ("", "")
    monkeypatch.delenv("COURSE_QUIET")
    fit(small_model(), labeled(), labeled(), config=config)
    assert "epoch 1" in capfd.readouterr().err


def test_after_every_epoch_the_caller_is_told():
    told = []
    history = fit(
        small_model(),
        labeled(),
        labeled(),
        config=TrainConfig(epochs=3),
        after_epoch=lambda epoch, history: told.append((epoch, history.validation_accuracy[-1])),
    )
    assert told == list(enumerate(history.validation_accuracy))


def test_evaluation_is_the_loss_and_the_share_of_right_answers_in_eval_mode():
    model, data = small_model(dropout=0.5).double(), labeled(ITEMS, dtype=torch.float64)
    model.train()
    model[1].eval()  # a frozen layer among others
    result = evaluate(model, data, batch_size=4)
    assert [model.training, model[1].training, model[5].training] == [True, False, True]
    logits = torch.stack([model.eval()(image[None])[0] for image in data.tensors[0]])
    torch.testing.assert_close(result.logits, logits)
    expected = -logits.log_softmax(1)[torch.arange(ITEMS), data.tensors[1]].mean()
    assert result.loss == pytest.approx(expected.item())
    assert result.accuracy == pytest.approx(
        sum(
            int(row.argmax()) == int(label)
            for row, label in zip(logits, data.tensors[1], strict=True)
        )
        / ITEMS
    )
    assert torch.equal(result.labels, data.tensors[1])


# --- Files ---

# What is run in a process of its own: everything random is on. The processes are forked from one
# that has imported PyTorch; each is killed at its moment, the last of a row ends by itself.
KILLED = """
    import os, signal, sys
    import torch, torch._dynamo  # an optimizer imports the latter: once for all
    sys.path.insert(0, sys.argv[1])
    from course_utils import progress, training
    from course_utils.augmentation import Augment
    from test_training import labeled, small_model

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    class Mortal(training.Run):
        moment, left = "", 0

        def count(self, moment):
            if moment == Mortal.moment:
                Mortal.left -= 1
                if Mortal.left < 0:
                    die()

        def train_step(self, images, labels):
            super().train_step(images, labels)
            self.count("step")

        def end_epoch(self, validation):
            self.count("validation")
            super().end_epoch(validation)

        def save(self, folder):
            whole, real = progress.os.fsync, training.replace_file
            def half(path, content):
                self.count("written")
                if Mortal.moment == "half written" and Mortal.left == 0:
                    path.with_name(path.name + ".new").write_bytes(content[:len(content) // 2])
                    die()
                self.count("half written")
                real(path, content)
            training.replace_file = half
            if Mortal.moment == "not renamed" and Mortal.left == 0:
                progress.os.fsync = lambda descriptor: die()
            self.count("not renamed")
            super().save(folder)
            training.replace_file = real

    def run(folder):
        training.Run = Mortal
        model = small_model(dropout=0.5)
        config = training.TrainConfig(
            epochs=5, batch_size=4, learning_rate=0.01, label_smoothing=0.1, ema=0.8,
            augment=Augment(crop=1, erase=0.3, mix=0.7), save_every=3,
        )
        history = training.fit(model, labeled(), labeled(31, 1), config=config, folder=folder)
        torch.save([model.state_dict(), vars(history)], folder + "/end.pt")

    torch.set_num_threads(1)
    for row, kills in enumerate(eval(sys.argv[3])):
        folder = f"{sys.argv[2]}/{row}"
        os.mkdir(folder)
        for moment, left in [*kills, ("", 0)]:
            child = os.fork()
            if not child:
                Mortal.moment, Mortal.left = moment, left
                run(folder)
                os._exit(0)
            status = os.waitpid(child, 0)[1]
            expected = signal.SIGKILL if moment else 0
            assert status == expected, (row, moment, left, status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, which Windows cannot")
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path):
    """30 steps, 6 an epoch, saved every 3 and at the ends of epochs: both meet in steps 6, 12, ..."""
    chance = random.Random(0)
    rows = [
        [],  # undisturbed
        [("step", 0), ("step", 3), ("step", 13)],
        [("step", 8), ("half written", 1), ("step", 0)],
        [("half written", 0), ("half written", 4)],
        [("not renamed", 2), ("not renamed", 0)],
        [("validation", 0), ("validation", 1)],  # the epoch's last step is saved, its end is not
        [("written", 3), ("validation", 0), ("step", 1)],
        [("step", chance.randrange(6)) for _ in range(4)],
        [("step", chance.randrange(29))],
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(KILLED),
            os.path.dirname(__file__),
            tmp_path,
            str(rows),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ends = [torch.load(tmp_path / str(row) / "end.pt") for row in range(len(rows))]
    (weights, history), *others = ends
    assert len(history["train_loss"]) == 5
    for other_weights, other_history in others:
        assert other_history == history
        assert all(torch.equal(other_weights[name], weights[name]) for name in weights)


def interrupted(folder, config=None, model=None):
    """A run that stopped after its first epoch."""

    def stop(epoch, history):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(
            model or small_model(),
            labeled(),
            labeled(),
            config=config or TrainConfig(epochs=2, batch_size=6),
            folder=folder,
            after_epoch=stop,
        )


def again(folder, model=None, **changed):
    config = TrainConfig(**{"epochs": 2, "batch_size": 6, **changed})
    return fit(model or small_model(), labeled(), labeled(), config=config, folder=folder)


def test_the_run_of_another_recipe_is_refused_with_both(tmp_path):
    interrupted(tmp_path)
    for changed in ({"learning_rate": 0.5}, {"augment": Augment()}, {"batch_size": 7}):
        ((name, _),) = changed.items()
        with pytest.raises(
            ValueError, match=rf"holds a run of another recipe, .*'{name}': .*this one is"
        ):
            again(tmp_path, **changed)
    assert len(again(tmp_path, save_every=1).train_loss) == 2  # how often it is saved may change


def test_the_run_of_another_model_is_refused(tmp_path):
    interrupted(tmp_path)
    other = small_model()
    other[6] = nn.Linear(7 * 4 * 4, CLASSES + 1)
    with pytest.raises(ValueError, match="holds a run of another model: give another folder"):
        again(tmp_path, model=other)


def test_a_finished_run_is_not_run_again(tmp_path):
    first = small_model()
    history = again(tmp_path / "new" / "folder", model=first)
    data, fresh = Recording(labeled()), small_model(seed=1)
    config = TrainConfig(epochs=2, batch_size=6)
    same = fit(fresh, data, labeled(), config=config, folder=tmp_path / "new" / "folder")
    assert same == history
    assert len(data.asked) == 1
    for name, value in first.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value)


class Payload:
    """Pickled code: creates a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_damaged_state_is_said_with_its_name_and_the_way_out(tmp_path):
    interrupted(tmp_path)
    path = tmp_path / STATE
    content = path.read_bytes()
    for damaged in (b"", b"weights", content[: len(content) // 2], content[:-100]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{path} is damaged, .*remove it, and the run"):
            again(tmp_path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match=rf"{path} is damaged, or not written by fit"):
        again(tmp_path)
    torch.save({"model": {}, "best": {}}, path)
    with pytest.raises(
        ValueError, match="average, history, optimizer, progress, recipe missing; remove it"
    ):
        again(tmp_path)


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save({"recipe": Payload(tmp_path / "run")}, tmp_path / STATE)
    with pytest.raises(ValueError, match=r"is damaged, or not written by fit \(UnpicklingError\)"):
        again(tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    interrupted(tmp_path)

    def refused(path):
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(PermissionError, match="not yours"):
        again(tmp_path)


def test_a_full_disk_leaves_the_last_state(tmp_path, monkeypatch):
    interrupted(tmp_path)
    before = (tmp_path / STATE).read_bytes()

    def no_space(descriptor):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(OSError, match="No space left"):
            again(tmp_path)
    assert (tmp_path / STATE).read_bytes() == before
    resumed, straight = small_model(), small_model()
    again(tmp_path, model=resumed)
    again(tmp_path / "other", model=straight)
    assert torch.equal(resumed[0].weight, straight[0].weight)


# --- Normalized images ---


def test_normalized_images_are_torchvisions():
    from torchvision.transforms.v2 import functional as transforms

    images = torch.randint(256, (7, 3, 5, 11), dtype=torch.uint8)
    labels = torch.arange(7)
    mean, std = (0.1, 0.5, 0.7), (0.2, 0.3, 0.9)
    data = NormalizedImages(images, labels, mean, std)
    rows = torch.tensor([5, 0, 2])
    got, answers = data[rows]
    expected = transforms.normalize(transforms.to_dtype(images[rows], scale=True), mean, std)
    torch.testing.assert_close(got, expected)
    assert torch.equal(answers, rows)
    assert len(data) == 7
    floats = normalize(images[rows].double() / 255, mean, std)
    torch.testing.assert_close(floats, expected.double(), rtol=1e-6, atol=1e-6)  # float32's share
    assert floats.dtype == torch.float64


def test_one_mean_serves_all_channels():
    images = torch.rand(2, 3, 5, 7)
    torch.testing.assert_close(normalize(images, (0.5,), (0.25,)), (images - 0.5) / 0.25)


def test_what_cannot_be_normalized_is_refused(without_shape_types):
    images = torch.rand(2, 3, 5, 7)
    with pytest.raises(ValueError, match=r"need 1 number, or 3, one for each channel; got 2 and 1"):
        normalize(images, (0.5, 0.5), (1.0,))
    with pytest.raises(ValueError, match=r"need 1 number, or 1, one for each channel; got 3 and 3"):
        normalize(images[:, :1], (0.5,) * 3, (1.0,) * 3)
    with pytest.raises(ValueError, match=r"bytes \(torch.uint8\) or floats; got torch.int64"):
        normalize(images.long(), (0.5,), (1.0,))
    with pytest.raises(ValueError, match="one label; got 2 images and 3 labels"):
        NormalizedImages(images, torch.arange(3))
