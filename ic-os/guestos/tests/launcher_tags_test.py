import json
from pathlib import Path


def test_the_launcher_has_the_tag_by_which_it_is_named_after_a_build():
    (tags,) = json.loads(Path(__file__).with_name("launcher_tags.json").read_text()).values()
    assert "vm-launcher" in tags
