"""Write descriptors/ for every method of images/, in every dialect; with --check, only say what differs."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from nucseg.descriptors import DIALECTS, biomero
from nucseg.method import list_methods, load_method, root_folder


def main(argv: list[str] | None = None) -> int:
    """Write or compare the descriptors; 1 when one differs (--check) or is faulty."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not up to date")
    parser.add_argument("--folder", type=Path, default=root_folder() / "descriptors", help="where the files are")
    args = parser.parse_args(argv)
    methods = {name: load_method(name) for name in list_methods()}
    wanted = {args.folder / "biomero" / "slurm-config.ini": biomero.site_config(methods.values())}
    faults = []
    for name, method in methods.items():
        for key, dialect in DIALECTS.items():
            descriptor = dialect.make(method)
            faults += [f"{name} ({key}): {fault}" for fault in (dialect.check(descriptor) if dialect.check else ())]
            path = args.folder / dialect.file.format(name)
            wanted[path] = write(descriptor, path.suffix)
    if args.check:
        faults += [f"{path} is not up to date: make descriptors" for path in wanted if _content(path) != wanted[path]]
        there = {path for dialect in DIALECTS.values() for path in args.folder.glob(dialect.file.format("*"))}
        extra = [path for path in sorted(there - set(wanted)) if not path.name.endswith(".schema.json")]
        faults += [f"{path} belongs to no method" for path in extra]
    else:
        for path, text in wanted.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    print("\n".join(faults), end="\n" * bool(faults), file=sys.stderr)
    return 1 if faults else 0


def write(descriptor: dict[str, Any], suffix: str) -> str:
    """A descriptor as the text of a ``.json`` or ``.yaml`` file; floats keep their decimal point."""
    if suffix == ".json":
        return json.dumps(descriptor, indent=2, ensure_ascii=False) + "\n"
    return yaml.safe_dump(descriptor, sort_keys=False, allow_unicode=True, width=110)


def _content(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
