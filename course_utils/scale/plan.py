"""The plan of a training on paper: does it fit, how long does it take, what does it cost.

Memory: Rajbhandari et al. 2020 (ZeRO), section 3.1, counts as we do: weights, gradients, the two
moments of Adam, then activations. Operations: the backward pass takes twice those of the forward
pass, one product for the gradient of the input and one for that of the weights.
"""

from dataclasses import dataclass
from typing import Literal

from course_utils.scale.costs import Costs, vit_costs

TrainingPrecision = Literal["32-true", "bf16-mixed"]  # as Lightning calls them
BACKWARD = 2


@dataclass(frozen=True)
class Accelerator:
    """What the maker states: half-precision operations a second without sparsity, bytes of memory."""

    flops: float
    memory: float


GB = 1e9
# Peaks from the makers' data sheets, of matrix units with 16-bit factors. `tpu_v3` is one core, half
# a chip, as Dosovitskiy et al. count them.
ACCELERATORS: dict[str, Accelerator] = {
    "t4": Accelerator(65e12, 16 * GB),
    "v100": Accelerator(125e12, 16 * GB),
    "a100_40": Accelerator(312e12, 40 * GB),
    "a100_80": Accelerator(312e12, 80 * GB),
    "h100": Accelerator(989e12, 80 * GB),
    "tpu_v3": Accelerator(61.5e12, 16 * GB),
}


@dataclass(frozen=True)
class Memory:
    """Bytes on one accelerator. Not in it: the framework's own (about 1 GB) and what lies between."""

    weights: float
    gradients: float
    optimizer: float
    copies: float
    activations: float

    @property
    def total(self) -> float:
        """All of it, in bytes."""
        return self.weights + self.gradients + self.optimizer + self.copies + self.activations


def training_memory(
    costs: Costs, *, batch_size: int, precision: TrainingPrecision = "32-true", shards: int = 1
) -> Memory:
    """What a step of Adam or AdamW needs on one accelerator with `batch_size` images of its own.

    Weights, gradients and the two moments are float32 numbers; autocast adds a copy of the weights in
    bfloat16. With FSDP over `shards` accelerators each holds that part of them, but all of its own
    activations (and, for a moment, one whole layer, which is not counted). DDP has `shards=1`.

    Raises `ValueError` for a batch or shards below 1, and for an unknown precision.
    """
    if batch_size < 1 or shards < 1:
        raise ValueError(f"batch_size and shards must be >= 1; got {batch_size} and {shards}")
    if precision not in ("32-true", "bf16-mixed"):
        raise ValueError(f"precision must be 32-true or bf16-mixed; got {precision!r}")
    mixed = precision == "bf16-mixed"
    numbers = costs.parameters / shards
    return Memory(
        weights=4 * numbers,
        gradients=4 * numbers,
        optimizer=2 * 4 * numbers,
        copies=2 * numbers if mixed else 0,
        activations=batch_size * (costs.activations_mixed if mixed else costs.activations),
    )


def largest_batch(
    costs: Costs, memory: float, *, precision: TrainingPrecision = "32-true", shards: int = 1
) -> int:
    """The most images of a step that fit in `memory` bytes; 0 if not even one does."""
    one = training_memory(costs, batch_size=1, precision=precision, shards=shards)
    fixed = one.total - one.activations
    return max(0, int((memory - fixed) // one.activations))


def training_flops(costs: Costs, *, images: float, epochs: float) -> float:
    """Operations of a whole training: three forward passes' worth for each image that is seen."""
    return (1 + BACKWARD) * costs.flops * images * epochs


def training_hours(
    flops: float, *, peak: float, accelerators: int = 1, utilization: float = 0.3
) -> float:
    """Hours on `accelerators` of `peak` operations a second, `utilization` of which are reached.

    Raises `ValueError` unless the utilization is above 0 and at most 1.
    """
    if not 0 < utilization <= 1 or accelerators < 1:
        raise ValueError(
            f"utilization is a share, above 0 and up to 1, and there is at least 1 accelerator; got "
            f"{utilization} and {accelerators}: published runs reach 0.2 ... 0.5"
        )
    return flops / (peak * utilization * accelerators) / 3600


def reached_utilization(flops: float, *, peak: float, accelerator_hours: float) -> float:
    """The share of the peak that a run reached: its operations over those that were to be had."""
    return flops / (peak * accelerator_hours * 3600)


def training_price(hours: float, *, accelerators: int, price_per_hour: float) -> float:
    """What it costs, in the currency of `price_per_hour`, which is for one accelerator."""
    return hours * accelerators * price_per_hour


@dataclass(frozen=True)
class PublishedRun:
    """A training whose cost its authors state: `exaflops` (1e18 operations) or `accelerator_hours`."""

    costs: Costs
    images: float
    epochs: float
    source: str
    exaflops: float | None = None
    accelerator: str | None = None
    accelerator_hours: float | None = None

    @property
    def flops(self) -> float:
        """Its operations by our arithmetic."""
        return training_flops(self.costs, images=self.images, epochs=self.epochs)


JFT_300M, IMAGENET_1K = 303e6, 1_281_167
_LARGE = {"dim": 1024, "depth": 24, "heads": 16}
_HUGE = {"dim": 1280, "depth": 32, "heads": 16, "patch_size": 14}
_DOSOVITSKIY = "Dosovitskiy et al. 2021, table 6"
PUBLISHED: dict[str, PublishedRun] = {
    "ViT-B/32, JFT": PublishedRun(vit_costs(patch_size=32), JFT_300M, 7, _DOSOVITSKIY, exaflops=55),
    "ViT-B/16, JFT": PublishedRun(vit_costs(), JFT_300M, 7, _DOSOVITSKIY, exaflops=224),
    "ViT-L/32, JFT": PublishedRun(
        vit_costs(**_LARGE, patch_size=32), JFT_300M, 7, _DOSOVITSKIY, exaflops=196
    ),
    "ViT-L/16, JFT": PublishedRun(vit_costs(**_LARGE), JFT_300M, 14, _DOSOVITSKIY, exaflops=1567),
    "ViT-H/14, JFT": PublishedRun(
        vit_costs(**_HUGE),
        JFT_300M,
        14,
        f"{_DOSOVITSKIY}; table 2 has its 2,500 TPUv3-core-days",
        exaflops=4262,
        accelerator="tpu_v3",
        accelerator_hours=2500 * 24,
    ),
    "DeiT-B, ImageNet": PublishedRun(
        vit_costs(),
        IMAGENET_1K,
        300,
        "Touvron et al. 2021 (DeiT): 300 epochs in 53 hours on one node of 8 GPUs",
        accelerator="v100",
        accelerator_hours=53 * 8,
    ),
}
