"""A LeRobotDataset for the tests that read one as a foreign recording."""

from tests.datasets.conftest import toy_dataset as toy_dataset
