"""What one image costs a model in training: parameters, operations, bytes kept for the way back.

`vit_costs` is arithmetic that one can do on paper; `count_costs` runs any model once and counts. For a
Vision Transformer both give the same numbers, to the byte (a test holds it).
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Costs:
    """Numbers for one image.

    `parameters`: how many numbers are learned. `flops`: floating-point operations of a forward pass,
    in matrix products and convolutions; a multiplication and an addition count as two (papers often
    count the pair as one). `activations` and `activations_mixed`: bytes that a forward pass keeps for
    the backward pass, in float32 and under autocast to bfloat16, without the weights.
    """

    parameters: int
    flops: int
    activations: int
    activations_mixed: int


def vit_costs(
    *,
    image_size: int = 224,
    patch_size: int = 16,
    channels: int = 3,
    dim: int = 768,
    depth: int = 12,
    heads: int = 12,
    mlp_ratio: float = 4.0,
    num_classes: int = 1000,
) -> Costs:
    """A `VisionTransformer` with a class token, by arithmetic. The arguments are the model's.

    Attention is the fused kernel's, which keeps no table of tokens x tokens.
    """
    patches = (image_size // patch_size) ** 2
    tokens, hidden, pixels = patches + 1, int(dim * mlp_ratio), patch_size**2 * channels

    block = 4 * dim * dim + 4 * dim + 2 * dim * hidden + hidden + dim + 4 * dim
    ends = (pixels + 1) * dim + dim + tokens * dim + 2 * dim + (dim + 1) * num_classes

    linear = 2 * tokens * (4 * dim * dim + 2 * dim * hidden)  # q, k, v, output; the two of the MLP
    attention = 2 * 2 * tokens * tokens * dim  # query x key, weights x value; heads share dim
    flops = depth * (linear + attention) + 2 * patches * pixels * dim + 2 * dim * num_classes

    # Each block keeps the inputs of its two norms, with a mean and a spread for each token; what goes
    # into each linear layer; queries, keys, values; one number a head and token of the softmax; and
    # what goes into the GELU. Autocast leaves the stream between the blocks in float32.
    streams, numbers = 2 * dim, 4 + heads
    products = 6 * dim + 2 * hidden
    last = tokens * (dim + 2)  # into the last norm
    image = channels * image_size**2
    return Costs(
        parameters=depth * block + ends,
        flops=flops,
        activations=4
        * (depth * tokens * (streams + numbers + products) + last + image + tokens * dim),
        activations_mixed=depth * tokens * (4 * (streams + numbers) + 2 * products)
        + 4 * last
        + 2 * image
        + 2 * dim,
    )


def count_costs(model: nn.Module, images: Float[Tensor, "1 channels height width"]) -> Costs:
    """Any model, by running it on one image and looking. In training mode, as it trains.

    Running statistics of batch norms are put back. Raises `ValueError` for more than one image.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    if len(images) != 1:
        raise ValueError(f"costs are counted for 1 image; got {len(images)}: take images[:1]")
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    # As two products of matrices: older versions of PyTorch do not count the fused attention.
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter, torch.no_grad():
        model(images)
    kept = [_kept_bytes(model, images, mixed=mixed) for mixed in (False, True)]
    for name, buffer in model.named_buffers():
        buffer.copy_(before[name])
    return Costs(
        parameters=sum(p.numel() for p in model.parameters()),
        flops=counter.get_total_flops(),
        activations=kept[0],
        activations_mixed=kept[1],
    )


def _kept_bytes(model: nn.Module, images: Tensor, *, mixed: bool) -> int:
    """Bytes of all that autograd holds after a forward pass, each piece of memory counted once."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    shapes = {tuple(p.shape) for p in model.parameters() if p.dim() > 1}
    shapes |= {tuple(p.t().shape) for p in model.parameters() if p.dim() == 2}
    found: dict[int, int] = {}
    held: list[Any] = []  # memory that is freed could be given out again, at the same address

    def keep(tensor: Tensor) -> Tensor:
        copy_of_weights = tensor.dtype == torch.bfloat16 and tuple(tensor.shape) in shapes
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and not copy_of_weights:
            found[storage.data_ptr()] = storage.nbytes()
        held.append(tensor)
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast(images.device.type, torch.bfloat16, enabled=mixed):
        logits = model(images)
    del logits
    return sum(found.values())
