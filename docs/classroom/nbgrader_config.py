"""nbgrader's settings for this course; `make release` puts this file into its folder."""

from nbclient.exceptions import DeadKernelError
from nbgrader.converters.autograde import Autograde
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

c = get_config()  # noqa: F821  (nbgrader gives it)

c.CourseDirectory.course_id = "vision-transformers"
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
