"""What a learner types is what the package has: every built cell against its package name."""

import ast
import importlib
import inspect
from collections import Counter
from dataclasses import asdict, is_dataclass

import pytest
import torch
from nbtools import NOTEBOOKS, ROOT, code_cells, read, tags
from torch import nn

from course_utils.cnn import ResNet
from course_utils.cvt import ConvEmbedding
from course_utils.scale.costs import Costs
from course_utils.vit import VisionTransformer

# What the lessons of Part I teach by typing it in full.
TAUGHT = {
    "tokenizers.CharTokenizer": "01",
    "tokenizers.WordTokenizer": "01",
    "positions.sinusoidal_positions": "02",
    "positions.sinusoidal_positions_2d": "02",
    "positions.LearnedPositions": "02",
    "positions.apply_rotary": "02",
    "positions.alibi_bias": "02",
    "attention.attention": "03",
    "attention.causal_mask": "03",
    "attention.padding_mask": "03",
    "attention.MultiHeadAttention": "03",
    "transformer.FeedForward": "04",
    "transformer.EncoderBlock": "04",
    "transformer.Encoder": "04",
    "vit.PatchEmbedding": "05",
    "vit.VisionTransformer": "06",
    "cnn.conv2d_loop": "07",
    "cnn.conv2d_unfold": "07",
    "cnn.ResidualBlock": "07",
    "cnn.ResNet": "07",
}

TAUGHT |= {
    "cvt.to_tokens": "08",
    "cvt.to_maps": "08",
    "cvt.ConvEmbedding": "08",
    "cvt.ConvProjection": "08",
    "cvt.ConvAttention": "08",
    "cvt.ConvBlock": "08",
    "cvt.ConvStage": "08",
    "cvt.ConvolutionalVisionTransformer": "08",
}

TAUGHT |= {
    "measures.shift_images": "09",
    "measures.shuffle_patches": "09",
    "measures.linear_cka": "09",
}

TAUGHT |= {"search.normalized": "10", "search.best": "10"}

TAUGHT |= {
    "explain.mean_attention_distance": "12",
    "explain.attention_rollout": "12",
    "explain.grad_cam": "12",
    "explain.perturbation_curve": "12",
    "explain.pointing_game": "12",
}

TAUGHT |= {
    "scale.by_hand.average_weights": "13",
    "scale.by_hand.mean_gradients": "13",
    "scale.by_hand.accumulated_gradients": "13",
    "scale.plan.training_memory": "13",
}

TAUGHT |= {
    "transfer.Frozen": "11",
    "regions.patch_map": "11",
    "regions.RegionHead": "11",
    "regions.place_middles": "11",
}


def built_cells():
    """(lesson, package name, cell) for every tag `builds:...`."""
    return [
        (path.name[:2], tag.removeprefix("builds:"), cell)
        for path in NOTEBOOKS
        for cell in code_cells(read(path))
        for tag in tags(cell)
        if tag.startswith("builds:")
    ]


def typed(lesson: str, name: str):
    """The object that the lesson's built cells define, run on the lesson's imports alone."""
    (path,) = (path for path in NOTEBOOKS if path.name.startswith(lesson))
    cells = code_cells(read(path))
    imports = [
        ast.unparse(node)
        for cell in cells
        if "setup" not in tags(cell)
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    namespace = {"__name__": "typed_by_a_learner"}
    exec("\n".join(imports), namespace)
    for cell in cells:
        if any(tag.startswith("builds:") for tag in tags(cell)):
            exec(cell.source, namespace)
    return namespace[name.rpartition(".")[2]]


def packaged(name: str):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(f"course_utils.{module}"), attribute)


def test_each_taught_name_is_built_in_one_lesson():
    assert {name: lesson for lesson, name, _ in built_cells()} == TAUGHT
    assert set(Counter(name for _, name, _ in built_cells()).values()) == {1}


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def boolean(*shape):
    mask = normal(*shape) > 0
    mask[..., 0] = True
    return mask


TEXT = "She sells sea shells, she said; naïve café 水."
Q, K, V = normal(2, 3, 5, 7), normal(2, 3, 11, 7), normal(2, 3, 11, 7)
# Name -> calls with arguments (functions), or constructor arguments and calls (modules).
FUNCTIONS = {
    "positions.sinusoidal_positions": [(7, 22), (1, 2), (13, 6)],
    "positions.sinusoidal_positions_2d": [(3, 5, 28), (7, 2, 4)],
    "positions.apply_rotary": [(normal(2, 3, 5, 22),), (normal(7, 6), torch.arange(7) + 100)],
    "positions.alibi_bias": [(8, 7, 7), (4, 3, 11), (12, 5, 5)],
    "attention.attention": [
        (Q, K, V),
        (Q, K, V, boolean(5, 11)),
        (Q, K, V, boolean(2, 1, 1, 11)),
        (Q, K, V, torch.zeros(5, 11, dtype=torch.bool)),
    ],
    "attention.causal_mask": [(5,), (1,)],
    "attention.padding_mask": [(torch.tensor([3, 7, 0]), 7)],
    "cnn.conv2d_loop": [
        (normal(3, 11, 7), normal(5, 3, 3, 2)),
        (normal(2, 7, 11), normal(3, 2, 5, 3), 2, 3),
    ],
    "cnn.conv2d_unfold": [
        (normal(2, 3, 11, 7), normal(5, 3, 3, 2)),
        (normal(3, 2, 7, 11), normal(3, 2, 5, 3), 2, 3),
    ],
}
VIT = {"dim": 21, "heads": 3, "num_classes": 11}
MODULES = {
    "positions.LearnedPositions": [({"length": 7, "dim": 5}, [(normal(2, 3, 5),)])],
    "attention.MultiHeadAttention": [({"dim": 21, "heads": 3}, [(normal(2, 5, 21),)])],
    "transformer.FeedForward": [({"dim": 7, "hidden": 13}, [(normal(2, 3, 7),)])],
    "transformer.EncoderBlock": [
        ({"dim": 21, "heads": 3, "norm": "pre"}, [(normal(2, 5, 21),)]),
        ({"dim": 21, "heads": 7, "norm": "post", "mlp_ratio": 2.0}, [(normal(2, 5, 21),)]),
    ],
    "transformer.Encoder": [
        ({"dim": 21, "depth": 3, "heads": 3, "norm": "pre"}, [(normal(2, 5, 21),)]),
        ({"dim": 21, "depth": 2, "heads": 3, "norm": "post"}, [(normal(2, 5, 21),)]),
    ],
    "vit.PatchEmbedding": [
        ({"patch_size": 5, "channels": 3, "dim": 7}, [(normal(2, 3, 10, 15),)]),
        ({"patch_size": 2, "channels": 1, "dim": 11}, [(normal(3, 1, 6, 2),)]),
    ],
    "vit.VisionTransformer": [
        (
            {**VIT, "image_size": 15, "patch_size": 5, "channels": 3, "depth": 2, "mlp_ratio": 2.0},
            [(normal(2, 3, 15, 15),), (normal(3, 3, 10, 25),)],
        ),
        (
            {**VIT, "image_size": 6, "patch_size": 2, "channels": 1, "depth": 1, "pool": "mean"},
            [(normal(5, 1, 6, 6),), (normal(2, 1, 4, 10),)],
        ),
    ],
    "cnn.ResidualBlock": [
        ({"in_channels": 5, "out_channels": 5}, [(normal(2, 5, 7, 11),)]),
        ({"in_channels": 3, "out_channels": 5, "stride": 2}, [(normal(2, 3, 7, 11),)]),
    ],
    "cnn.ResNet": [
        (
            {"depths": (1, 2, 1), "widths": (3, 5, 7), "stem": "small", "num_classes": 11},
            [(normal(3, 3, 13, 17),)],
        ),
        (
            {"depths": (2, 1), "widths": (5, 7), "channels": 2, "num_classes": 0},
            [(normal(3, 2, 37, 41),)],
        ),
    ],
}

FUNCTIONS |= {
    "cvt.to_tokens": [(normal(2, 5, 3, 7),)],
    "cvt.to_maps": [(normal(2, 21, 5), (3, 7))],
}
FUNCTIONS |= {
    "measures.shift_images": [(normal(2, 3, 5, 7), 2, -3), (normal(2, 1, 7, 5), -4, 0)],
    "measures.shuffle_patches": [(normal(5, 3, 6, 9), 3), (normal(3, 2, 4, 10), 2, 7)],
    "measures.linear_cka": [(normal(11, 5), normal(2, 11, 3)[1])],
}
FUNCTIONS |= {
    "search.normalized": [(normal(11, 7),), (torch.cat([normal(3, 5), torch.ones(1, 5)]),)],
    "search.best": [(normal(5, 11), 3), (normal(3, 7), 7), (normal(2, 5), 1)],
}


class Keywords(dict):
    """Arguments that are given by name; the last of a call."""


TINY_VIT = VisionTransformer(
    image_size=10, patch_size=2, dim=6, depth=2, heads=3, num_classes=3
).double()
TINY_CNN = ResNet(depths=(1, 1), widths=(3, 5), stem="small", num_classes=3).double()
LINEAR = nn.Sequential(nn.Flatten(), nn.Linear(3 * 5 * 7, 4)).double()
for parameter in [*TINY_VIT.parameters(), *TINY_CNN.parameters()]:
    nn.init.normal_(parameter, std=0.4, generator=torch.Generator().manual_seed(0))
FUNCTIONS |= {
    "explain.mean_attention_distance": [
        (normal(2, 3, 65, 65).softmax(dim=-1), (32, 32)),
        (normal(2, 3, 15, 15).softmax(dim=-1), (6, 10)),
    ],
    "explain.attention_rollout": [
        ([normal(2, 3, 5, 5).softmax(dim=-1), normal(2, 2, 5, 5).square().softmax(dim=-1)],),
    ],
    "explain.grad_cam": [
        (TINY_VIT, normal(2, 3, 10, 10)),
        (TINY_VIT, normal(2, 3, 10, 10), torch.tensor([2, 0])),
        (TINY_CNN, normal(3, 3, 13, 17), torch.tensor([1, 1, 0])),
    ],
    "explain.perturbation_curve": [
        (
            LINEAR,
            normal(2, 3, 5, 7),
            normal(3, 2, 5, 7)[2],
            torch.tensor([3, 1]),
            Keywords(mode=mode, steps=4, fill=fill),
        )
        for mode, fill in (("deletion", None), ("insertion", normal(2, 3, 5, 7).double().tanh()))
    ],
    "explain.pointing_game": [
        (normal(4, 5, 7), boolean(4, 5, 7)),
        (normal(4, 5, 7).round(), boolean(4, 5, 7)),
    ],
}
CVT_EMBEDDING = {"channels": 3, "dim": 10, "patch_size": 5, "stride": 3, "padding": 1}
MODULES |= {
    "cvt.ConvEmbedding": [(CVT_EMBEDDING, [(normal(2, 3, 13, 11),)])],
    "cvt.ConvProjection": [
        ({"dim": 5}, [(normal(2, 5, 3, 7), normal(2, 1, 5))]),
        ({"dim": 5, "stride": 2}, [(normal(2, 5, 3, 7), normal(2, 2, 5))]),
    ],
    "cvt.ConvAttention": [
        ({"dim": 10, "heads": 2}, [(normal(2, 22, 10), (3, 7)), (normal(2, 21, 10), (3, 7))]),
        ({"dim": 10, "heads": 5, "kv_stride": 1, "scale": "stage"}, [(normal(2, 15, 10), (5, 3))]),
    ],
    "cvt.ConvBlock": [({"dim": 10, "heads": 2, "mlp_ratio": 3.0}, [(normal(2, 22, 10), (3, 7))])],
    "cvt.ConvStage": [
        (
            {"embed": ConvEmbedding(**CVT_EMBEDDING), "dim": 10, "depth": 2, "heads": 2}
            | {"class_token": class_token},
            [(normal(2, 3, 13, 11),)],
        )
        for class_token in (True, False)
    ],
    "cvt.ConvolutionalVisionTransformer": [
        (
            {"dims": (5, 7, 10), "depths": (1, 1, 2), "heads": (1, 1, 2), "num_classes": 3}
            | {"scale": "stage"},
            [(normal(2, 3, 31, 37),)],
        )
    ],
}

SNAPSHOTS = [{"a": normal(5, 3) * k, "b": normal(7) + k} for k in (1, 2, 3)]
COSTS = Costs(parameters=1009, flops=1, activations=71, activations_mixed=41)
FUNCTIONS |= {
    "scale.by_hand.average_weights": [(SNAPSHOTS,), (SNAPSHOTS[:1],)],
    "scale.by_hand.mean_gradients": [(SNAPSHOTS,)],
    "scale.by_hand.accumulated_gradients": [
        (nn.Linear(5, 3).double(), normal(7, 5), torch.arange(7) % 3, part) for part in (1, 3, 7)
    ],
    "scale.plan.training_memory": [
        (COSTS, Keywords(batch_size=3)),
        (COSTS, Keywords(batch_size=5, precision="bf16-mixed", shards=7)),
    ],
}
FUNCTIONS |= {
    "regions.patch_map": [(normal(2, 13, 5), (3, 4)), (normal(2, 10, 3), (5, 2))],
    "regions.place_middles": [((5, 7), 4), ((2, 3), 8)],
}
MODULES |= {
    "transfer.Frozen": [({"module": nn.BatchNorm2d(3)}, [(normal(2, 3, 5, 7),)])],
    "regions.RegionHead": [
        ({"channels": 3, "cells": 5, "num_classes": 4}, [(normal(7, 3, 5, 5),)]),
    ],
}


# A lesson's names may stand here before the lesson does.
THERE = {path.name[:2] for path in NOTEBOOKS}
TAUGHT = {name: lesson for name, lesson in TAUGHT.items() if lesson in THERE}
FUNCTIONS = {name: cases for name, cases in FUNCTIONS.items() if name in TAUGHT}


def leaves(outputs) -> tuple:
    """What a function returns, out of tuples, dictionaries and data classes."""
    if is_dataclass(outputs):
        outputs = asdict(outputs)
    if isinstance(outputs, dict):
        outputs = tuple(outputs[name] for name in sorted(outputs))
    return outputs if isinstance(outputs, tuple) else (outputs,)


def result_and_gradients(function, arguments):
    """Outputs, and gradients at every floating-point input, in float64."""
    inputs = [
        a.double().requires_grad_() if torch.is_tensor(a) and a.is_floating_point() else a
        for a in arguments
    ]
    keywords = inputs.pop() if isinstance(inputs[-1], Keywords) else {}
    outputs = leaves(function(*inputs, **keywords))
    outputs = tuple(out for out in outputs if torch.is_tensor(out) or isinstance(out, int | float))
    learned = [out for out in outputs if torch.is_tensor(out) and out.requires_grad]
    if learned:
        sum(out.pow(2).sum() for out in learned).backward()
    gradients = [a.grad for a in inputs if torch.is_tensor(a) and a.requires_grad]
    return outputs, gradients


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_typed_function_equals_the_packages(name):
    ours, theirs = typed(TAUGHT[name], name), packaged(name)
    torch.set_default_dtype(torch.float64)
    try:
        for arguments in FUNCTIONS[name]:
            torch.testing.assert_close(
                result_and_gradients(ours, arguments), result_and_gradients(theirs, arguments)
            )
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", MODULES)
def test_a_typed_module_equals_the_packages(name):
    for constructor, calls in MODULES[name]:
        torch.manual_seed(0)
        theirs: nn.Module = packaged(name)(**constructor).double()
        for parameter in theirs.parameters():
            nn.init.normal_(parameter, std=0.4)
        ours: nn.Module = typed(TAUGHT[name], name)(**constructor).double()
        ours.load_state_dict(theirs.state_dict(), strict=True)
        for arguments in calls:
            torch.testing.assert_close(
                result_and_gradients(ours, arguments), result_and_gradients(theirs, arguments)
            )


@pytest.mark.skipif("transfer.Frozen" not in TAUGHT, reason="the lesson is not there yet")
def test_a_typed_frozen_module_refuses_to_train():
    frozen = typed("11", "transfer.Frozen")(nn.BatchNorm1d(3))
    assert frozen.train() is frozen
    assert not any(part.training for part in frozen.modules())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


@pytest.mark.parametrize("name", ["tokenizers.CharTokenizer", "tokenizers.WordTokenizer"])
def test_a_typed_tokenizer_equals_the_packages(name):
    ours = typed(TAUGHT[name], name).train(TEXT)
    theirs = packaged(name).train(TEXT)
    assert ours.vocab_size == theirs.vocab_size
    for text in (TEXT, "she said", "cafe\u0301 sea", ""):
        if name.endswith("CharTokenizer") and not set(text) <= set(TEXT):
            continue  # a tokenizer of characters knows only those it has seen
        ids = theirs.encode(text)
        assert ours.encode(text) == ids
        assert ours.decode(ids) == theirs.decode(ids)


def test_every_taught_name_is_compared():
    compared = {*FUNCTIONS, *MODULES, "tokenizers.CharTokenizer", "tokenizers.WordTokenizer"}
    assert compared == set(TAUGHT)


# Which modules of the package a module may import: arrows point one way.
ARROWS = {
    "tokenizers": set(),
    "positions": set(),
    "attention": set(),
    "transformer": {"attention", "positions"},
    "vit": {"positions", "transformer"},
    "cnn": set(),
    "cvt": {"attention", "transformer"},
    "weights": {"positions", "vit", "cnn", "cvt", "weights", "progress"},
    "images": set(),
    "data": {"data", "images"},
    "plotting": set(),
    "lesson": {"plotting"},
    "progress": set(),
    "augmentation": set(),
    "kernels": set(),
    "evaluation": {"kernels"},
    "measures": set(),
    "training": {"augmentation", "evaluation", "lesson", "progress"},
    "features": {
        "images", "weights", "evaluation", "kernels", "lesson", "progress", "features",
    },
    "search": {"features", "progress", "search"},
    "explain": {"evaluation", "explain"},
    "transfer": set(),
    "regions": {"cnn", "data", "evaluation", "lesson", "regions", "training"},
    "experiments": {
        "tokenizers", "positions", "attention", "transformer", "vit", "cnn", "cvt", "weights",
        "measures", "augmentation", "evaluation", "training", "data", "lesson", "progress",
        "experiments", "explain", "features", "search",
    },
    "scale": {"augmentation", "data", "evaluation", "progress", "scale", "training", "weights"},
    "checks": {
        "tokenizers", "positions", "attention", "transformer", "data", "lesson", "progress",
        "checks", "cnn",
    },
}  # fmt: skip


def imported_modules(path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("course_utils"):
            rest = node.module.split(".")[1:]
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {
                a.name.split(".")[1] for a in node.names if a.name.startswith("course_utils.")
            }
    return found


def modules():
    package = ROOT / "course_utils"
    return [p for p in package.rglob("*.py") if p != package / "__init__.py"]


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_arrows_point_one_way(path):
    name = path.relative_to(ROOT / "course_utils").parts[0].removesuffix(".py")
    assert imported_modules(path) <= ARROWS[name]


HEAVY = (
    "transformers",
    "timm",
    "sklearn",
    "skimage",
    "tokenizers",
    "torchvision",
    "lightning",
    "faiss",
)
LIGHT = ["tokenizers", "progress", "lesson"]
ALL = [p.stem for p in modules() if p.parent.name == "course_utils"]


@pytest.mark.parametrize(("names", "forbidden"), [(LIGHT, ("torch", "numpy")), (ALL, HEAVY)])
def test_importing_pulls_in_nothing_heavy(names, forbidden):
    import subprocess
    import sys

    imports = "; ".join(["import course_utils", *(f"import course_utils.{name}" for name in names)])
    code = f"{imports}; import sys; print([m for m in {forbidden!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_functions_and_classes_have_docstrings():
    for path in modules():
        if path.parent.name == "checks" and path.stem.startswith("lesson_"):
            continue  # a check is described by the title of its exercise
        module = importlib.import_module(
            ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        )
        for name, thing in vars(module).items():
            own = getattr(thing, "__module__", "") == module.__name__
            if (
                own
                and not name.startswith("_")
                and (inspect.isroutine(thing) or inspect.isclass(thing))
            ):
                assert inspect.getdoc(thing), f"{path.name}: {name}"
