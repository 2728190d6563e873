"""How long does it take to tell which type of task a question sets?"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from actors.optimizing.tasks.detector import TaskDetector

SHORT = "What is 17 + 28?"
LONG = f"Summarize this report.\n\n{'The harbour stays closed until the pier is mended. ' * 80}"


@pytest.mark.parametrize(("question", "task_type"), [(SHORT, "math"), (LONG, "summarization")])
def test_detecting_the_type_of_task(benchmark: BenchmarkFixture, question: str, task_type: str) -> None:
    detector = TaskDetector.trained()

    assert benchmark(detector.detect, question).task_type == task_type
