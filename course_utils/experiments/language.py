"""What the studies on text share: the course's own text as token ids, and a training loop."""

from collections.abc import Callable, Iterable
from functools import cache

import torch
from jaxtyping import Int
from torch import Tensor, nn

from course_utils.data import Split, course_text
from course_utils.experiments.study import Recipe
from course_utils.tokenizers import BPETokenizer


def descend(
    model: nn.Module,
    recipe: Recipe,
    *,
    next_loss: Callable[[], Tensor],
    make_schedule: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler],
    steps: Callable[[range], Iterable[int]] = iter,
) -> None:
    """`recipe["steps"]` steps of AdamW on `next_loss()`; then `model` is in eval mode.

    `steps` may wrap the steps, in a progress bar for example.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe["lr"], weight_decay=recipe["weight_decay"]
    )
    scheduler = make_schedule(optimizer)
    for _ in steps(range(recipe["steps"])):
        loss = next_loss()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe["clip"])
        optimizer.step()
        scheduler.step()
    model.eval()


@cache
def course_ids(split: Split, vocab: int) -> Int[Tensor, " tokens"]:
    """The course's text as one long row of token ids; the tokenizer saw the train split only."""
    return torch.tensor(course_tokenizer(vocab).encode("\n\n".join(course_text(split))))


@cache
def course_tokenizer(vocab: int) -> BPETokenizer:
    """A byte-level BPE tokenizer trained on the train split of the course's text."""
    return BPETokenizer.train(course_text("train"), vocab_size=vocab)
