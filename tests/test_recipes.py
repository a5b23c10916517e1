"""Recipes: every file loads, every setting says what it is, and what is wrong is named with its
full path."""

import ast
import inspect
import json
import tomllib
from dataclasses import fields, is_dataclass

import pytest

from recipes import settings
from recipes.settings import (
    CARD_MEMORY_MIB,
    FOLDER,
    Recipe,
    StageSettings,
    fitting_recipe,
    from_dict,
    load,
    names,
)
from sandbox.errors import UsageError
from sandbox.tasks.styles import STYLES

FILES = sorted(p for p in FOLDER.glob("*.toml") if p.stem != "teachers")


def refused(*arguments) -> str:
    """The sentence."""
    with pytest.raises(UsageError) as error:
        load(*arguments)
    return str(error.value)


def write(tmp_path, text: str) -> str:
    (tmp_path / "mine.toml").write_text(text)
    return str(tmp_path / "mine.toml")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_recipe_loads(path):
    recipe, data = load(path.stem), tomllib.loads(path.read_text())
    assert recipe.name == path.stem and recipe == load(str(path))
    assert recipe.prompt.style in STYLES
    for section, values in data.items():
        for key, value in values.items() if isinstance(values, dict) else ():
            loaded = getattr(getattr(recipe, section), key)
            assert loaded == (tuple(value) if isinstance(value, list) else value)
    assert data, "a recipe that changes nothing"


def test_nano_is_there():
    assert (
        "nano" in names()
        and load("nano").prompt.style == "body"
        and load("nano").student.model == "nano"
    )


def settings_classes():
    return [
        value
        for value in vars(settings).values()
        if inspect.isclass(value) and is_dataclass(value) and value.__module__ == "recipes.settings"
    ]


@pytest.mark.parametrize("cls", settings_classes(), ids=lambda c: c.__name__)
def test_every_field_has_its_docstring(cls):
    tree = ast.parse(inspect.getsource(cls)).body[0]
    assert ast.get_docstring(tree)
    for node, following in zip(tree.body, [*tree.body[1:], None]):
        if isinstance(node, ast.AnnAssign):
            documented = (
                isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
                and isinstance(following.value.value, str)
            )
            assert documented and following.value.value.strip(), (
                f"{cls.__name__}.{node.target.id} has no docstring"
            )
    assert len([n for n in tree.body if isinstance(n, ast.AnnAssign)]) == len(fields(cls))


def test_every_section_of_the_recipe_is_a_settings_class():
    sections = {type(getattr(Recipe(), f.name)) for f in fields(Recipe)} - {str, int, tuple}
    assert sections | {StageSettings} == set(settings_classes()) - {Recipe}


@pytest.mark.parametrize(
    "item, full, near",
    [
        ("climb.cycels=3", "climb.cycels", "climb.cycles"),
        ("clim.cycles=3", "clim", "climb"),
        ("sed=3", "sed", "seed"),
        ("student.lora_rnak=3", "student.lora_rnak", "student.lora_rank"),
        ("distil.learningrate=1", "distil.learningrate", ""),
    ],
)
def test_an_unknown_key_is_named_with_its_path_and_the_nearest_right_name(item, full, near):
    said = refused("nano", [item])
    assert f"unknown key {full!r}" in said and "nano.toml" in said
    assert near in said


def test_an_unknown_key_in_a_file(tmp_path):
    path = write(tmp_path, "[climb]\ngroup_sise = 3\n")
    assert (
        refused(path) == f"{path}: unknown key 'climb.group_sise'. Did you mean 'climb.group_size'?"
    )


@pytest.mark.parametrize(
    "item, says",
    [
        ("climb.cycles=1.5", "'climb.cycles' must be a whole number, not 1.5"),
        ("climb.cycles=many", "'climb.cycles' must be a whole number, not 'many'"),
        ("climb.cycles=true", "'climb.cycles' must be a whole number, not True"),
        ("climb.lr='x'", "'climb.lr' must be a number"),
        ("climb.lr=false", "'climb.lr' must be a number"),
        ("student.model=3", "'student.model' must be a text"),
        ("climb=3", "'climb' is a section, not a value"),
        ("climb.entropy_band=3", "'climb.entropy_band' must be a list such as [0.0, 10.0]"),
        ("climb.entropy_band=['a', 'b']", "'climb.entropy_band' must be a list"),
        ("tasks.kinds='blank'", "'tasks.kinds' must be a list"),
        ("seed.x=1", "'seed'"),
        ("climb.cycles.x=1", "climb.cycles"),
        ("climb.cycles=", "'climb.cycles' must be a whole number, not ''"),
    ],
)
def test_a_wrong_type_is_named_with_its_path(item, says):
    assert says in refused("nano", [item])


@pytest.mark.parametrize(
    "item, key",
    [("tasks.kinds=['blank', 'nonsense']", "tasks.kinds"), ("prompt.style=poem", "prompt.style")],
)
def test_a_value_that_is_not_among_those_there_are(item, key):
    assert f"{key!r} must be " in refused("nano", [item])


@pytest.mark.parametrize("item", ["climb.cycles", "", "=3", " = 3"])
def test_what_is_not_of_the_form_key_and_value(item):
    said = refused("nano", [item])
    assert "--set" in said and "key.path=value" in said


def test_a_value_is_no_section():
    assert "'seed' is a value, not a section" in refused("nano", ["seed=1", "seed.x=1"])


def test_an_unknown_recipe(tmp_path):
    said = refused("rtx-5gb")
    assert "There is no recipe 'rtx-5gb'" in said and "auto" in said and "nano" in said
    assert "There is no recipe" in refused(str(tmp_path / "nothing.toml"))
    assert "There is no recipe" in refused(str(tmp_path))
    assert "There is no recipe" in refused("teachers")
    assert "There is no recipe" in refused("")


@pytest.mark.parametrize("text", ["[climb\n", "climb = {", "a = 1\na = 2\n"])
def test_a_file_that_is_not_toml(tmp_path, text):
    path = write(tmp_path, text)
    assert f"{path} is not valid TOML" in refused(path)


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    assert "is not valid TOML" in refused(str(tmp_path / "mine.toml"))


def test_overrides_win_and_the_last_of_them(tmp_path):
    path = write(tmp_path, "seed = 2\n[climb]\ncycles = 5\nlr = 1e-3\n")
    recipe = load(
        path,
        [
            "climb.cycles=7",
            "climb.cycles=8",
            " student.model = some/path ",
            "tasks.kinds=['blank', 'blank']",
            "climb.kl=1",
            "climb.entropy_band=[1, 2]",
        ],
    )
    assert (recipe.name, recipe.seed, recipe.climb.cycles, recipe.climb.lr) == ("mine", 2, 8, 1e-3)
    assert recipe.tasks.kinds == ("blank", "blank") and recipe.climb.entropy_band == (1.0, 2.0)
    assert (
        recipe.climb.kl == 1.0
        and type(recipe.climb.kl) is float
        and recipe.student.model.strip() == "some/path"
    )
    assert recipe.distil == Recipe().distil


@pytest.mark.parametrize(
    "value", ["/home/me/a model=x", "C:/x", "2024-01-01-model", "a.b.c", "true-model", "'quoted'"]
)
def test_a_text_is_taken_as_it_is_typed(value):
    assert load("nano", [f"student.model={value}"]).student.model == value.strip("'")


@pytest.mark.parametrize("name", ["nano", *(p.stem for p in FILES)])
def test_plain_data_there_and_back(name):
    recipe = load(name, ["climb.cycles=7", "climb.entropy_band=[1, 2]", "probe.temperature=1"])
    assert from_dict(recipe.to_dict()) == recipe
    assert from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


# -------------------------------------------------------------------------------------- by the card


def nvidia_smi(tmp_path, monkeypatch, script: str | None) -> None:
    """Put this script on the PATH as the driver's own program, or nothing."""
    (tmp_path / "bin").mkdir()
    if script is not None:
        (tmp_path / "bin" / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.mark.parametrize(
    "script",
    [
        None,
        "exit 9",
        "echo 'No devices were found'",
        "echo 24564; exit 1",
        "echo '[N/A]'",
        "",
        "echo 4096",
    ],
)
def test_smollm2_without_a_card_that_is_large_enough(tmp_path, monkeypatch, script):
    nvidia_smi(tmp_path, monkeypatch, script)
    assert fitting_recipe() == "smollm2" == load("auto").name


@pytest.mark.parametrize(
    "memory, wanted",
    [
        (8188, "rtx-8gb"),
        (12282, "rtx-12gb"),
        (16380, "rtx-16gb"),
        (24564, "rtx-24gb"),
        (81559, "rtx-24gb"),
    ],
)
def test_the_recipe_of_the_card(tmp_path, monkeypatch, memory, wanted):
    nvidia_smi(tmp_path, monkeypatch, f"echo {memory}")
    # A card without a recipe of its own gets the next smaller one.
    order = sorted(CARD_MEMORY_MIB, key=CARD_MEMORY_MIB.get)
    there = [name for name in order[: order.index(wanted) + 1] if name in names()]
    assert fitting_recipe() == (there[-1] if there else "smollm2")


def test_the_first_of_several_cards_counts(tmp_path, monkeypatch):
    nvidia_smi(tmp_path, monkeypatch, "echo 1000; echo 24564")
    assert fitting_recipe() == "smollm2"
