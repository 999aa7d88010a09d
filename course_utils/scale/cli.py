"""LightningCLI with the course's module and data: every setting in a file, or on the command line."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from course_utils.scale.checkpoints import SafeFiles
from course_utils.scale.datamodule import ImageData
from course_utils.scale.module import ImageClassifier

CONFIGS = Path(__file__).with_name("configs")


class ScaleCLI(LightningCLI):
    """`fit`, `validate` and `test`; `--ckpt_path last` goes on, or begins where there is nothing yet.

    `seed_everything` is also the seed of the data; checkpoints are written and read by `SafeFiles`.
    """

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """One seed for everything."""
        parser.link_arguments("seed_everything", "data.seed")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """The command line, with the course's own configurations found by their names."""
        given = sys.argv[1:] if args is None else args
        self.config = parser.parse_args([_find(argument) for argument in given])

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """What can be done: there is nothing to predict without labels here."""
        commands = LightningCLI.subcommands()
        return {name: commands[name] for name in ("fit", "validate", "test")}

    def before_instantiate_classes(self) -> None:
        """No code in checkpoints, whatever the strategy reads them with."""
        settings = self.config[self.config["subcommand"]]
        settings["weights_only"] = True

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer whose checkpoints are `SafeFiles`."""
        trainer = super().instantiate_trainer(**kwargs)
        trainer.strategy.checkpoint_io = SafeFiles()
        return trainer


def main(arguments: Sequence[str] | None = None) -> ScaleCLI:
    """Run the command line, `sys.argv` unless `arguments` are given.

    A configuration is a file; a name of one of the course's, as shapes_resnet.yaml, is found wherever
    the course is installed. Several may be given: what a later one says replaces.
    """
    return ScaleCLI(
        ImageClassifier,
        ImageData,
        args=None if arguments is None else list(arguments),
        seed_everything_default=0,
        auto_configure_optimizers=False,
        load_from_checkpoint_support=False,  # hyper-parameters as the module got them, no more
        save_config_kwargs={"overwrite": True},
        parser_kwargs={"allow_abbrev": False},  # or half a name would be taken for the whole
    )


def _find(argument: str) -> str:
    """The path of a configuration of the course, unless there is such a file here."""
    option, equals, value = argument.rpartition("=")
    known = CONFIGS / value
    ours = value.endswith((".yaml", ".yml")) and not Path(value).exists() and known.is_file()
    return f"{option}{equals}{known}" if ours else argument
