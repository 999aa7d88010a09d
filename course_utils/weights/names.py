"""What other libraries call the parameters of our models, as tables of rewriting rules.

Our ViT has timm's names and our ResNet torchvision's and timm's, so those need no rule. Hugging Face
renamed the inside of its ViT in version 5; published files have the old names, modules in memory
have the ones of the installed version: the rules take both, with and without the prefix (`vit.`).
"""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from course_utils.cnn import ResNet
from course_utils.cvt import ConvolutionalVisionTransformer
from course_utils.vit import VisionTransformer

# Pattern and what replaces it, applied in this order to every name.
Rules = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]

VIT: Rules = (
    # Hugging Face, version 4 and the files | version 5
    (r"^vit\.", ""),
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^(?:encoder\.layer|layers)\.(\d+)\.", r"blocks.\1."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.(?:attention\.query|q_proj)\.", ".attn.query."),
    (r"\.attention\.(?:attention\.key|k_proj)\.", ".attn.key."),
    (r"\.attention\.(?:attention\.value|v_proj)\.", ".attn.value."),
    (r"\.attention\.(?:output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"^layernorm\.", "norm."),
    (r"^classifier\.", "head."),
    # torchvision
    (r"^class_token$", "cls_token"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_([12])\.", r".norm\1."),
    (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.(?:0|linear_1)\.", ".mlp.fc1."),
    (r"\.mlp\.(?:3|linear_2)\.", ".mlp.fc2."),
    (r"^encoder\.ln\.", "norm."),
    (r"^heads\.head\.", "head."),
)
RESNET: Rules = (
    # Hugging Face
    (r"^resnet\.", ""),
    (r"^embedder\.embedder\.convolution\.", "conv1."),
    (r"^embedder\.embedder\.normalization\.", "bn1."),
    (
        r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.",
        lambda found: f"layer{int(found[1]) + 1}.{found[2]}.",
    ),
    (r"\.layer\.0\.convolution\.", ".conv1."),
    (r"\.layer\.0\.normalization\.", ".bn1."),
    (r"\.layer\.1\.convolution\.", ".conv2."),
    (r"\.layer\.1\.normalization\.", ".bn2."),
    (r"\.shortcut\.convolution\.", ".downsample.0."),
    (r"\.shortcut\.normalization\.", ".downsample.1."),
    (r"^classifier\.1\.", "fc."),
)
CVT: Rules = (
    # Hugging Face
    (r"^cvt\.", ""),
    (r"^encoder\.stages\.", "stages."),
    (r"\.embedding\.convolution_embeddings\.projection\.", ".embed.proj."),
    (r"\.embedding\.convolution_embeddings\.normalization\.", ".embed.norm."),
    (r"\.layers\.(\d+)\.", r".blocks.\1."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.attention\.", ".attn."),
    (r"\.convolution_projection_(\w+)\.convolution_projection\.convolution\.", r".\1.conv."),
    (r"\.convolution_projection_(\w+)\.convolution_projection\.normalization\.", r".\1.norm."),
    (r"\.projection_(query|key|value)\.", r".\1.linear."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"^layernorm\.", "norm."),
    (r"^classifier\.", "head."),
)
RULES: dict[type[nn.Module], Rules] = {
    VisionTransformer: VIT,
    ResNet: RESNET,
    ConvolutionalVisionTransformer: CVT,
}
HEADS: dict[type[nn.Module], str] = {
    VisionTransformer: "head.",
    ResNet: "fc.",
    ConvolutionalVisionTransformer: "head.",
}
# Hugging Face's ViTModel has these besides; no classifier of images uses them.
LEFT_OUT = (r"^(vit\.)?pooler\.", r"^(vit\.)?embeddings\.mask_token$")


def our_names(weights: Mapping[str, Tensor], family: type[nn.Module]) -> dict[str, Tensor]:
    """The weights under the names of our `family`; queries, keys and values of a ViT joined.

    A name that no rule knows stays as it is.
    """
    renamed = {}
    for name, tensor in weights.items():
        if any(re.search(pattern, name) for pattern in LEFT_OUT):
            continue
        for pattern, replacement in RULES[family]:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return _joined(renamed) if family is VisionTransformer else renamed


def _joined(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """`attn.query`, `attn.key` and `attn.value` stacked to `attn.qkv`, where all three are there."""
    joined = dict(weights)
    for name in weights:
        if ".attn.query." in name:
            parts = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
            if all(part in weights for part in parts):
                joined[name.replace(".query.", ".qkv.")] = torch.cat([joined.pop(p) for p in parts])
    return joined
