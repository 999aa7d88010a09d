"""Lesson 13: a running mean, unscaled gradients, unequal shares, a shared batch, days by 6 N D."""

import math
from typing import Any

import torch

from course_utils.checks.engine import exercise, expect_also, expect_close, refuse


@exercise("13.1", "you can keep a mean without keeping what it is the mean of")
def next_average(answer: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    for count in (3, 5, 9):
        average, weights = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
        given = average.clone(), weights.clone()
        got = answer(average, weights, count)
        if not (torch.equal(average, given[0]) and torch.equal(weights, given[1])):
            refuse(
                "Your function changed its arguments (`+=` writes into a tensor). Compute a new tensor: "
                "the snapshot may still be in use."
            )
        total = count * average + weights
        mistakes: dict[str, Any] = {
            "You took the middle of the mean and the new weights. The mean already stands for "
            "`count` tensors, so it weighs more than one new tensor.": (average + weights) / 2,
            "You divided by `count`. With the new tensor there are count + 1 of them.": total
            / count,
            "You moved too far: the distance was divided by `count`, but there are count + 1 tensors "
            "now.": average + (weights - average) / count,
            "You added the mean once, and divided by count + 1. The mean is a sum divided by `count`: "
            "multiply it back first.": (average + weights) / (count + 1),
            "This is the sum, not yet divided by the number of tensors.": total,
            "You exchanged the roles: the new weights count `count` times, the mean once. It is the "
            "other way round.": (average + count * weights) / (count + 1),
            "That is an exponential average with a fixed share. Then old tensors fade out; in a mean "
            "all weigh the same, so the share is 1 / (count + 1).": 0.9 * average + 0.1 * weights,
            "That is an exponential average with a fixed share. In a mean all tensors weigh the same, "
            "so the share of the new one is 1 / (count + 1).": 0.99 * average + 0.01 * weights,
            "You returned the new weights alone.": weights,
            "You subtracted in the wrong direction: the mean moves toward the new weights.": average
            - (weights - average) / (count + 1),
        }
        if count == 9:  # a fixed share of a tenth is right by chance
            mistakes = {k: v for k, v in mistakes.items() if "fixed share" not in k}
        expect_close(got, total / (count + 1), mistakes, what=f"with count = {count}, your result")


@exercise("13.2", "you take the scale back in float32, and leave a broken step out")
def unscale(answer: Any) -> None:
    scale = 2.0**16
    small = torch.tensor([3.1, -0.5, 2.0**-9 * 1.3]).half()
    large = torch.tensor([[20.0, -60_000.0]]).half()
    given = [small.clone(), large.clone()]
    got = answer(given, scale)
    if not (torch.equal(given[0], small) and torch.equal(given[1], large)):
        refuse(
            "Your function changed its arguments, and they are float16: a division inside them "
            "(`/=`) rounds to float16. Compute new float32 tensors."
        )
    if got is None:
        refuse(
            "Your function gave None for gradients that are all finite. 60,000 fits into float16."
        )
    if not isinstance(got, list | tuple) or len(got) != 2:
        refuse("Return a list with one tensor for each gradient that came in.")
    for gradient, half in zip(got, (small, large), strict=True):
        wanted = half.float() / scale
        if torch.is_tensor(gradient) and gradient.shape == half.shape:
            if torch.equal(gradient.float(), (half / scale).float()) and not torch.equal(
                gradient.float(), wanted
            ):
                refuse(
                    "You divided in float16. There the small gradients underflow again, and the scale "
                    "was useless: change to float32 first, then divide."
                )
            if torch.equal(gradient.float(), half.float() * scale):
                refuse("You multiplied by the scale. The loss was multiplied; now divide.")
            if torch.equal(gradient.float(), half.float()):
                refuse(
                    "The gradients are still those of the scaled loss: divide them by the scale, or the "
                    "step is 65,536 times too large."
                )
            if gradient.dtype != torch.float32:
                refuse(
                    f"The result must be float32, the type of the weights; got {gradient.dtype}."
                )
        expect_close(gradient, wanted, what="a gradient", tolerance=1e-12)
    for broken, name in (
        ([small, torch.tensor([1.0, math.inf]).half()], "an infinite number in the last tensor"),
        ([torch.tensor([-math.inf, 1.0]).half(), large], "minus infinity in the first tensor"),
        ([small, torch.tensor([math.nan]).half()], "a NaN in the last tensor"),
        ([small, torch.tensor([math.inf]).half(), large], "infinity in the middle tensor"),
    ):
        got = answer([gradient.clone() for gradient in broken], scale)
        if got is None:
            continue
        kept = isinstance(got, list | tuple) and len(got) < len(broken)
        refuse(
            f"With {name} you left out only that tensor. Then some weights take a step and others do "
            "not: leave the whole step out, return None."
            if kept
            else f"With {name} your function still returns gradients. One such number ruins the weights "
            "and, through AdamW's moments, all later steps: return None."
        )
    wide = [torch.tensor([60_000.0, 60_000.0, 0.0]).half(), torch.tensor([65_504.0]).half()]
    expect_also(
        lambda *given: _joined(answer(*given)),
        (wide, 8.0),
        _joined(wide).float() / 8,
        "Right for a scale of 65,536 and small numbers. Here the scale is 8 (tools change it during the "
        "training: use `scale`), and each number is finite, but their sum is too large for float16: ask "
        "each number, with `isfinite`.",
    )


def _joined(result: Any) -> torch.Tensor:
    return torch.cat([gradient.flatten() for gradient in result])


@exercise("13.3", "you know when the mean of means is not the mean")
def combine(answer: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    for sizes in ([5, 3], [1, 7, 2], [4, 4]):
        gradients = list(torch.randn(len(sizes), 3, 2, generator=generator, dtype=torch.float64))
        before = [gradient.clone() for gradient in gradients]
        got = answer(gradients, list(sizes))
        if any(not torch.equal(a, b) for a, b in zip(gradients, before, strict=True)):
            refuse("Your function changed the gradients it was given. Compute new tensors.")
        stacked, counts = torch.stack(before), torch.tensor(sizes, dtype=torch.float64)
        weighted = (stacked * counts[:, None, None]).sum(dim=0)
        inverse = 1 / counts
        right = weighted / counts.sum()
        mistakes: dict[str, Any] = {
            "This is the plain mean over the processes, as DDP takes it. An image of the process with "
            "fewer images then weighs more than the others.": stacked.mean(dim=0),
            "You added the gradients. Each is already a mean over images; the result must be one, "
            "too.": stacked.sum(dim=0),
            "You weighted by the sizes, but did not divide by the number of all images.": weighted,
            "You divided by the number of processes. The weights are numbers of images, so divide by "
            "all images together.": weighted / len(sizes),
            "You divided each gradient by its size. They are means already: multiply by the size to "
            "get back the sum.": (stacked / counts[:, None, None]).sum(dim=0),
            "You divided each gradient by its size, then took the mean. They are means already.": (
                stacked / counts[:, None, None]
            ).mean(dim=0),
            "Your weights are inverted: the process with more images must weigh more.": (
                stacked * (inverse / inverse.sum())[:, None, None]
            ).sum(dim=0),
            "You treat the gradients as sums over images. They are gradients of a mean loss.": (
                stacked.sum(dim=0) / counts.sum()
            ),
        }
        mistakes = {
            text: wrong for text, wrong in mistakes.items() if not torch.allclose(wrong, right)
        }
        expect_close(got, right, mistakes, what=f"with sizes {sizes}, your result")
    for one, other, expected in (
        ([4.0], [8.0], [5.0]),
        ([1.0, 2.0], [5.0, 6.0], [2.0, 3.0]),
    ):
        expect_also(
            answer,
            ([torch.tensor(one), torch.tensor(other)], [3, 1]),
            torch.tensor(expected),
            "Right for matrices only: a bias's gradient has one axis. Multiply each gradient by its "
            "number, then add.",
        )


def _shared(own: int, fits: int) -> tuple[int, int]:
    accumulate = next(n for n in range(1, own + 1) if own % n == 0 and own // n <= fits)
    return own // accumulate, accumulate


@exercise("13.4", "you can keep the global batch on any number of accelerators")
def share_out(answer: Any) -> None:
    for whole, processes, fits in (
        (48, 2, 5),
        (24, 2, 5),
        (1024, 8, 48),
        (256, 4, 100),
        (96, 3, 32),
        (90, 2, 10),
        (60, 1, 7),
        (56, 8, 3),
    ):
        got = answer(whole, processes, fits)
        case = f"For {whole} images, {processes} processes and room for {fits}"
        if not isinstance(got, tuple | list) or len(got) != 2:
            refuse(f"Return two numbers, (batch, accumulate); got {got!r}.")
        batch, accumulate = got
        if any(int(number) != number for number in (batch, accumulate)):
            refuse(
                f"{case} your result is {tuple(got)}: half an image does not exist. Whole numbers."
            )
        if any(isinstance(number, float) for number in (batch, accumulate)):
            refuse(f"{case} your result is {tuple(got)}. Return whole numbers: divide with `//`.")
        right = _shared(whole // processes, fits)
        if (batch, accumulate) == right:
            continue
        if (accumulate, batch) == right:
            refuse(
                "You exchanged the two: first the batch of a process, then the accumulated parts."
            )
        if batch > fits:
            note = " Take more parts." if batch * processes * accumulate == whole else ""
            refuse(f"{case} your batch is {batch}: that does not fit.{note}")
        if batch * accumulate == whole and processes > 1:
            refuse(
                f"{case}: {batch} x {accumulate} = {whole}, but every process takes such a batch. You "
                f"forgot the processes: the global batch is {processes} times as large as planned."
            )
        product = batch * processes * accumulate
        if product != whole:
            most = "Filling each process completely" if batch == fits else "Rounding"
            refuse(
                f"{case} your result gives {batch} x {processes} x {accumulate} = {product}. {most} "
                "changes the global batch, so the recipe: the product must be exact."
            )
        refuse(
            f"{case} your result {(batch, accumulate)} has the right product, but "
            f"{right[1]} {'part is' if right[1] == 1 else 'parts are'} enough. "
            "More parts mean smaller products, which leave the accelerator waiting."
        )


@exercise("13.5", "you can plan a training on paper")
def training_days(answer: Any) -> None:
    for n, tokens, images, epochs, peak, accelerators, share in (
        (86.6e6, 197, 1_281_167, 300, 125e12, 8, 0.3),
        (1e6, 100, 1e6, 10, 1e12, 2, 0.5),
    ):
        got = answer(n, tokens, images, epochs, peak, accelerators, share)
        right = 6 * n * tokens * images * epochs / (peak * accelerators * share) / 86_400
        mistakes = {
            "You counted the forward pass only, 2 operations a parameter and token. The backward pass "
            "takes twice as many again: 6 in all.": right / 3,
            "Your number has 4 operations a parameter and token, those of the backward pass alone. The "
            "forward pass has 2 more.": right * 2 / 3,
            "You counted one operation for a multiplication and its addition. They are two: 6 in all, "
            "not 3.": right / 2,
            "Your result is in hours. Asked are days.": right * 24,
            "Your result is in seconds. A day has 86,400 of them.": right * 86_400,
            "Your result is in minutes. Asked are days.": right * 1440,
            "You left the utilization out: that is the time at the full peak, which nobody reaches.": (
                right * share
            ),
            "You multiplied by the utilization. A smaller share of the peak makes a training longer: "
            "divide.": right * share**2,
            "You left the accelerators out: they work at the same time.": right * accelerators,
            "You multiplied by the accelerators. They share the work: divide.": (
                right * accelerators**2
            ),
            "You left the tokens out. Each weight works once for each token, not for each image.": (
                right / tokens
            ),
            "You left the epochs out: each image is seen that often.": right / epochs,
        }
        expect_close(float(got) if got is not None else None, right, mistakes, what="your result")
