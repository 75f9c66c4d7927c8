"""The container's command line: what people, OMERO (BIOMERO) and BIAFLOWS servers write, understood.

Not plain argparse, because the consumers send words that it dies of: the words ``python wrapper.py``
in front, flags of the BIAFLOWS wrapper library, value keys that a server left in the line, and
the text ``None`` for a cleared field. What has no meaning here is named in a warning; a flag that
nobody knows is an error, because a misspelt parameter must not silently be the default.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from nucseg.errors import USAGE, NucsegError
from nucseg.method import Method, training_params
from nucseg.params import BOOLEANS, DEFAULT_WORDS, flags, parameters, parse_params
from nucseg.server.account import PREFIX, SERVER_FLAGS, Account, account_of

DEVICES = ("auto", "cpu", "cuda")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PATHS = {
    "--in": "in",
    "--infolder": "in",
    "--out": "out",
    "--outfolder": "out",
    "--gt": "gt",
    "--gtfolder": "gt",
    "--measurements": "measurements",
    "--overlays": "overlays",
    "--record": "record",
    "--val": "val",
    "--val_gt": "val_gt",
}
SWITCHES = {
    "-nmc": "no_metrics",
    "--nmc": "no_metrics",
    "--no_metrics_computation": "no_metrics",
    "--nometrics": "no_metrics",
    "-l": "local",
    "--local": "local",
    "-nd": "no_download",
    "--no_download": "no_download",
    "--nodownload": "no_download",
    "-nmu": "no_metrics_upload",
    "--no_metrics_upload": "no_metrics_upload",
    "-nau": "no_annotations_upload",
    "--no_annotations_upload": "no_annotations_upload",
    "--noexport": "no_annotations_upload",
    "--resume": "resume",
    "--check": "check",
    "--help": "help",
    "-h": "help",
    "--version": "version",
    "--describe": "describe",
}
IGNORED_SWITCHES = ("-t", "--tiling")
IGNORED_VALUES = _words(
    "--descriptor --batch_size --batch_id -tw --tile_width -th --tile_height -to --tile_overlap --tilefolder"
)
TRAIN_FLAGS = _words("--in --infolder --out --outfolder --gt --gtfolder --val --val_gt --resume --device")

RUN_FLAGS = (
    *(flag for flag in PATHS if not flag.startswith("--val")),
    *SWITCHES,
    *IGNORED_SWITCHES,
    *IGNORED_VALUES,
    "--only",
    "--device",
)

RESERVED = frozenset(flag.lstrip("-") for flag in (*RUN_FLAGS, *SERVER_FLAGS))
"""Names that no parameter may have."""


@dataclass(frozen=True)
class Segment:
    """Segment the images of a folder. All paths are absolute.

    Attributes
    ----------
    only : tuple of str
        Names of the images that are meant; empty for all of them.
    record : pathlib.Path or None
        The file of the run record, where it is not the usual one in `out_dir`.
    """

    in_dir: Path
    out_dir: Path
    gt_dir: Path | None
    metrics: bool
    device: str
    measurements: Path | None
    overlays: Path | None
    resume: bool
    params: Any
    warnings: tuple[str, ...]
    only: tuple[str, ...] = ()
    record: Path | None = None


@dataclass(frozen=True)
class Train:
    """Train a model on the pairs of two folders, validating on those of two others where they are given."""

    in_dir: Path
    gt_dir: Path
    out_dir: Path
    val_dir: Path | None
    val_gt_dir: Path | None
    resume: bool
    device: str
    params: Any
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Serve:
    """Segment the images of a project on a Cytomine server, as a BIAFLOWS job."""

    account: Account
    metrics: bool
    upload_annotations: bool
    upload_metrics: bool
    device: str
    params: Any
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """Try whether the method runs here."""

    device: str
    params: Any
    warnings: tuple[str, ...]


Request = Segment | Train | Serve | Check


def quick_command(argv: Sequence[str]) -> str | None:
    """``version``, ``help`` or ``describe`` when one is asked for, whatever else is in the line."""
    return next((SWITCHES[word] for word in argv if SWITCHES.get(word) in ("version", "help", "describe")), None)


def parse(argv: Sequence[str], method: Method) -> Request:
    """Understand a command line.

    Parameters
    ----------
    argv : sequence of str
        The words after the program's name. Relative paths are resolved against the current folder.
    method : Method
        Says which parameters there are.

    Raises
    ------
    NucsegError
        `USAGE`, for an unknown flag, a bad value or a missing folder.
    """
    return _Line(argv, method).request()


class _Line:
    def __init__(self, argv: Sequence[str], method: Method) -> None:
        self.train = list(argv[:1]) == ["train"]
        self.params_type = training_params(method) if self.train else method.params
        self.param_flags = flags(self.params_type)
        self.warnings: list[str] = []
        self.leading: list[str] = []
        self.ignored: list[str] = []
        self.server: dict[str, str | None] = {}
        self.paths: dict[str, Path] = {}
        self.switches: set[str] = set()
        self.only: list[str] = []
        self.device = "auto"
        self.begun = False
        self.values: dict[str, str] = {}
        words = list(argv[1:] if self.train else argv)
        while words:
            self._take(words.pop(0), words)

    def known(self) -> list[str]:
        return [*self.param_flags, *(TRAIN_FLAGS if self.train else RUN_FLAGS)]

    def _take(self, word: str, rest: list[str]) -> None:
        flag, equals, text = word.partition("=")
        value = text if equals else None
        if not _is_flag(word):
            self._loose(word)
            return
        self.begun = True
        if flag.startswith(PREFIX) or flag in SERVER_FLAGS:
            self.server[flag] = self._value(value, rest)
        elif flag not in self.known():
            self._unknown(flag)
        elif flag in self.param_flags:
            self.values[flag] = self._parameter(flag, self._value(value, rest))
        elif flag in PATHS:
            self._path(flag, self._value(value, rest))
        elif flag == "--only":
            self._only(self._value(value, rest))
        elif flag == "--device":
            self._device(self._value(value, rest))
        elif flag in IGNORED_VALUES:
            self.ignored.append(flag)
            self._value(value, rest)
        elif value is None or (value not in DEFAULT_WORDS and BOOLEANS.get(value.lower(), True)):
            self.switches.add(SWITCHES.get(flag, ""))
            self.ignored += [flag] * (flag in IGNORED_SWITCHES)

    def _value(self, value: str | None, rest: list[str]) -> str | None:
        if value is None and rest and not _is_flag(rest[0]):
            return rest.pop(0)
        return value

    def _parameter(self, flag: str, value: str | None) -> str:
        name = flag[2:]
        if value is None:
            if any(item.name == name and item.type is bool for item in parameters(self.params_type)):
                return "true"
            raise NucsegError(f"{flag} has no value", f"{flag}=VALUE, or leave it out for the default", USAGE)
        if value in (name.upper(), f"[{name.upper()}]"):
            self.warnings.append(f"{flag}: {value} is a value key that was not filled in; the default is taken")
            return ""
        return value

    def _path(self, flag: str, value: str | None) -> None:
        if value is None:
            raise NucsegError(f"{flag} names no path", f"{flag}=PATH", USAGE)
        if value in DEFAULT_WORDS:
            self.paths.pop(PATHS[flag], None)
        else:
            self.paths[PATHS[flag]] = Path(value).absolute()

    def _only(self, value: str | None) -> None:
        if value is None:
            raise NucsegError("--only names no image", "--only=IMAGE, with the name of a file in --in", USAGE)
        self.only += [value] * (value not in DEFAULT_WORDS)

    def _device(self, value: str | None) -> None:
        if value is not None and value not in (*DEVICES, *DEFAULT_WORDS):
            raise NucsegError(f"--device: {value!r} is not one of {', '.join(DEVICES)}", "--device auto", USAGE)
        self.device = value if value in DEVICES else "auto"

    def _loose(self, word: str) -> None:
        keys = {name.upper() for name in (flag[2:] for flag in self.param_flags)}
        bare = word.removeprefix("[").removesuffix("]")
        if bare in keys or bare.startswith("CYTOMINE_"):
            self.warnings.append(f"the value key {word} was not filled in; the default is taken")
        elif not self.begun:
            self.leading.append(word)
        else:
            raise NucsegError(
                f"the word {word!r} belongs to no flag",
                "put quotes around a path or value that holds blanks: --in '/data/my images'",
                USAGE,
            )

    def _unknown(self, flag: str) -> NoReturn:
        known = self.known()
        longer = [candidate for candidate in known if candidate.startswith(flag)]
        near = longer or get_close_matches(flag, known, n=1)
        hint = f"{near[0]}; --help lists all flags" if near else "--help lists all flags"
        raise NucsegError(f"the flag {flag} is unknown", hint, USAGE)

    def request(self) -> Request:
        params = parse_params(self.params_type, [f"{flag}={value}" for flag, value in self.values.items()])
        if "check" in self.switches:
            return Check(self.device, params, self._warnings())
        needed = ["in", "gt", "out"] if self.train else ["in", "out"]
        missing = [f"--{name}" for name in needed if name not in self.paths]
        if self.server and not self.paths and not self.train and not self.switches & {"local", "no_download"}:
            return Serve(
                account=account_of(self.server),
                metrics="no_metrics" not in self.switches,
                upload_annotations="no_annotations_upload" not in self.switches,
                upload_metrics="no_metrics_upload" not in self.switches,
                device=self.device,
                params=params,
                warnings=self._warnings(),
            )
        if missing:
            example = " ".join(f"--{name} FOLDER" for name in needed)
            raise NucsegError(f"{' and '.join(missing)} is missing", f"{'train ' * self.train}{example}", USAGE)
        if self.train:
            if ("val" in self.paths) != ("val_gt" in self.paths):
                raise NucsegError("--val and --val_gt go together", "--val FOLDER --val_gt FOLDER", USAGE)
            return Train(
                in_dir=self.paths["in"],
                gt_dir=self.paths["gt"],
                out_dir=self.paths["out"],
                val_dir=self.paths.get("val"),
                val_gt_dir=self.paths.get("val_gt"),
                resume="resume" in self.switches,
                device=self.device,
                params=params,
                warnings=self._warnings(),
            )
        gt = self.paths.get("gt")
        return Segment(
            in_dir=self.paths["in"],
            out_dir=self.paths["out"],
            gt_dir=gt,
            metrics=gt is not None and "no_metrics" not in self.switches,
            device=self.device,
            measurements=self.paths.get("measurements"),
            overlays=self.paths.get("overlays"),
            resume="resume" in self.switches,
            params=params,
            warnings=self._warnings(),
            only=tuple(self.only),
            record=self.paths.get("record"),
        )

    def _warnings(self) -> tuple[str, ...]:
        groups = (
            ("these words in front are ignored", self.leading),
            ("these flags have no meaning here and are ignored", self.ignored),
            ("folders are given, so the Cytomine server is not used", self.server if self.paths else ()),
        )
        return (*self.warnings, *(f"{text}: {' '.join(dict.fromkeys(words))}" for text, words in groups if words))


def _is_flag(word: str) -> bool:
    if not word.startswith("-") or word in ("-", "--"):
        return False
    try:
        float(word)
    except ValueError:
        return True
    return False


__all__ = ["RESERVED", "Check", "Request", "Segment", "Serve", "Train", "parse", "quick_command"]
