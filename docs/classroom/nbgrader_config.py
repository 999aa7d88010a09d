"""nbgrader's settings for this course; `make release` puts this file into its folder."""

import os

from nbclient.exceptions import DeadKernelError
from nbgrader.converters.autograde import Autograde
from nbgrader.exchange.default import ExchangeSubmit
from nbgrader.preprocessors import Execute

MOST_DEATHS = 5


class SurvivingExecute(Execute):
    """A cell that ends Python itself costs its own points, not those of the whole notebook.

    Such a cell is left out, and the notebook runs once more without it. Where it is a test, the
    answer that it tests is left out with it.
    """

    def preprocess(self, nb, resources=None, **options):
        sources = [cell.source for cell in nb.cells]
        try:
            for _ in range(MOST_DEATHS):
                try:
                    return super().preprocess(nb, resources, **options)
                except DeadKernelError:
                    self._leave_out(nb)
            return super().preprocess(nb, resources, **options)
        finally:
            for cell, source in zip(nb.cells, sources, strict=True):
                cell.source = source

    def preprocess_cell(self, cell, resources, index):
        self.last = index
        return super().preprocess_cell(cell, resources, index)

    def _leave_out(self, nb):
        """The cell that ran last stops with an error instead."""
        cells = [nb.cells[self.last]]
        grade_id = cells[0].metadata.get("nbgrader", {}).get("grade_id", "")
        answer = grade_id.replace("points-", "exercise-")
        cells += [c for c in nb.cells if c.metadata.get("nbgrader", {}).get("grade_id") == answer]
        for cell in cells:
            cell.source = f"raise RuntimeError({ENDED!r})"


ENDED = "left out: this cell, or the test of it, ended Python itself"


class PrivateSubmit(ExchangeSubmit):
    """What is handed in is open to its writer and to the teacher's group, and to nobody else.

    nbgrader leaves it open to all who guess its name. The group comes from the folder it lies in.
    """

    def copy_files(self):
        super().copy_files()
        os.chmod(os.path.join(self.inbound_path, self.assignment_filename), 0o770)


c = get_config()  # noqa: F821  (nbgrader gives it)

c.CourseDirectory.course_id = "vision-transformers"
# jupyterhub_config.py says where people hand over, and to teachers where the course lies.
if os.environ.get("COURSE_EXCHANGE"):
    c.Exchange.root = os.environ["COURSE_EXCHANGE"]
if os.environ.get("COURSE_FOLDER"):
    c.CourseDirectory.root = os.environ["COURSE_FOLDER"]
c.ExchangeFactory.submit = PrivateSubmit
# A released stub stands where the solution stood.
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
# A cell of a lesson takes at most some twenty seconds on two cores.
c.ExecutePreprocessor.timeout = 120
c.Execute.timeout = 120
c.SurvivingExecute.timeout = 120
c.Autograde.autograde_preprocessors = [
    SurvivingExecute if step is Execute else step
    for step in Autograde.autograde_preprocessors.default()
]
