"""The command lines of docs/training_at_scale.md: every option exists and fits."""

import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from course_utils.scale import cli

# Lightning calls parts of jsonargparse that are to go.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
DOCS = Path(__file__).parents[1] / "docs" / "training_at_scale.md"


def commands():
    text = DOCS.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if "-m course_utils.scale" in line]
    return [line.split("-m course_utils.scale", 1)[1].strip() for line in lines]


def test_the_page_has_the_commands_that_it_promises():
    joined = "\n".join(commands())
    assert len(commands()) >= 9
    for option in ("ddp_cpu.yaml", "fsdp.yaml", "num_nodes 4", "--ckpt_path last", "test --config"):
        assert option in joined


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_page_is_understood(command, capsys):
    """`--print_config` reads and checks all settings, and stops before anything is made."""
    given = [a for a in shlex.split(command) if not a.startswith("--ckpt_path") and a != "last"]
    if "test" in given:  # its checkpoint is not there
        given = [a for a in given if not a.endswith(".ckpt")]
    with pytest.raises(SystemExit) as stop:
        cli.main([*given, "--print_config"])
    assert not stop.value.code, capsys.readouterr().err
    printed = yaml.safe_load(capsys.readouterr().out)
    for option, value in pairwise(given):
        if option in ("--data.batch_size", "--trainer.devices", "--trainer.num_nodes"):
            part, name = option.removeprefix("--").split(".")
            assert str(printed[part][name]) == value


def test_an_option_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["fit", "--config", "shapes_resnet.yaml", "--model.learning_rat", "1"])
    assert stop.value.code
    assert "learning_rat" in capsys.readouterr().err


def test_every_configuration_is_on_the_page():
    names = {path.name for path in cli.CONFIGS.glob("*.yaml")}
    assert names == {name for name in names if f"`{name}`" in DOCS.read_text(encoding="utf-8")}
    assert len(names) == 5
