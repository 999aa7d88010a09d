"""The course's training on Lightning: many accelerators, many hosts, one command line.

`module` is the model with its loss and its optimizer, `datamodule` its three splits, `loader` how the
images of a step are shared among processes, `checkpoints` what is written and read, `cli` the command
line, `configs` ready recipes. `costs` and `plan` are arithmetic: what a run needs in memory, time and
money, before it is started.

Lightning is imported by the parts that need it, not here: the plan on paper needs none.
"""
