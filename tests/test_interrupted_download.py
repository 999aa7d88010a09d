"""The network is unplugged in the middle of a download: an error that says so, and nothing half."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import torch
from small_hub import SmallHub

PROGRAM = """
import torch
from course_utils.features import extract_features
images = torch.linspace(0, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)
torch.save(extract_features(images, {model!r}, cache=None).vectors, {out!r})
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[SmallHub]:
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 22, "num_attention_heads": 2, "intermediate_size": 26}
    config = ViTConfig(**sizes, num_hidden_layers=3, image_size=32, patch_size=8)
    ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "repository")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "repository")
    hub = SmallHub(tmp_path / "repository")
    Thread(target=hub.serve_forever, daemon=True).start()
    yield hub
    hub.shutdown()
    hub.server_close()


def extract(hub: SmallHub, folder: Path, model: str, out: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(folder / "home")}
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        environment.pop(name, None)
    program = PROGRAM.format(model=model, out=str(out))
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_broken_download_is_an_error_and_the_next_one_is_whole(
    hub: SmallHub, tmp_path: Path
) -> None:
    out = tmp_path / "vectors.pt"
    hub.hangs_up = True
    broken = extract(hub, tmp_path, "somebody/small-vit", out)
    last = broken.stderr.strip().splitlines()[-1]
    assert broken.returncode == 1
    assert "WeightsMissing: somebody/small-vit is neither on this machine nor" in last
    assert "broke off" in last
    assert not out.exists()

    hub.hangs_up = False
    whole = extract(hub, tmp_path, "somebody/small-vit", out)
    assert whole.returncode == 0, whole.stderr
    expected = tmp_path / "expected.pt"
    extract(hub, tmp_path, str(hub.folder), expected)  # from the files themselves
    assert torch.equal(torch.load(out), torch.load(expected))
