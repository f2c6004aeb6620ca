import json

from guestos_tools.options import call
from guestos_tools.update_plan import PLAN, PROGRAM, main, plan_text

BIN = "bazel-out/cfg/bin/"
OUT = "bazel-out/k8-fastbuild-ST-1/bin/"
PLACEHOLDER = f"{BIN}ic-os/guestos/plan/placeholder/"


def written(path, content):
    return {"mnemonic": "FileWrite", "outputs": [OUT + path], "content": content, "inputs": [], "words": None}


def command(mnemonic, program, output, *words, inputs=()):
    return {
        "mnemonic": mnemonic,
        "outputs": [OUT + output],
        "content": None,
        "inputs": list(inputs),
        "words": [BIN + program, *words],
    }


def actions(distribution):
    return [
        written("ic-os/guestos/plan/placeholder/packages/base", ""),
        written("version.txt", "PLACEHOLDER\n"),
        command("Unused", "tools/commands/unused", "unused", "--x"),
        command(
            "Base",
            "tools/commands/base",
            "base.tar",
            f"--deb={PLACEHOLDER}packages/base",
            "--provided=${provided:base}",
            f"--output={BIN}base.tar",
        ),
        command(
            "Sign", "tools/commands/sign", "sig", "--data=a/b=c", f"--key={PLACEHOLDER}signing_key/*", inputs=["a/b=c"]
        ),
        command(
            "Image",
            "tools/commands/image",
            "image.tar",
            *["{", '"layers":', "[", "{", '"directories":', '"same",', '"label":', '"@@//a:b",'],
            *['"source":', f'"{BIN}base.tar"', "}", "],"],
            *['"passwords":', "{", '"root":', '"secret"', "},", '"layout":', '"a.csv",', '"other":', '"b.csv",'],
            *['"strip":', "[", "{", '"label":', '"@@//a:c",', '"paths":', "[", '"/boot"', "]", "}", "],"],
            *['"signature":', f'"{BIN}sig",', '"distribution":', f'"{distribution}",'],
            *['"version":', f'"{BIN}version.txt",', '"output":', f'"{BIN}image.tar"', "}"],
            inputs=["a.csv", "tools/commands/image.py"],
        ),
    ]


RAW = {
    "actions": {"one": actions("one"), "two": actions("two")},
    "distributions": ["zstandard", "absl-py"],
    "images": ["image.tar", "image.tar"],
    "locks": {"one": "one.lock.json", "two": "two.lock.json"},
    "programs": {"p": "bazel-out/k8-opt-exec/bin/tools/commands/program"},
}


def test_the_plan_has_what_images_need_under_names_that_are_the_same_everywhere():
    plan = json.loads(plan_text(RAW))
    spec = {
        "layers": [{"directories": "same", "label": "//a:b", "source": "${base.tar}"}],
        "passwords": {"root": "${password}"},
        "layout": "${a.csv}",
        "other": "b.csv",
        "strip": [{"label": "//a:c", "paths": ["/boot"]}],
        "signature": "${sig}",
        "distribution": "one",
        "version": "${version.txt}",
        "output": "${image.tar}",
    }
    image = {"mnemonic": "Image", "module": "tools.commands.image", "outputs": ["image.tar"], "spec": spec}
    assert plan["actions"] == [
        {
            "mnemonic": "Base",
            "module": "tools.commands.base",
            "outputs": ["base.tar"],
            "arguments": ["--deb=${packages:base}", "--provided=${provided:base}", "--output=${base.tar}"],
        },
        {"distributions": ["one"]} | image,
        {"distributions": ["two"]} | image | {"spec": spec | {"distribution": "two"}},
        {
            "mnemonic": "Sign",
            "module": "tools.commands.sign",
            "outputs": ["sig"],
            "only_with": "signing_key:*",
            "arguments": ["--data=${a/b=c}", "--key=${signing_key:*}"],
        },
        {"mnemonic": "FileWrite", "outputs": ["version.txt"], "content": "${version}\n"},
    ]
    assert plan["wheels"] == ["absl-py", "zstandard"]
    assert plan["programs"] == {"p": "tools.commands.program"}
    assert plan["locks"] == RAW["locks"]


def test_a_long_list_of_several_actions_stands_in_the_plan_once():
    first, second = (
        ["[", *(f'"{BIN}{start + each}",' for each in range(9)), f'"{BIN}{start + 9}"', "]"] for start in (0, 10)
    )
    specs = {
        "a": ["{", '"source":', *first, ",", '"parts":', "[", "{", '"source":', *second, "}", "]", "}"],
        "b": ["{", '"parts":', "[", *first, ",", *second, "]", "}"],
        "c": ["{", '"short":', "[", f'"{BIN}a",', f'"{BIN}b"', "]", "}"],
    }
    commands = [command("Image", "image", name, *words) for name, words in specs.items()]
    plan = json.loads(plan_text(RAW | {"actions": {"one": commands}, "images": list(specs)}))
    assert plan["lists"] == {
        "source of a": [f"${{{number}}}" for number in range(10)],
        "source of a (2)": [f"${{{number}}}" for number in range(10, 20)],
    }
    one, two = {"list": "source of a"}, {"list": "source of a (2)"}
    assert [action["spec"] for action in plan["actions"]] == [
        {"source": one, "parts": [{"source": two}]},
        {"parts": [one, two]},
        {"short": ["${a}", "${b}"]},
    ]


def test_update_writes_the_plan_into_the_checkout(tmp_path, monkeypatch, capsys):
    raw = tmp_path / "actions.json"
    raw.write_text(json.dumps(RAW))
    monkeypatch.delenv("BUILD_WORKSPACE_DIRECTORY", raising=False)
    assert call(PROGRAM, main, [str(raw)]) == 2
    assert capsys.readouterr().err == (
        "update: error: BUILD_WORKSPACE_DIRECTORY is not set; call it by bazel run //ic-os/guestos/plan:update\n"
    )
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path))
    (tmp_path / PLAN).parent.mkdir(parents=True)
    assert call(PROGRAM, main, [str(raw)]) == 0
    assert (tmp_path / PLAN).read_text() == plan_text(RAW)
