"""The recorded studies behind `results/`, from the command line.

    python -m course_utils.experiments position_lengths           # a small trial of it
    python -m course_utils.experiments position_lengths --full    # the numbers that are recorded

An interrupted study goes on where it was. Without `--full` nothing is recorded. One thread unless
OMP_NUM_THREADS says otherwise: on models this small a second one slows down.
"""

import argparse
import logging
import os
from pathlib import Path

import torch

from course_utils.experiments.study import STUDIES, find_study, json_of, run_study, save_result

RESULTS = Path(__file__).parents[1] / "results"
CACHE = Path("build") / "experiments"
log = logging.getLogger("course_utils.experiments")


def main(arguments: list[str] | None = None) -> None:
    """The command line: run a study, and with `--full` record it."""
    parser = argparse.ArgumentParser(prog="course_utils.experiments", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", choices=STUDIES)
    parser.add_argument("--full", action="store_true", help="the whole recipe, and record it")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where finished jobs are kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where --full records")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    study = find_study(options.name)
    recipe = {**study.recipe, **({} if options.full else study.trial)}
    result = run_study(options.name, recipe, options.cache)
    if options.full:
        save_result(result, options.results / f"{options.name}.json")
        if study.keep is not None:
            study.keep(result, options.cache)
    else:
        log.info("%s", json_of(result))


if __name__ == "__main__":
    main()
