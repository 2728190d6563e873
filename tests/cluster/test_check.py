"""Does `troupe check` find everything that is wrong before anything is started?"""

from pathlib import Path

from tests.support.running_gateway import run_troupe

WRONG = """server: {port: 99999}
backends:
  a: {provider: scripted, timeout: 3}
  b: {provider: openai, base_url: "http://127.0.0.1:1/v1", model: m, api_key: env:NO_SUCH_VARIABLE_HERE}
models:
  m: {strategy: ensembel, members: [a, c]}
"""


def test_all_problems_are_listed_at_once_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)

    returncode, out, err = run_troupe("check", "-c", "wrong.yaml", folder=tmp_path)

    assert (returncode, err) == (1, "")
    for line, hint in [(1, "99999"), (3, "timeout_s"), (4, "NO_SUCH_VARIABLE_HERE"), (6, "ensemble"), (6, "'c'")]:
        assert any(f"wrong.yaml:{line}" in problem and hint in problem for problem in out.splitlines()), (line, hint)


def test_serve_refuses_what_check_refuses(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)

    returncode, out, err = run_troupe("serve", "-c", "wrong.yaml", folder=tmp_path)

    assert (returncode, out) == (1, "")
    assert "NO_SUCH_VARIABLE_HERE" in err
    assert "Traceback" not in err


def test_a_configuration_without_problems_passes(tmp_path: Path) -> None:
    (tmp_path / "right.yaml").write_text("backends: {a: {provider: scripted}}\n")

    assert run_troupe("check", "-c", "right.yaml", folder=tmp_path)[0] == 0
