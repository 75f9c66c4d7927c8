"""What holds for the descriptors of every dialect."""

import json
import runpy
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from nucseg.descriptors import DIALECTS
from nucseg.descriptors.facts import citations, papers
from nucseg.method import list_methods, load_method

ROOT = Path(__file__).resolve().parents[3]
MAKE = runpy.run_path(str(ROOT / "scripts" / "make_descriptors.py"))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", list_methods(ROOT))
def test_the_committed_descriptor_is_the_generated_one(name, dialect):
    path = ROOT / "descriptors" / DIALECTS[dialect].file.format(name)
    assert path.read_text("utf-8") == MAKE["write"](DIALECTS[dialect].make(load_method(name)), path.suffix), (
        "make descriptors"
    )


def test_no_descriptor_of_a_method_that_is_gone_was_left(monkeypatch):
    monkeypatch.delenv("NUCSEG_ROOT", raising=False)
    assert MAKE["main"](["--check"]) == 0


def defaults(dialect, descriptor):
    """Name and default of every parameter, as the file's readers find them."""
    if dialect == "bioimageio":
        return {name: entry["default"] for name, entry in descriptor["config"]["nucseg"]["parameters"].items()}
    if dialect == "bilayers":
        return {entry["name"]: entry["default"] for entry in descriptor["parameters"]}
    return {entry["id"]: entry["default-value"] for entry in descriptor["inputs"] if "default-value" in entry}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", list_methods(ROOT))
def test_the_file_says_every_parameter_with_its_type_and_default(name, dialect):
    path = ROOT / "descriptors" / DIALECTS[dialect].file.format(name)
    load = json.loads if path.suffix == ".json" else yaml.safe_load
    found = defaults(dialect, load(path.read_text("utf-8")))
    for item in fields(load_method(name).params):
        # Boutiques has no type for a switch that is on by default.
        text = dialect == "boutiques" and item.type is bool
        wanted = str(item.default).lower() if text else item.default
        assert found[item.name] == wanted
        assert type(found[item.name]) is (str if text else item.type)


@pytest.mark.parametrize("name", list_methods(ROOT))
def test_every_paper_is_cited_with_its_doi(name):
    method = load_method(name)
    found = papers(method)
    assert [paper.doi for paper in found] == [text.split("doi:")[1] for text in method.citation.split("; ")]
    assert all(paper.text and "doi" not in paper.text for paper in found)
    tool, *rest = citations(method)
    assert (tool["name"], tool["description"]) == (method.title, method.description)
    assert [entry["doi"] for entry in rest] == [paper.doi for paper in found]
    assert len({entry["name"] for entry in (tool, *rest)}) == len(rest) + 1


def test_make_descriptors_writes_and_compares(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NUCSEG_ROOT", str(ROOT / "tests" / "methods"))
    main, folder = MAKE["main"], ["--folder", str(tmp_path)]
    assert main(["--check", *folder]) == 1
    assert main(folder) == 0
    assert main(["--check", *folder]) == 0
    for dialect in DIALECTS.values():
        file = tmp_path / dialect.file.format("threshold")
        text = file.read_text("utf-8")
        file.write_text(text.replace("0.0", "0"), "utf-8")
        capsys.readouterr()
        assert main(["--check", *folder]) == 1
        assert f"{file} is not up to date" in capsys.readouterr().err
        file.write_text(text, "utf-8")
        gone = tmp_path / dialect.file.format("gone")
        gone.write_text(text, "utf-8")
        assert main(["--check", *folder]) == 1
        assert f"{gone} belongs to no method" in capsys.readouterr().err
        gone.unlink()
    assert main(["--check", *folder]) == 0
