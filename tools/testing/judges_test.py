import pytest

from tools.testing.judges import ask, judge


def test_finds_an_installed_tool():
    assert judge("tar").endswith("/tar")


def test_missing_judge_skips_and_names_the_package(monkeypatch):
    monkeypatch.delenv("ICOS_REQUIRE_JUDGES", raising=False)
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(pytest.skip.Exception, match="Debian package cryptsetup-bin"):
        judge("veritysetup")


def test_missing_judge_fails_where_all_are_required(monkeypatch):
    monkeypatch.setenv("ICOS_REQUIRE_JUDGES", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-tool is missing"):
        judge("no-such-tool")


def test_ask_returns_what_a_judge_said():
    assert ask("sha256sum", "/dev/null").startswith("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def test_refusal_fails_the_test_with_what_the_judge_said(tmp_path):
    with pytest.raises(pytest.fail.Exception, match=r"exits with 2:\n.*no-such-file"):
        ask("tar", "-tf", tmp_path / "no-such-file")


def test_refusal_can_be_looked_at(tmp_path):
    assert "no-such-file" in ask("tar", "-tf", tmp_path / "no-such-file", check=False)
