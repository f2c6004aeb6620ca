import pytest

from tools.testing.oracles import ask, oracle


def test_finds_an_installed_tool():
    assert oracle("tar").endswith("/tar")


def test_missing_oracle_skips_and_names_the_package(monkeypatch):
    monkeypatch.delenv("ICOS_REQUIRE_ORACLES", raising=False)
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(pytest.skip.Exception, match="Debian package cryptsetup-bin"):
        oracle("veritysetup")


def test_missing_oracle_fails_where_all_are_required(monkeypatch):
    monkeypatch.setenv("ICOS_REQUIRE_ORACLES", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-tool is missing"):
        oracle("no-such-tool")


def test_ask_returns_the_output():
    assert ask("sha256sum", "/dev/null").startswith("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def test_nonzero_exit_status_fails_the_test_with_the_output(tmp_path):
    with pytest.raises(pytest.fail.Exception, match=r"exits with 2:\n.*no-such-file"):
        ask("tar", "-tf", tmp_path / "no-such-file")


def test_nonzero_exit_status_can_be_allowed(tmp_path):
    assert "no-such-file" in ask("tar", "-tf", tmp_path / "no-such-file", check=False)
