import json
import os
import re

import pytest

from guestos import log_shipping
from guestos.errors import GuestError
from guestos.log_shipping import FAILED, NOTHING_TO_SHIP, Shipping, main, read, rsyslog_configuration


@pytest.fixture
def config(tmp_path):
    """Writes the settings of a machine; returns their folder."""

    def write(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.conf").write_text(text)
        return str(tmp_path)

    return write


def test_hosts_and_tags(config):
    folder = config(
        filebeat="elasticsearch_hosts=a.example b.example:9200 [2001:db8::1]:443\nelasticsearch_tags=x y=z\n"
    )
    assert read(folder) == Shipping(("a.example", "b.example:9200", "[2001:db8::1]:443"), ("x", "y=z"))


def test_the_file_of_older_releases(config):
    assert read(config(journalbeat="journalbeat_hosts=h1:443 h2\njournalbeat_tags=t\n")) == Shipping(
        ("h1:443", "h2"), ("t",)
    )


def test_filebeat_goes_first(config):
    folder = config(filebeat="elasticsearch_hosts=new\n", journalbeat="journalbeat_hosts=old\n")
    assert read(folder) == Shipping(("new",), ())


@pytest.mark.parametrize(
    "files",
    [{}, {"filebeat": ""}, {"filebeat": "elasticsearch_hosts=\nelasticsearch_tags=a\n"}, {"filebeat": "other=1\n"}],
)
def test_without_hosts_nothing_is_shipped(config, tmp_path, files, capsys):
    assert main(config(**files), str(tmp_path / "out")) == NOTHING_TO_SHIP
    assert not (tmp_path / "out").exists()
    assert "<3>" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        'elasticsearch_hosts=a"] x=["b',
        "elasticsearch_hosts=ftp://a",
        "elasticsearch_hosts=a/path",
        "elasticsearch_hosts=a:b",
        "elasticsearch_hosts=a\nelasticsearch_tags=${x}",
        'elasticsearch_hosts=a\nelasticsearch_tags=a"b',
        "elasticsearch_hosts=a\nelasticsearch_hosts=b",
    ],
)
def test_what_could_change_the_configuration_is_refused(config, tmp_path, line, capsys):
    folder = config(filebeat=line)
    assert main(folder, str(tmp_path / "out")) == FAILED
    message = capsys.readouterr().err
    assert re.fullmatch(r"<3>logs are not shipped: .*/filebeat\.conf:\d: .*\n", message)
    assert not (tmp_path / "out").exists()
    with pytest.raises(GuestError):
        read(folder)


def test_the_configuration(config, tmp_path):
    folder = config(filebeat="elasticsearch_hosts=a b:9200\nelasticsearch_tags=x y\n")
    assert main(folder, str(tmp_path / "out"), "/state") == 0
    text = (tmp_path / "out").read_text()
    assert text == rsyslog_configuration(Shipping(("a", "b:9200"), ("x", "y")), "/state")
    assert 'workDirectory="/state"' in text
    assert json.loads(re.search(r"server=(.*)", text)[1]) == ["a", "b:9200"]
    constant = re.search(r'constant\(value="(\{.*)"\)', text)[1].replace('\\"', '"')
    assert json.loads(f"{constant.removesuffix(',')}}}") == {"tags": ["x", "y"]}
    assert not (tmp_path / "out.new").exists()


def test_rsyslog_reads_the_configuration_whatever_the_umask_is(config, tmp_path):
    before = os.umask(0o077)
    try:
        assert main(config(filebeat="elasticsearch_hosts=a\n"), str(tmp_path / "out")) == 0
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o644


def test_an_output_that_cannot_be_written_is_an_error(config, tmp_path, capsys):
    assert main(config(filebeat="elasticsearch_hosts=a\n"), str(tmp_path / "missing/out")) == FAILED
    assert "missing/out" in capsys.readouterr().err


def test_the_paths_are_those_of_the_unit():
    assert log_shipping.OUTPUT == "/run/ic-node/etc/filebeat/rsyslog.conf"
    assert log_shipping.STATE == "/var/lib/filebeat"
