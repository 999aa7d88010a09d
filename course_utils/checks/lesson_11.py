"""Lesson 11: frozen but for the head, overlap of boxes, places of a map, suppression, precision."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.checks.engine import (
    exercise,
    expect_also,
    expect_close,
    expect_dtype,
    expect_equal,
    refuse,
)


class _Head(nn.Sequential):
    """A head with dropout and a norm of its own: it must be in training mode."""

    def __init__(self) -> None:
        super().__init__(nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))


class _Network(nn.Module):
    """Two convolutions with batch norm and dropout, and a head; images of 3 x 8 x 8."""

    def __init__(self, head: str = "fc", last: nn.Module | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5)
        )
        self.extra, self.last = nn.Dropout(0.3), head
        self.add_module(head, last or nn.Linear(5, 3))

    def forward(self, images: Tensor) -> Tensor:
        features = self.extra(self.body(images)).mean(dim=(-2, -1))
        return self.get_submodule(self.last)(features)


NETWORKS: tuple[tuple[str, Callable[[], nn.Module]], ...] = (
    ("fc", lambda: nn.Linear(5, 3)),
    ("head", _Head),
)


@exercise("11.1", "only the head learns, and nothing else moves")
def freeze_all_but(answer: Any) -> None:
    for name, make in NETWORKS:
        model = _Network(name, make())
        last = model.get_submodule(name)
        model.train()
        right = sum(p.numel() for p in last.parameters())
        got = answer(model, name)
        if not isinstance(model, _Network) or not list(model.body.parameters()):
            refuse("Your function took the network apart. Leave its parts where they are.")
        own = {id(p) for p in last.parameters()}
        rest = [p for p in model.parameters() if id(p) not in own]
        if not all(p.requires_grad for p in last.parameters()):
            refuse(
                "The head is frozen, too: its weights take no gradient, so nothing at all can learn. "
                "Freeze the network first, then give the head its gradients back."
            )
        if any(p.requires_grad for p in rest):
            learns = sum(p.numel() for p in rest if p.requires_grad)
            if learns == sum(p.numel() for p in rest):
                refuse(
                    "All weights of the network still take gradients. Evaluation mode changes what "
                    "batch norm and dropout do; it does not stop weights from learning."
                )
            refuse(
                f"Outside of the head {learns} weights still take gradients: biases, or the weights of "
                "batch norm, are parameters, too."
            )
        _expect_still(model, last)
        if not all(part.training for part in last.modules()):
            refuse(
                "The head is in evaluation mode, so its own dropout and batch norm would not work as "
                "in training. Freeze all, then set the head to training mode."
            )
        total = sum(p.numel() for p in model.parameters())
        expect_equal(
            got,
            right,
            {
                "You counted tensors. A weight matrix of 3 x 7 is one tensor and 21 numbers that "
                "training may change.": len(list(last.parameters())),
                "You counted all weights of the network. Count those that take a gradient.": total,
                "You counted what is frozen. Asked is what is left to train.": total - right,
            },
            what="the count",
        )
    for came_frozen in (False, True):
        _expect_only_the_head(answer, came_frozen)


class _Named(nn.Module):
    """Parameters and parts with names that a careless answer takes for the head's."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 4))
        self.fc1, self.norm = nn.Linear(4, 5), nn.BatchNorm1d(5)
        self.fc, self.fc_old = nn.Linear(5, 3), nn.Linear(2, 2)


def _expect_only_the_head(answer: Any, came_frozen: bool) -> None:
    model = _Named().train()
    if came_frozen:
        model.eval().requires_grad_(False)
        model.norm.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    answer(model, "fc")
    if any(not torch.equal(value, before[name]) for name, value in model.state_dict().items()):
        refuse("You changed numbers of the network. Freezing leaves all of them as they are.")
    learns = {name for name, p in model.named_parameters() if p.requires_grad}
    trains = {name for name, part in model.named_modules() if part.training}
    if learns == {"fc.weight", "fc.bias"} and trains == {"fc"}:
        return
    if came_frozen:
        refuse(
            "The network came frozen and in evaluation mode, but for one norm: then not the head "
            "alone is free. Set all gradients and modes yourself: first those of `model`, then those "
            "of the head."
        )
    refuse(
        "Right so far, but not for a network with a parameter of its own (a class token), a part "
        "called `fc1` beside `fc`, and a part behind the head. Freeze `model` as a whole; then take "
        "the head by its whole name, with `getattr`, and free it."
    )


def _expect_still(model: nn.Module, last: nn.Module) -> None:
    """Refuse if a batch norm outside of the head moves when pictures pass."""
    inside = set(last.modules())
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m not in inside]
    before = [norm.running_mean.clone() for norm in norms if norm.running_mean is not None]
    if len(before) < len(norms):
        refuse(
            "Your function took the running statistics of batch norm away. They must stay as they "
            "are: they are what pictures are centered with."
        )
    model(torch.randn(4, 3, 8, 8))
    moved = [not torch.equal(m.running_mean, old) for m, old in zip(norms, before, strict=True)]  # type: ignore[arg-type]
    if any(moved):
        refuse(
            "No weight outside of the head takes a gradient, and yet the network moves: its batch "
            "norm is in training mode, and every batch changes the running mean and variance. "
            "Freezing takes evaluation mode, too."
        )
    if any(m.training for m in model.modules() if isinstance(m, nn.Dropout) and m not in inside):
        refuse(
            "Dropout outside of the head is still in training mode, so the frozen features are "
            "random. All of the frozen part belongs in evaluation mode, not batch norm alone."
        )


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _shared(a: Tensor, b: Tensor, more: float = 0.0, clamp: bool = True) -> Tensor:
    corner = torch.maximum(a[:, None, :2], b[:, :2])
    sides = torch.minimum(a[:, None, 2:], b[:, 2:]) - corner + more
    return (sides.clamp(min=0) if clamp else sides).prod(dim=-1)


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    shared = _shared(a, b)
    return shared / (_areas(a)[:, None] + _areas(b) - shared)


@exercise("11.2", "you know how well two boxes agree")
def intersection_over_union(answer: Any) -> None:
    a = torch.tensor([[0.0, 0, 2, 2], [3, 1, 9, 5], [10, 10, 14, 11]])
    b = torch.tensor([[1.0, 0, 3, 2], [5, 5, 6, 6], [4, 2, 12, 10.5], [12, 12, 13, 15]])
    for first, second in ((b[2:3], a[1:2]), (a, b), (b.double(), a.double())):
        shared, sizes = _shared(first, second), (_areas(first)[:, None], _areas(second))
        free = _shared(first, second, clamp=False)
        wide = _shared(first, second, more=1.0)
        wider = [((boxes[:, 2:] - boxes[:, :2]) + 1).prod(dim=-1) for boxes in (first, second)]
        as_size = [
            torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1) for boxes in (first, second)
        ]
        right = _overlap(first, second)
        mistakes: dict[str, Any] = {
            "Boxes that do not touch have an IoU of 0. In yours both sides of the intersection are "
            "negative, and their product is positive: no side may be less than 0.": (
                free / (sizes[0] + sizes[1] - free)
            ),
            "You set the product to 0 where it is negative. Too late: two negative sides have a "
            "positive product. No *side* may be less than 0.": (
                free.clamp(min=0) / (sizes[0] + sizes[1] - free.clamp(min=0))
            ),
            "You divided by the sum of both areas. The part that both cover is in it twice: subtract "
            "it once.": shared / (sizes[0] + sizes[1]),
            "You divided by the smaller area. The union is what at least one of them covers.": (
                shared / torch.minimum(*torch.broadcast_tensors(*sizes))
            ),
            "You divided by the area of the first boxes. The union counts both.": shared / sizes[0],
            "You counted both edges as pixels (+ 1). Here a box goes from edge to edge: x2 - x1 is "
            "its width.": wide / (wider[0][:, None] + wider[1] - wide),
            "You read the last two numbers as width and height. They are the right and the lower "
            "edge.": (_overlap(*as_size)),
            "Your result is the intersection alone. Divide it by the union.": shared,
            "You took the box around both instead of the union. That box also holds what neither "
            "covers.": (
                shared
                / (
                    torch.maximum(first[:, None, 2:], second[:, 2:])
                    - torch.minimum(first[:, None, :2], second[:, :2])
                ).prod(dim=-1)
            ),
        }
        if len(first) != len(second):
            mistakes[
                "Rows and columns are swapped: row i belongs to box i of the first argument."
            ] = right.T
        given = first.clone(), second.clone()
        got = answer(*given)
        if not (torch.equal(given[0], first) and torch.equal(given[1], second)):
            refuse("Your function changed the boxes that it was given. Make new tensors.")
        if torch.is_tensor(got) and got.dim() == 1:
            refuse(
                "You compared the boxes in pairs, first with first. Asked are all pairs: a table (n, "
                "m)."
            )
        expect_close(got, right, mistakes)
        expect_dtype(got, first)
    box = torch.tensor([[0.0, 0, 10, 10]])
    others = torch.tensor([[2.0, 3, 6, 5], [0, 0, 10, 10], [-2, 4, 12, 6]])
    expect_also(
        answer,
        (box, others),
        _overlap(box, others),
        "Right where boxes overlap in part, wrong where one lies inside the other or reaches out of the "
        "picture. The shared side goes from the larger left edge to the smaller right one.",
    )
    small = torch.tensor([[0.0, 0, 0.01, 0.01]])
    expect_also(
        answer,
        (small, small),
        torch.ones(1, 1),
        "A box with itself has an IoU of 1, however small: add nothing to the union.",
    )


@exercise("11.3", "you know where in the map a box is read")
def sample_places(answer: Any) -> None:
    for start, end, cells, stride in (
        (9.5, 41.0, 3, 4),
        (0.0, 8.0, 2, 4),
        (16.0, 24.0, 5, 8),
        (0.0, 4.0, 2, 4),
        (0.0, 17.0, 7, 4),
        (4.0, 8.0, 1, 4),
    ):
        step = (end - start) / cells
        middles = start + (torch.arange(cells, dtype=torch.float64) + 0.5) * step
        edges = start + torch.arange(cells, dtype=torch.float64) * step
        right = middles / stride - 0.5
        ends = torch.linspace(start, end, cells, dtype=torch.float64)
        mistakes = {
            "You are half a place too far to the right and down: place number i has its middle at "
            "stride * (i + 1/2), so subtract the half after dividing.": middles / stride,
            "You subtracted the half in pixels. It is half a *place*: first divide by the stride, "
            "then subtract.": (middles - 0.5) / stride,
            "You subtracted the half, but from pixels. It belongs to places: first divide by the "
            "stride.": middles - 0.5,
            "You added the half. Pixel 0 lies before the middle of place 0, at -1/2.": middles
            / stride
            + 0.5,
            "Near the picture's edge a place is negative: pixel 0 is at -1/2. Leave it so.": (
                right.clamp(min=0)
            ),
            "Your numbers are pixels. Divide by the stride to get places of the map.": middles,
            "You rounded down to whole places, as RoIPool did. Here nothing is rounded: between "
            "places the values are interpolated.": right.floor(),
            "You rounded to whole places. Here nothing is rounded: between places the values are "
            "interpolated.": right.round(),
            "You took where each cell begins. It is read in its middle.": edges / stride - 0.5,
            "You spread the points from edge to edge. Each cell is read in its own middle, so the "
            "first point is half a cell inside.": ends / stride - 0.5,
            "You multiplied by the stride. The map is smaller than the picture: divide.": (
                middles * stride - 0.5
            ),
        }
        expect_close(answer(start, end, cells, stride), right, mistakes)


def _greedy(boxes: Tensor, scores: Tensor, limit: float, **how: bool) -> list[int]:
    """Non-maximum suppression, or one of its misunderstandings."""
    kept: list[int] = []
    seen: list[int] = []
    fit = _overlap(boxes, boxes)
    for row in scores.argsort(descending=not how.get("least")).tolist():
        against = seen if how.get("chain") else kept[-1:] if how.get("last") else kept
        over = [
            bool(fit[row, k] >= limit if how.get("equal") else fit[row, k] > limit) for k in against
        ]
        if not any(over):
            kept.append(row)
        seen.append(row)
    return kept


@exercise("11.4", "of boxes on one object the surest stays")
def suppress(answer: Any) -> None:
    # A chain: each overlaps the next; far away a pair; and one alone.
    boxes = torch.tensor(
        [
            [4.0, 0, 14, 10],
            [0, 0, 10, 10],
            [8, 0, 18, 10],
            [50, 50, 60, 60],
            [50, 50, 60, 65],
            [30, 0, 36, 6],
        ]
    )
    scores = torch.tensor([0.8, 0.9, 0.7, 0.3, 0.5, 0.6])
    torch_seed = torch.Generator().manual_seed(0)
    corner = 40 * torch.rand(30, 2, generator=torch_seed)
    many = torch.cat([corner, corner + 8 + 12 * torch.rand(30, 2, generator=torch_seed)], dim=1)
    half = torch.tensor([[0.0, 0, 3, 2], [1.0, 0, 4, 2]])  # IoU of exactly a half
    cases = [
        (boxes, scores, 0.3),
        (half, torch.tensor([0.4, 0.6]), 0.5),
        (many, torch.rand(30, generator=torch_seed), 0.2),
        (torch.zeros(0, 4), torch.zeros(0), 0.5),
    ]
    for given, sure, limit in cases:
        before = given.clone(), sure.clone()
        got = answer(given, sure, limit)
        if not (torch.equal(given, before[0]) and torch.equal(sure, before[1])):
            refuse(
                "Your function changed the boxes or the scores that it was given. Make new ones."
            )
        if torch.is_tensor(got) and got.dim() == 2:
            refuse(
                "You returned boxes. Asked are their rows, so that scores and classes can be found, "
                "too."
            )
        if torch.is_tensor(got) and got.dtype == torch.bool:
            refuse("You returned a mask. Asked are the rows that stay, the surest first.")
        if got is None:
            refuse("your result is None: does your function end in `return ...`?")
        if not hasattr(got, "__len__"):
            refuse(f"You returned a {type(got).__name__}, which can be read once. Return a list.")
        if any(isinstance(row, str | float) for row in got) or (
            torch.is_tensor(got) and got.numel() and got.is_floating_point()
        ):
            refuse("Rows are whole numbers (int): they choose boxes.")
        rows = [int(row) for row in got]
        right = _greedy(given, sure, limit)
        order = sure.argsort(descending=True).tolist()
        mistakes: dict[str, Any] = {
            "A box that was itself removed removes nobody: compare with the boxes that are kept, not "
            "with all that are surer.": _greedy(given, sure, limit, chain=True),
            "You compared with the last kept box only. Any kept box may overlap it.": (
                _greedy(given, sure, limit, last=True)
            ),
            "You went from the least sure to the surest. The surest box must win.": (
                _greedy(given, sure, limit, least=True)
            ),
            "A box goes if its IoU is above the limit; at the limit itself it stays (> and not "
            ">=).": (_greedy(given, sure, limit, equal=True)),
            "The right boxes stay, but in the order of their rows. The surest comes first.": sorted(
                right
            ),
            "Nobody was removed: you sorted by score only.": order,
            "You went through the boxes in the order in which they stand. Sort by score first.": (
                _greedy(given, -torch.arange(float(len(sure))), limit)
            ),
        }
        in_order = _greedy(given[order], -torch.arange(float(len(sure))), limit)
        mistakes[
            "You returned places in the sorted order. Asked are rows of the boxes as they were "
            "given."
        ] = in_order
        expect_equal(rows, right, mistakes, what=f"with limit {limit}, your list of rows")
    three = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 9, 9]])
    expect_also(
        lambda *given: sorted(int(row) for row in answer(*given)),
        (three, torch.tensor([0.5, 0.5, 0.2]), 0.3),
        [0, 1],
        "Two boxes may have the same score, and looking a row up by its score finds one of them "
        "only. Sort rows (`argsort`), not scores.",
    )
    expect_also(
        lambda *given: [int(row) for row in answer(*given)],
        (three, torch.tensor([-0.5, -3.0, -1.0]), 0.3),
        [0, 1],
        "A score may be negative (a logit): a number such as 0 is no mark for 'removed'. Use minus "
        "infinity, or a list of rows.",
    )


@exercise("11.5", "you read a detector's list from the surest box down")
def precision_recall(answer: Any) -> None:
    cases: list[tuple[list[bool], int]] = [
        ([True, False, True, True, False], 7),
        ([False, True], 2),
        ([True], 1),
    ]
    for hits, objects in cases:
        right = torch.tensor(hits, dtype=torch.float64)
        found = right.cumsum(0)
        boxes = torch.arange(1.0, len(hits) + 1, dtype=torch.float64)
        got = answer(list(hits), objects)
        if not isinstance(got, tuple | list) or len(got) != 2:
            refuse(
                f"Return two things, precision and recall, each with a number for each box; got "
                f"{type(got).__name__}."
            )
        precision, recall = got
        swapped = _same(precision, found / objects) and _same(recall, found / boxes)
        if swapped and not _same(precision, found / boxes):
            refuse("You returned recall first. Asked is (precision, recall).")
        expect_close(
            precision,
            found / boxes,
            {
                "Your precision divides by all boxes of the list. After each box count only the "
                "boxes so far.": found / len(hits),
                "Your precision divides by the number of objects. That is recall: precision is the "
                "share of *boxes* that is right.": found / objects,
                "Your precision starts to count at 0: after the first box there is one box, not "
                "none.": (found / (boxes - 1)),
                "You did not add up: precision after a box counts all hits so far, not this box "
                "alone.": (right / boxes),
                "You returned one number. Asked is precision after *each* box.": found[-1]
                / len(hits),
                "Your precision never falls: you took the best of what follows. That is a later "
                "step, average precision's.": (found / boxes).flip(0).cummax(0).values.flip(0),
            },
            what="precision",
        )
        expect_close(
            recall,
            found / objects,
            {
                "Your recall divides by the hits. It must divide by all objects that there are: "
                "those that were never found count, too.": found / max(float(found[-1]), 1.0),
                "Your recall divides by the number of boxes. Recall is the share of *objects* that is "
                "found.": (found / len(hits)),
                "Your recall divides by the boxes so far. That is precision.": found / boxes,
                "Your recall counts boxes. Count the hits among them: only a hit finds an object.": (
                    boxes / objects
                ),
                "You did not add up: recall after a box counts all hits so far, not this box "
                "alone.": (right / objects),
            },
            what="recall",
        )


def _same(got: Any, expected: Tensor) -> bool:
    try:
        got = torch.as_tensor(got).double()
    except (TypeError, ValueError, RuntimeError):
        return False
    return got.shape == expected.shape and torch.allclose(got, expected)
