"""The command line: `python -m course_utils.scale fit --config shapes_resnet.yaml`."""

from course_utils.scale.cli import main

if __name__ == "__main__":
    main()
