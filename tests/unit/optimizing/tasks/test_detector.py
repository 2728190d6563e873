import numpy as np
import pytest

from actors.optimizing.tasks.detector import TaskDetector
from actors.optimizing.tasks.ngrams import PLACES, ngrams
from actors.protocol.tasks import TASK_TYPES, UNGUESSED
from training.task_types.judging import Judged, held_out


@pytest.fixture(scope="module")
def detector() -> TaskDetector:
    return TaskDetector.trained()


@pytest.mark.parametrize(
    ("question", "task_type"),
    [
        ("Why does my Python function return None?\n\ndef f(x):\n    x + 1", "code"),
        ("A baker sells 12 rolls an hour. How many does he sell in 7 hours?", "math"),
        ("Which planet is closest to the sun?\nA. Venus\nB. Mercury\nC. Mars", "factual_question"),
        ("Summarize the following report in three sentences: the harbour was closed for repairs.", "summarization"),
        ("Übersetze ins Französische: Wo ist der Bahnhof?", "translation"),
        ("Extract all names and dates as JSON: Ann met Bob on 3 May 2021.", "extraction"),
        ("Écris un poème sur un chat qui rêve de la mer.", "creative"),
        ("你好，今天怎么样？", "chat"),
        ("kjhg qwpo zxmv 8721", "unknown"),
    ],
)
def test_a_question_is_recognised_by_what_it_asks_for(detector: TaskDetector, question: str, task_type: str) -> None:
    assert detector.detect(question).task_type == task_type


def test_of_prompts_that_were_not_trained_on_more_than_four_in_five_are_right(detector: TaskDetector) -> None:
    judged = Judged.of(held_out(), detector)

    assert len(judged.prompts) >= 150
    assert judged.accuracy_01 > 0.8
    assert all(part.accuracy_01 > 0.7 for _, part in judged.by_source())
    assert judged.calibration_error_01 < 0.1


@pytest.mark.parametrize("question", ["", "  \n", "\t"])
def test_nothing_is_guessed_of_an_empty_question(detector: TaskDetector, question: str) -> None:
    assert detector.detect(question) == UNGUESSED


@pytest.mark.parametrize("question", ["x", "\ud800 half a pair", "\x00", "a" * 1_000_000, "🦔" * 300])
def test_any_text_gets_a_whole_set_of_probabilities(detector: TaskDetector, question: str) -> None:
    permille = detector.detect(question).permille

    assert len(permille) == len(TASK_TYPES)
    assert abs(sum(permille) - 1000) < len(TASK_TYPES)


def test_a_question_about_which_nothing_points_anywhere_is_unknown() -> None:
    blank = TaskDetector(np.zeros((PLACES, len(TASK_TYPES)), np.float32), np.zeros(len(TASK_TYPES), np.float32))

    assert blank.detect("What is this?").task_type == "unknown"


def test_of_a_long_text_only_the_ends_are_looked_at(detector: TaskDetector) -> None:
    begin, end = "Summarize this. " * 20, " That was it." * 20

    assert detector.detect(begin + "one " * 900 + end) == detector.detect(begin + "two " * 5000 + end)


def test_letters_count_alike_in_either_size_and_so_do_digits() -> None:
    assert (ngrams("Add 17 and 4")[0] == ngrams("ADD 23 AND 9")[0]).all()


def test_the_counts_of_every_text_are_of_the_same_length_as_a_vector() -> None:
    for text in ("a", "What is 17 + 4?", "lorem ipsum " * 100):
        places, counts = ngrams(text)
        assert float((counts**2).sum()) == pytest.approx(1.0, abs=1e-5)
        assert 0 <= places.min() <= places.max() < PLACES
