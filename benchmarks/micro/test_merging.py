"""What does it cost to make many answers one, reading each of them included?"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from actors.ensembling.ensembler import MultiModelEnsembler
from actors.ensembling.merges import MERGES
from actors.ensembling.panel import Done
from actors.protocol.trust import Trust
from benchmarks.micro.driving import answer

REASONED = "Seventeen and twenty-eight are added digit by digit: 7 + 8 = 15, carry one. " * 6 + "The answer is {}."
PROSE = "In case {0} the river {0} rises in spring, the town of place{0} keeps boats ready. " * 6


@pytest.mark.parametrize("members", [3, 5, 20])
@pytest.mark.parametrize("merge", MERGES)
def test_merging_stated_answers(benchmark: BenchmarkFixture, merge: str, members: int) -> None:
    answers = [answer(f"b{n}", REASONED.format(46 if n == 1 else 45)) for n in range(members)]
    ensembler = MultiModelEnsembler(merge)

    merged = benchmark(ensembler.merge, answers)

    assert isinstance(merged, Done)
    assert merged.answer.text.endswith("45.")


@pytest.mark.parametrize("members", [3, 5, 20])
@pytest.mark.parametrize("merge", MERGES)
def test_merging_prose(benchmark: BenchmarkFixture, merge: str, members: int) -> None:
    answers = [answer(f"b{n}", PROSE.format("none" if n != 1 else "one")) for n in range(members)]
    ensembler = MultiModelEnsembler(merge)

    merged = benchmark(ensembler.merge, answers)

    assert isinstance(merged, Done)
    assert "none" in merged.answer.text


def test_merging_five_answers_of_2000_characters_with_learned_trust(benchmark: BenchmarkFixture) -> None:
    """The whole decision, reading and calibrated confidence included; to stay under 1 ms."""
    text = (REASONED * 5)[:1_970]
    answers = [answer(f"b{n}", f"{text} The answer is {46 if n == 1 else 45}.") for n in range(5)]
    trust = Trust({f"b{n}": 1.0 + n / 10 for n in range(5)}, 0.5, 100)

    merged = benchmark(MultiModelEnsembler().merge, answers, trust=trust)

    assert isinstance(merged, Done)
    assert merged.report.confidence_01 == pytest.approx(0.9666, abs=0.0001)  # e^4.9 / (e^4.9 + e^1.1 + e^0.5)
