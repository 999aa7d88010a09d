"""Watch a model at work: `record` keeps attention weights, or what any layer gives out.

Fused attention never forms its weights. While `record` is on, every call of it in the model is
answered by the explicit computation, whose weights are kept; afterwards the model is as it was. So
it makes no difference which library wrote the model.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

WEIGHTS = "weights"
ITSELF = "(model)"  # the name of a model that is an attention layer itself


class Recording(Mapping[str, Tensor]):
    """Name of a layer -> what was recorded of it, in the order in which the layers ran.

    What a layer gave in several calls is joined along the batch axis. `list(recording.values())[-1]`
    is the last layer's. A name that is not there raises `KeyError`, tensors that cannot be joined
    `ValueError`.
    """

    def __init__(self) -> None:
        self._parts: dict[str, list[Tensor]] = {}

    def keep(self, name: str, value: Tensor) -> None:
        """Add what the layer `name` gave in one call."""
        self._parts.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._parts:
            raise KeyError(
                f"{name}; recorded: {', '.join(self._parts) or 'nothing: run the model inside the with'}"
            )
        parts = self._parts[name]
        shapes = {tuple(part.shape[1:]) for part in parts}
        if len(shapes) > 1:
            raise ValueError(
                f"{name} ran with different shapes, {sorted(shapes)} after the batch axis, which "
                "cannot be joined: record one size of images at a time"
            )
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


@contextmanager
def record(model: nn.Module, *what: str, graph: bool = False) -> Iterator[Recording]:
    """`with record(model) as maps: model(images)`; then `maps[layer]` is what was seen of a layer.

    `what`: "weights" (also when nothing is said) for the weights of every attention layer, (batch,
    heads, queries, keys), after the softmax and before any dropout; or names of submodules
    (`model.named_modules()`), for what they give out, of a tuple the first. With `graph` the tensors
    keep their gradients' graph; else they are copies without.

    The course's layers are seen through their tap (lesson 3). In other models (timm, torchvision,
    Hugging Face) an attention layer is whatever calls PyTorch's fused attention, or a softmax over
    the last of four axes. Nothing of it is left when the block ends, also by an exception.

    Raises `ValueError` for a name that the model does not have, and for a compiled model.
    """
    modules = dict(model.named_modules())
    what = what or (WEIGHTS,)
    _check(modules, [name for name in what if name != WEIGHTS])
    recording = Recording()

    def keep(name: str, value: Tensor) -> None:
        recording.keep(name, value if graph else value.detach().clone())

    with ExitStack() as stack:
        for name in what:
            if name != WEIGHTS:
                _hook(stack, modules[name], _keeper(keep, name))
        if WEIGHTS in what:
            tapped = [name for name, module in modules.items() if _has_tap(module)]
            for name in tapped:
                _hook(stack, modules[name].weights, _keeper(keep, name or ITSELF))
            where = _follow(stack, modules)
            stack.enter_context(_Explicit(where, set(tapped), keep))
        yield recording


def _check(modules: Mapping[str, nn.Module], names: list[str]) -> None:
    if any(hasattr(module, "_orig_mod") for module in modules.values()):
        raise ValueError(
            "a compiled model cannot be watched: record the module that went into torch.compile"
        )
    for name in names:
        if name not in modules:
            last = name.rpartition(".")[2]
            like = [other for other in modules if last and last in other] or list(modules)[1:]
            raise ValueError(
                f"this {type(modules['']).__name__} has no layer {name!r}; it has {', '.join(like[:8])} "
                '...: take a name of model.named_modules(), or "weights"'
            )


def _has_tap(module: nn.Module) -> bool:
    """Whether it is an attention layer of the course, which shows its weights when observed."""
    return isinstance(getattr(module, "weights", None), nn.Identity)


def _hook(stack: ExitStack, module: nn.Module, hook: Callable[..., None]) -> None:
    stack.callback(module.register_forward_hook(hook).remove)


def _keeper(keep: Callable[[str, Tensor], None], name: str) -> Callable[..., None]:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor):  # a tuple, or Hugging Face's output with names
            output = output[0]
        keep(name, output)

    return hook


def _follow(stack: ExitStack, modules: Mapping[str, nn.Module]) -> list[str]:
    """The names of the modules that are running, outermost first; hooks keep the list true."""
    running: list[str] = []

    def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
        running.pop()

    for name, module in modules.items():

        def enter(_module: nn.Module, _inputs: Any, name: str = name) -> None:
            running.append(name)

        # First in and, also after an exception, out again.
        stack.callback(module.register_forward_pre_hook(enter, prepend=True).remove)
        stack.callback(module.register_forward_hook(leave, always_call=True).remove)
    return running


class _Explicit(TorchFunctionMode):
    """Attention in the open: what the fused kernels compute, with its weights kept on the way."""

    def __init__(
        self, running: list[str], tapped: set[str], keep: Callable[[str, Tensor], None]
    ) -> None:
        super().__init__()
        self.running, self.tapped, self.keep = running, tapped, keep

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not self.running or self.running[-1] in self.tapped:  # another model's; seen by its tap
            return func(*args, **kwargs)
        name = self.running[-1] or ITSELF
        if func is F.scaled_dot_product_attention:
            output, weights = explicit_attention(*args, **kwargs)
            self.keep(name, weights if weights.dim() > 3 else weights[:, None])
            return output
        if func is F.multi_head_attention_forward:  # what nn.MultiheadAttention calls
            wanted = kwargs.get("need_weights", True), kwargs.get("average_attn_weights", True)
            options = {"need_weights": True, "average_attn_weights": False}
            result, heads = func(*args, **{**kwargs, **options})
            assert heads is not None  # we asked for them
            self.keep(name, heads if heads.dim() > 3 else heads[None])
            averaged = heads.mean(dim=-3) if wanted[1] else heads
            return result, averaged if wanted[0] else None
        output = func(*args, **kwargs)
        if func in _SOFTMAX and output.dim() == 4 and _axis(args, kwargs) in (-1, 3):
            self.keep(name, output)
        return output


_SOFTMAX = {F.softmax, torch.softmax, Tensor.softmax}


def _axis(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return args[1] if len(args) > 1 else kwargs.get("dim")


def explicit_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Tensor, Tensor]:
    """`F.scaled_dot_product_attention` with all its arguments, step by step: `(output, weights)`."""
    if enable_gqa:  # fewer heads for keys and values: each serves several of the query's
        key, value = (
            part.repeat_interleave(query.shape[-3] // part.shape[-3], dim=-3)
            for part in (key, value)
        )
    scores = query @ key.transpose(-2, -1) * (scale or 1 / math.sqrt(query.shape[-1]))
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, float("-inf"))
    elif attn_mask is not None:
        scores = scores + attn_mask
    weights = scores.softmax(dim=-1)
    return F.dropout(weights, dropout_p, training=dropout_p > 0) @ value, weights
