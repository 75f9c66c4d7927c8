"""``--set name=value`` and ``--model``: checked before anything starts."""

from difflib import get_close_matches
from pathlib import Path

from nucseg.errors import USAGE, NucsegError
from nucseg.params import DEFAULT_WORDS, parse_value
from nucseg_launcher.catalogue import MethodEntry


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
    known = {parameter.name: parameter for parameter in method.parameters}
    for name, value in settings.items():
        if name not in known:
            near = get_close_matches(name.lower().replace("-", "_"), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"`nucseg info {method.name}` lists them"
            raise NucsegError(f"{method.name} has no parameter '{name}'", hint, USAGE)
        try:
            parse_value(known[name], value)
        except ValueError as error:
            raise NucsegError(
                f"--set {name}={value}: {error}", f"`nucseg info {method.name}` shows what {name} means", USAGE
            ) from None


def check_settings_of_training(settings: dict[str, str]) -> None:
    """Raise `NucsegError` for names that cannot be parameters; which there are, only the method's program knows."""
    for name in settings:
        if not name.replace("_", "").isalnum() or not name.isascii():
            raise NucsegError(f"--set {name}: not a parameter's name", "names are made of letters, digits and _", USAGE)


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
