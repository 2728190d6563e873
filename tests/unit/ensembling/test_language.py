import pytest

from actors.ensembling.language import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the capital of the country that lies to the north of it?", "en"),
        ("Was ist die Hauptstadt des Landes, das nicht weit von hier ist?", "de"),
        ("Quelle est la capitale du pays qui est dans le nord?", "fr"),
        ("¿Cuál es la capital del país que está en el norte y por qué?", "es"),
        ("Qual è la capitale della nazione che sono andato a vedere con gli amici?", "it"),
        ("Qual é a capital do país que não fica no norte e por quê?", "pt"),
        ("北方的国家的首都是什么?", "zh"),
        ("この国の首都はどこですか", "ja"),
        ("Какая столица у этой страны?", "ru"),
    ],
)
def test_a_sentence_shows_its_language(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize("text", ["", "42", "Paris", "def f(x): return x + 1", "x = np.zeros((3, 4))", "!" * 500])
def test_what_leaves_a_doubt_has_none(text: str) -> None:
    assert language_of(text) is None
