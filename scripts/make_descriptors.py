"""Write descriptors/<method>.json for every method of images/; with --check, only say what differs."""

import argparse
import sys
from pathlib import Path

from nucseg.descriptor import check_descriptor, descriptor_text, make_descriptor
from nucseg.method import list_methods, load_method, root_folder


def main(argv: list[str] | None = None) -> int:
    """Write or compare the descriptors; 1 when one differs (--check) or is faulty."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not up to date")
    parser.add_argument("--folder", type=Path, default=root_folder() / "descriptors", help="where the files are")
    args = parser.parse_args(argv)
    wanted = {}
    faults = []
    for name in list_methods():
        method = load_method(name)
        faults += [f"{name}: {fault}" for fault in check_descriptor(make_descriptor(method))]
        wanted[args.folder / f"{name}.json"] = descriptor_text(method)
    if args.check:
        faults += [f"{path} is not up to date: make descriptors" for path in wanted if _content(path) != wanted[path]]
        extra = sorted(set(args.folder.glob("*.json")) - set(wanted))
        faults += [f"{path} belongs to no method" for path in extra if not path.name.endswith(".schema.json")]
    else:
        args.folder.mkdir(parents=True, exist_ok=True)
        for path, text in wanted.items():
            path.write_text(text, "utf-8")
    print("\n".join(faults), end="\n" * bool(faults), file=sys.stderr)
    return 1 if faults else 0


def _content(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
