"""``--set name=value`` and ``--model``: checked before anything starts."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import Field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from nucseg.errors import USAGE, NucsegError
from nucseg.method import Method, load_method, training_params
from nucseg.params import DEFAULT_WORDS, flag, parameters, parse_value
from nucseg_launcher.catalogue import MethodEntry

_LIKE = 0.8
"""How alike a word and an option are that is meant by it (`difflib`)."""


def spelled_out(words: Sequence[str], options: Collection[str]) -> list[str]:
    """A command line with ``--name VALUE`` and ``--name=VALUE``, as the methods spell their parameters, as ``--set``.

    Parameters
    ----------
    words : sequence of str
    options : collection of str
        The command's own. A misspelt one of them is left as it is.

    Examples
    --------
    >>> spelled_out(["--gt", "truth", "--nuc_channel", "0", "--sigma=1"], ["--gt", "--set"])
    ['--gt', 'truth', '--set=nuc_channel=0', '--set=sigma=1']
    """
    spelled: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*spelled, word, *rest]
        name = word.partition("=")[0]
        if not name.startswith("--") or _is_option(name, options):
            spelled.append(word)
        elif name == word and rest and not rest[0].startswith("--"):
            spelled.append(f"--set={name[2:]}={rest.pop(0)}")
        else:
            spelled.append(f"--set={word[2:]}")
    return spelled


def _is_option(name: str, options: Collection[str]) -> bool:
    return any(option.startswith(name) for option in options) or bool(get_close_matches(name, options, 1, _LIKE))


def split_settings(items: list[str]) -> dict[str, str]:
    """``["a=1", "b=x=y"]`` to ``{"a": "1", "b": "x=y"}``.

    Raises
    ------
    NucsegError
        An item has no "=", or a name comes twice with different values.
    """
    settings: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        name = name.strip().lstrip("-")
        if not equals or not name:
            raise NucsegError(f"--set {item} has no value", f"write --set {name or 'name'}=value", USAGE)
        if settings.get(name, value) != value:
            raise NucsegError(f"--set {name} is given twice: {settings[name]} and {value}", "give it once", USAGE)
        settings[name] = value
    return settings


def settings_of_methods(items: list[str], methods: list[MethodEntry]) -> dict[str, dict[str, str]]:
    """Settings per method: ``name=value`` is for all of them, ``method.name=value`` for one.

    Raises
    ------
    NucsegError
        As `split_settings`, or a method that is not among these.
    """
    own: dict[str, list[str]] = {method.name: [] for method in methods}
    for item in items:
        owner, dot, _ = item.partition("=")[0].partition(".")
        if not dot:
            for names in own.values():
                names.append(item)
        elif owner in own:
            own[owner].append(item.removeprefix(f"{owner}."))
        else:
            raise NucsegError(f"--set {item}: {owner} is not among the methods", f"one of {', '.join(own)}", USAGE)
    return {name: split_settings(settings) for name, settings in own.items()}


def check_settings(method: MethodEntry, settings: dict[str, str]) -> None:
    """Raise `NucsegError` for an unknown name, a value of the wrong type, or one out of range."""
    _check(method, settings, method.parameters, "parameter")


def check_settings_of_training(method: MethodEntry, settings: dict[str, str]) -> None:
    """`check_settings` for training; where the method's code is not here, its container does it.

    Raises
    ------
    NucsegError
        USAGE; also for a method that is not trained.
    """
    code = _code(method)
    if code:
        _check(method, settings, parameters(training_params(code)), "training parameter")


def training_parameters(method: MethodEntry) -> tuple[Field[Any], ...]:
    """What ``train --set`` understands; empty where the method is not trained, or its code is not here."""
    code = _code(method)
    return parameters(code.train_params) if code and code.train_params else ()


def _code(method: MethodEntry) -> Method | None:
    try:
        return load_method(method.name)
    except (NucsegError, ImportError):
        return None


def _check(method: MethodEntry, settings: dict[str, str], known_ones: Iterable[Field[Any]], what: str) -> None:
    known = {flag(parameter)[2:]: parameter for parameter in known_ones}
    for name, value in settings.items():
        if name not in known:
            near = get_close_matches(name.lower().replace("-", "_"), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"`nucseg info {method.name}` lists them"
            raise NucsegError(f"{method.name} has no {what} '{name}'", hint, USAGE)
        try:
            parse_value(known[name], value)
        except ValueError as error:
            raise NucsegError(
                f"{name}={value}: {error}", f"`nucseg info {method.name}` shows what {name} means", USAGE
            ) from None


def choose_model(
    method: MethodEntry, value: str | None, settings: dict[str, str], setting: str = "model"
) -> Path | None:
    """A model folder to hand in; None for the default, and for a shipped model's name, which becomes a setting.

    Raises
    ------
    NucsegError
        USAGE, for something that is neither.
    """
    from nucseg.models import shipped_models

    if value is None or value in DEFAULT_WORDS:
        return None
    shipped = shipped_models(method.root / "images" / method.name) if method.root else []
    folder = Path(value).expanduser()
    if value not in shipped and folder.exists():
        return folder.resolve()
    looks_like_path = folder.name != value
    if looks_like_path or (shipped and value not in shipped):
        known = f", or one of the shipped models: {', '.join(shipped)}" if shipped else ""
        raise NucsegError(f"there is no model {value}", f"name a folder that holds a model{known}", USAGE)
    settings[setting] = value
    return None


def check_weights(method: MethodEntry, model: Path | None, settings: dict[str, str], option: str) -> None:
    """Refuse to run a method that comes without weights where none are named; `option` is how to name them.

    Raises
    ------
    NucsegError
        USAGE.
    """
    if method.needs_weights and model is None and not settings.get("model"):
        hint = f"{option}=path/to/the_weights; `nucseg info {method.name}` says which, and where they are"
        raise NucsegError(f"{method.name} comes without weights: you must bring them", hint, USAGE)


def parse_memory(text: str) -> int:
    """``"4g"``, ``"512m"``, ``"1.5 GB"`` to bytes (powers of 1024, as docker counts).

    Examples
    --------
    >>> parse_memory("4g") == 4 * 1024**3
    True
    """
    units = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
    cleaned = text.strip().lower().replace(" ", "").removesuffix("b").removesuffix("i")
    digits, unit = (cleaned[:-1], cleaned[-1]) if cleaned[-1:].isalpha() else (cleaned, "")
    try:
        amount = int(float(digits) * units[unit])
    except (ValueError, KeyError, OverflowError):
        amount = 0
    # Docker itself refuses less than 6 MB.
    if amount < 6 * 1024**2:
        raise NucsegError(f"--memory {text} is not an amount of memory", "write for example --memory 8g", USAGE)
    return amount
