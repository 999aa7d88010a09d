"""Lesson 7: a kernel slides, what it costs, how far it sees, batch norm, the feature vector."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checks.engine import (
    exercise,
    expect_also,
    expect_close,
    expect_dtype,
    expect_equal,
    refuse,
)
from course_utils.cnn import ResNet


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def _slid(image: Tensor, kernel: Tensor, padding: int = 0, stride: Any = 1) -> Tensor:
    return F.conv2d(image[None, None], kernel[None, None], padding=padding, stride=stride)[0, 0]


@exercise("7.1", "at each place the kernel fits, one sum of products")
def slide(answer: Any) -> None:
    for size in ((3, 3), (2, 3), (4, 1)):
        image, kernel = _normal(7, 11), _normal(*size)
        before = image.clone()
        got = answer(image, kernel)
        if not torch.equal(image, before):
            refuse(
                "Your function changed the image itself. The windows overlap, so later places still "
                "need the old pixels: write into a new tensor."
            )
        right = _slid(image, kernel)
        height, width = right.shape
        windows = image.unfold(0, size[0], 1).unfold(
            1, size[1], 1
        )  # (height, width, rows, columns)
        products = windows * kernel
        mistakes = {
            "You flipped the kernel. That is the convolution of mathematics; networks slide the kernel "
            "as it is.": _slid(image, kernel.flip(0, 1)),
            "You turned the kernel (its transpose): rows and columns of the kernel are swapped.": (
                _slid(image, kernel.T)
            ),
            "Your loops stop one place too early. A kernel of k pixels fits n - k + 1 times into n "
            "pixels: the first place counts, too.": right[:-1, :-1],
            "Your map is as large as the image: you added a border of zeros (padding). Here the kernel "
            "only goes where it fits.": _slid(F.pad(image, (1, 1, 1, 1)), kernel)[:7, :11],
            "You took the mean of the products. It is their sum; the mean would make the answer depend "
            "on the size of the kernel.": products.mean(dim=(-2, -1)),
            "You took the largest product. It is the sum of all of them.": (
                products.amax(dim=(-2, -1))
            ),
            "You multiplied window and kernel as matrices (`@`). Each weight meets only the pixel below "
            "it: multiply with `*`.": (
                (windows @ kernel).sum(dim=(-2, -1)) if size == (3, 3) else right
            ),
            "You moved on by the size of the kernel, so the windows do not overlap. Move on by one "
            "pixel.": _slid(image, kernel, stride=size),
            "You added up the pixels of the window and left the weights out.": (
                windows.sum((-2, -1))
            ),
            "Rows and columns are swapped in your result: the first axis is the height.": right.T,
            "You filled in only a part of the map: some places are still 0. Both loops run over the "
            "places of the *map*, height - rows + 1 and width - columns + 1 of them.": (
                F.pad(right[:-1, :-1], (0, 1, 0, 1))
            ),
            "You used one pixel of each window. All pixels under the kernel count: cut out rows i to "
            "i + rows, and columns j to j + columns.": image[:height, :width] * kernel.sum(),
        }
        expect_close(
            got,
            right,
            mistakes,
            what=f"for a 7 x 11 image and a {size[0]} x {size[1]} kernel, your map",
        )
        if torch.is_tensor(got) and got.requires_grad:
            refuse(
                "Your map keeps a record for gradients and cannot be drawn. Use `F.conv2d`, or "
                "`detach()`."
            )


@exercise("7.2", "the weights do not depend on the picture, the work does")
def conv_cost(answer: Any) -> None:
    for case in (
        (14, 5, 7, 5, 2, 4),
        (8, 3, 16, 3, 1, 1),
        (224, 3, 64, 7, 2, 3),
        (9, 2, 3, 2, 2, 0),
    ):
        side, inside, outside, kernel, stride, padding = case
        got = answer(*case)
        if not isinstance(got, tuple | list) or len(got) != 3:
            refuse(
                "Give back three numbers: `return side_of_the_map, weights, multiplications`; got "
                f"{got!r}."
            )
        if not all(isinstance(number, int) for number in got):
            refuse(
                f"All three are whole numbers (int); got {tuple(got)}. `//` divides and rounds down; "
                "`/` gives a float."
            )
        moves = side + 2 * padding - kernel
        places = moves // stride + 1
        weights = outside * inside * kernel**2
        name = f"for conv_cost{case}, "
        sides = {
            "You counted the padding once. It is added on both sides.": (
                (side + padding - kernel) // stride + 1
            ),
            "You left out the first place: it is free, before any step is taken. Add 1.": moves
            // stride,
            "You rounded up. A step that does not fit entirely is no step: round down.": (
                -(-moves // stride) + 1
            ),
            "You left the padding out.": (side - kernel) // stride + 1,
            "You left the stride out: the kernel moves on by `stride` pixels.": moves + 1,
            "You divided the side by the stride and did not subtract the kernel. Its last place is "
            "where it still fits.": (side + 2 * padding) // stride,
            "You added 1 before you divided by the stride. First count the steps, then add the first "
            "place.": (moves + 1) // stride,
        }
        expect_equal(got[0], places, _without(places, sides), what=name + "the side of the map")
        learned = {
            "You gave one kernel a single layer of weights. It has one for each channel of the input.": (
                outside * kernel**2
            ),
            "You counted one kernel. There is one for each channel of the output.": inside
            * kernel**2,
            "You counted one side of the kernel. A square kernel has kernel * kernel weights in each "
            "layer.": outside * inside * kernel,
            "You added a bias for each output channel. Here the convolution has none.": weights
            + outside,
            "You counted the weights at every place. All places share the same kernel: that is the "
            "point of a convolution.": weights * places**2,
            "You counted a linear layer, a weight for each pair of pixel and output. A convolution "
            "shares its kernel.": inside * side**2 * outside * places**2,
        }
        expect_equal(
            got[1], weights, _without(weights, learned), what=name + "the number of weights"
        )
        right = places**2 * weights
        work = {
            "You used the side of the picture. The sums are made at the places of the *map*.": (
                side**2 * weights
            ),
            "You counted the places along one side. The map has side * side places.": places
            * weights,
            "You counted one use of each weight. Every weight is used at every place of the map.": (
                weights
            ),
            "You forgot that each output number adds up the products of all input channels.": (
                right // inside
            ),
            "You counted one output channel. Each kernel makes a map of its own.": right // outside,
            "You counted the kernels' places but not the kernel's own size: each place takes kernel * "
            "kernel products per channel.": right // kernel**2,
            "You counted multiplications and additions. Here only the multiplications count.": 2
            * right,
        }
        expect_equal(
            got[2], right, _without(right, work), what=name + "the number of multiplications"
        )


def _without(right: int, mistakes: dict[str, int]) -> dict[str, int]:
    return {message: wrong for message, wrong in mistakes.items() if wrong != right}


@exercise("7.3", "a step on a late map is worth many pixels")
def receptive_field(answer: Any) -> None:
    def walk(
        layers: Any, grow: Callable[..., tuple[int, int]], start: tuple[int, int] = (1, 1)
    ) -> int:
        field, apart = start
        for kernel, stride in layers:
            field, apart = grow(field, apart, kernel, stride)
        return field

    def right(field: int, apart: int, kernel: int, stride: int) -> tuple[int, int]:
        return field + (kernel - 1) * apart, apart * stride

    resnet = [(7, 2), (3, 2), *[(3, 1)] * 4, *([(3, 2)] + [(3, 1)] * 3) * 3]
    cases = [
        [(5, 2), (3, 4), (3, 3), (9, 2)],
        [(3, 2)] * 3,
        [(3, 1)] * 2,
        [(1, 2), (3, 1)],
        resnet,
        [],
    ]
    for layers in cases:
        copied = list(layers)
        got = answer(layers)
        if layers != copied:
            refuse("Your function changed the list of layers. The caller may still need it.")
        if isinstance(got, float):
            refuse(f"A field is a whole number of pixels (int); got {got}.")
        product = 1
        for kernel, _ in layers:
            product *= kernel
        mistakes = {
            "You multiplied the kernels. Windows overlap, so each layer only adds (k - 1) steps to what "
            "is seen already.": product,
            "You added up the kernels. The first pixel counts once: each layer adds k - 1 steps.": sum(
                kernel for kernel, _ in layers
            ),
            "You left the strides out. After a stride of 2, neighbors on the map are two pixels apart, "
            "so every later step is worth twice as much.": walk(
                layers, lambda f, a, k, s: (f + k - 1, 1)
            ),
            "You let a layer's own stride act on its own kernel. The kernel walks on the map *before* "
            "the stride: first add to the field, then multiply the distance.": walk(
                layers, lambda f, a, k, s: (f + (k - 1) * a * s, a * s)
            ),
            "You used the stride of the layer before alone. Distances multiply: after two strides of 2, "
            "neighbors are 4 pixels apart.": walk(layers, lambda f, a, k, s: (f + (k - 1) * a, s)),
            "You added the strides up. Distances multiply: after two strides of 2 and 3, neighbors are "
            "6 pixels apart.": walk(layers, lambda f, a, k, s: (f + (k - 1) * a, a + s)),
            "You added the strides up, less 1 each. Distances multiply: after two strides of 2 and 3, "
            "neighbors are 6 pixels apart.": walk(
                layers, lambda f, a, k, s: (f + (k - 1) * a, a + s - 1)
            ),
            "You added half a kernel, one side of it. The field counts both sides: k - 1 steps.": walk(
                layers, lambda f, a, k, s: (f + k // 2 * a, a * s)
            ),
            "You added k steps for a kernel of k. From its first to its last pixel there are k - 1 "
            "steps.": walk(layers, lambda f, a, k, s: (f + k * a, a * s)),
            "You went through the layers backward with the rule for going forward. The strides that "
            "count for a layer are those of the layers *before* it.": walk(layers[::-1], right),
            "You started with a field of 0. Without any layer, a number is a pixel and sees itself.": (
                walk(layers, right, (0, 1))
            ),
            "You multiplied the field by the stride. The field grows by (k - 1) steps; the stride makes "
            "the *later* steps longer.": walk(layers, lambda f, a, k, s: ((f + k - 1) * s, 1)),
            "You multiplied the field so far by the stride. What is seen already stays; the stride "
            "makes the *later* steps longer.": walk(layers, lambda f, a, k, s: (f * s + k - 1, 1)),
            "You gave back the distance of neighboring places, not the field.": walk(
                layers, lambda f, a, k, s: (f * s, 1)
            ),
        }
        expect_equal(
            got,
            walk(layers, right),
            _without(walk(layers, right), mistakes),
            what="for ResNet-18, the field" if layers is resnet else f"for {layers}, the field",
        )


@exercise("7.4", "one mean and one variance for each channel, over images and places")
def batch_norm(answer: Any) -> None:
    x, momentum, eps = 3 * _normal(2, 3, 5, 2) + 1, 0.2, 0.25
    old_mean, old_var = _normal(3), _normal(3).abs() + 1
    before = [value.clone() for value in (x, old_mean, old_var)]
    try:
        got = answer(x, old_mean, old_var, momentum, eps)
    except RuntimeError as error:
        if "must match the size" not in str(error):
            raise
        refuse(
            "Your shapes do not fit: a mean of shape (channels,) meets the *last* axis of x, the width. "
            "Give it the shape (1, channels, 1, 1): `keepdim=True` or `reshape(1, -1, 1, 1)`."
        )
    if not all(torch.equal(a, b) for a, b in zip((x, old_mean, old_var), before, strict=True)):
        refuse(
            "Your function changed one of the tensors that it was given (such as `running_mean += "
            "...`). Make new ones, and give them back."
        )
    if not isinstance(got, tuple | list) or len(got) != 3:
        refuse("Give back three tensors: `return normalized, new_mean, new_var`.")
    axes = (0, 2, 3)
    mean, var = x.mean(axes), x.var(axes, correction=0)
    unbiased = x.var(axes, correction=1)
    keep = 1 - momentum

    def by(center: Tensor, spread: Tensor) -> Tensor:
        shape = (1, -1, 1, 1)
        return (x - center.reshape(shape)) / spread.reshape(shape)

    def over(*dims: int) -> Tensor:
        spread = (x.var(dims, correction=0, keepdim=True) + eps).sqrt()
        return (x - x.mean(dims, keepdim=True)) / spread

    new_mean, new_var = keep * old_mean + momentum * mean, keep * old_var + momentum * unbiased
    normalized = {
        "You averaged over the images alone, so every place has a mean of its own. A channel means the "
        "same at every place: average over images *and* places, dim=(0, 2, 3).": over(0),
        "You averaged over the places of each image alone. That is instance norm: no image knows its "
        "batch. Batch norm averages over the images, too: dim=(0, 2, 3).": over(2, 3),
        "You averaged over the channels at each place. That is a LayerNorm. Batch norm gives each "
        "channel its own mean.": over(1),
        "You averaged over everything in each image, channels too. Batch norm gives each channel its "
        "own mean: keep axis 1, and only that.": over(1, 2, 3),
        "You took one mean and one variance for the whole tensor. Each channel has its own.": (
            over(0, 1, 2, 3)
        ),
        "You normalized with the variance that divides by n - 1. That one is for the *stored* variance; "
        "the batch is normalized with the one that divides by n (`correction=0`).": (
            by(mean, (unbiased + eps).sqrt())
        ),
        "You added eps after the root. It belongs to the variance, under the root.": (
            by(mean, var.sqrt() + eps)
        ),
        "You left eps out. A channel whose numbers are all equal has variance 0.": by(
            mean, var.sqrt()
        ),
        "You divided by the variance. Divide by its square root, the standard deviation.": (
            by(mean, var + eps)
        ),
        "You divided by the standard deviation without subtracting the mean.": (
            by(torch.zeros(3), (var + eps).sqrt())
        ),
        "You normalized with the *stored* statistics. That is evaluation mode; in training the batch's "
        "own are used.": by(old_mean, (old_var + eps).sqrt()),
        "You normalized with the new running statistics. In training the batch's own are used; the "
        "stored ones are for later.": by(new_mean, (new_var + eps).sqrt()),
    }
    expect_close(got[0], by(mean, (var + eps).sqrt()), normalized, what="the normalized batch")
    if any(torch.as_tensor(value).shape != (3,) for value in got[1:]):
        refuse(
            "The running statistics have one number for each channel: shape (3,) here; got "
            f"{[tuple(torch.as_tensor(value).shape) for value in got[1:]]}."
        )
    turned = (
        "Your momentum is turned around: in PyTorch `momentum` is the weight of the *new* value, so the "
        "stored one keeps 1 - momentum."
    )
    unused = "You did not move it: the stored value takes a step of `momentum` toward the batch's."
    alone = (
        "You stored the batch's own value. One batch is noisy: the stored value moves a little "
        "toward it."
    )
    means = {
        turned: momentum * old_mean + keep * mean,
        unused: old_mean,
        alone: mean,
        "You added the batch's share without making the old one smaller: multiply it by 1 - momentum.": (
            old_mean + momentum * mean
        ),
    }
    expect_close(got[1], new_mean, means, what="the new running mean")
    variances = {
        turned: momentum * old_var + keep * unbiased,
        unused: old_var,
        alone: unbiased,
        "You stored the variance that divides by n. PyTorch stores the unbiased one, which divides by n "
        "- 1 (`correction=1`), because it is meant as an estimate for all images.": (
            keep * old_var + momentum * var
        ),
        "You stored the standard deviation. The buffer holds the variance.": (
            keep * old_var + momentum * unbiased.sqrt()
        ),
        "You added eps to the stored variance. It is added only when one divides.": (
            keep * old_var + momentum * (unbiased + eps)
        ),
        "You stored the variance that divides by n, with the momentum turned around.": (
            momentum * old_var + keep * var
        ),
        "You added the batch's share without making the old one smaller: multiply it by 1 - momentum.": (
            old_var + momentum * unbiased
        ),
    }
    expect_close(got[2], new_var, variances, what="the new running variance")
    for value, like in zip(got, (x, old_mean, old_var), strict=True):
        expect_dtype(value, like)
    other = _normal(4, 7, 5, 2)
    right = (other - other.mean((0, 2, 3), keepdim=True)) / (
        other.var((0, 2, 3), correction=0, keepdim=True) + eps
    ).sqrt()
    expect_also(
        lambda *given: answer(*given)[0],
        (other, torch.zeros(7).double(), torch.ones(7).double(), momentum, eps),
        right,
        "Right so far, but not for a batch of 4 images with 7 channels and 5 x 2 places. Take the sizes "
        "from x.",
    )
    expect_also(
        lambda *given: answer(*given)[2],
        (other, torch.zeros(7).double(), torch.ones(7).double(), 1.0, eps),
        other.var((0, 2, 3)),
        "The new running variance is right so far, but not for a batch of 4 images with 7 channels and "
        "5 x 2 places. Take the sizes from x: each channel has 4 * 5 * 2 numbers.",
    )


@exercise("7.5", "the feature vector is what the last layer reads")
def feature_vectors(answer: Any) -> None:
    settings: dict[str, Any] = {
        "depths": (1, 1),
        "widths": (5, 7),
        "stem": "small",
        "num_classes": 11,
    }
    model, images = ResNet(**settings).double(), _normal(3, 3, 9, 10) + 0.5
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model(4 * _normal(6, 3, 9, 10))  # the running statistics are now those of other images
    for training in (True, False):
        model.train(training)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        head = model.fc
        got = answer(model, images)
        after_mode, after = model.training, model.state_dict()
        if model.fc is not head or after.keys() != before.keys():
            refuse(
                "Your function took the model apart: its head is not what it was, so the next caller "
                "gets no logits any more. Ask for the map with `forward_features`."
            )
        if any(not torch.equal(value, before[name]) for name, value in after.items()):
            refuse(
                "The model's running statistics have changed: you ran it in training mode. There, batch "
                "norm also mixes the images of a batch. Call `model.eval()` first."
            )
        with torch.no_grad():
            model.eval()
            feature_map = model.forward_features(images)
            logits = model(images)
        right = feature_map.mean(dim=(-2, -1))
        mistakes = {
            "Those are the logits, one score for each class. The feature vector is what `fc` reads: the "
            "mean of the last map.": logits,
            "Those are probabilities of the classes. The feature vector is what `fc` reads: the mean of "
            "the last map.": logits.softmax(-1),
            "That is the last map, with all its places. Take the mean over its rows and columns.": (
                feature_map
            ),
            "You wrote the whole map as one long vector. It depends on where things are, and its length "
            "on the size of the image. Take the mean over the places.": feature_map.flatten(1),
            "You took the largest number of each channel. The network was trained with the mean: `fc` "
            "reads that.": feature_map.amax(dim=(-2, -1)),
            "You added up the places. The mean does not depend on the size of the image, the sum "
            "does.": feature_map.sum(dim=(-2, -1)),
            "You averaged over the channels and kept the places. It is the other way round: one number "
            "for each channel.": feature_map.mean(dim=1).flatten(1),
            "You averaged over the images, too. Each image has a vector of its own.": (
                feature_map.mean(dim=(0, -2, -1))
            ),
            "The axes of the places are still there, with size 1: flatten them away.": (
                feature_map.mean(dim=(-2, -1), keepdim=True)
            ),
            "You stretched the vectors to length one. That is useful for a search (lesson 10), but it "
            "is not the feature vector itself.": F.normalize(right),
        }
        expect_close(got, right, mistakes, what="your feature vectors")
        if torch.is_tensor(got) and got.requires_grad:
            refuse(
                "Your vectors still carry the record for gradients, which holds the memory of every "
                "layer. Compute them under `torch.no_grad()`."
            )
        if after_mode != training:
            mode = "training" if training else "evaluation"
            refuse(
                f"The model came in {mode} mode and went back in the other one. Keep `model.training` "
                "at the start, and restore it with `model.train(...)` at the end."
            )
        if not all(parameter.requires_grad for parameter in model.parameters()):
            refuse(
                "Your function froze the weights, and the caller cannot train on. `torch.no_grad()` "
                "leaves the weights as they are."
            )
        if any(part._forward_hooks or part._forward_pre_hooks for part in model.modules()):
            refuse(
                "Your hook stays on the model and keeps every later batch in memory: call "
                "`remove()` on it."
            )
    for batch in (images[:1], _normal(2, 3, 9, 14)):
        with torch.no_grad():
            right = model.forward_features(batch).mean(dim=(-2, -1))
        expect_also(
            answer,
            (model, batch),
            right,
            "Right so far, but not for one image, or for a map that is no square. `squeeze()` drops "
            "every axis of size 1, the batch as well; the mean goes over both axes, however long "
            "they are.",
        )
