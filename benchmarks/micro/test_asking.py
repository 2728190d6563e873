"""How long does it take to predict the answers to a question, and to choose how it is put?"""

import random

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from actors.optimizing.quality_predictor import Predictor, Sample, packed, predictor, unpacked
from actors.protocol.patterns import Gain
from actors.protocol.ratings import Verdict
from actors.rewriting.patterns import BUILT_IN
from actors.rewriting.rewriter import Rewriter

ARMS = [f"backend-{number}" for number in range(9)]
QUESTION = "How many apples are left of 17 if 5 are eaten on each of two days?"
BODY = {"messages": [{"role": "user", "content": QUESTION}]}
GAINS = {"backend-0": {"math": {"step_by_step": Gain(0.3, 0.1, 0.5, 60.0)}}}


@pytest.fixture(scope="module")
def learned() -> Predictor:
    rng = random.Random(1)
    samples = []
    for number in range(400):
        is_easy = number % 2 == 0
        features = unpacked(packed(f"{'Write about' if is_easy else 'Compute'} {number}."))
        assert features is not None
        samples.append(Sample(Verdict("math", rng.choice(ARMS), float(is_easy)), features))
    found = predictor(samples, 1)
    assert found is not None
    return found


def test_looking_at_a_question(benchmark: BenchmarkFixture) -> None:
    assert unpacked(benchmark(packed, QUESTION)) is not None


def test_predicting_nine_answers(benchmark: BenchmarkFixture, learned: Predictor) -> None:
    assert benchmark(learned.expected, packed(QUESTION), "math").keys() == set(ARMS)


def test_choosing_a_pattern_and_putting_the_question(benchmark: BenchmarkFixture) -> None:
    rewriter = Rewriter(BUILT_IN, random.Random(1))

    def put() -> str:
        phrasing = rewriter.phrasing(BODY, "live", "math", None, GAINS)
        assert phrasing is not None
        content: str = phrasing.body_for("backend-0", BODY)["messages"][0]["content"]
        return content

    assert QUESTION in benchmark(put)
