from pathlib import Path

import pytest

from nucseg.atomic import atomic_path
from nucseg.errors import ENVIRONMENT, NucsegError


def test_the_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    with atomic_path(target) as part:
        part.write_text("half")
        assert part.parent == tmp_path
        assert part.suffix == ".part"
        assert not target.exists()
    assert target.read_text() == "half"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_when_the_body_fails(tmp_path: Path, error: type[BaseException]) -> None:
    def fail_half_way() -> None:
        with atomic_path(tmp_path / "a") as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        fail_half_way()
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_an_error_of_the_environment(tmp_path: Path) -> None:
    with pytest.raises(NucsegError, match="cannot write") as caught, atomic_path(tmp_path / "none" / "a") as part:
        part.write_text("x")
    assert caught.value.exit_code == ENVIRONMENT
    assert caught.value.hint


@pytest.mark.parametrize("name", ["x" * 255, "細胞" * 40 + ".tif"])
def test_names_as_long_as_the_file_system_allows(tmp_path: Path, name: str) -> None:
    with atomic_path(tmp_path / name) as part:
        part.write_text("x")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_long_names_that_begin_alike_are_written_at_the_same_time(tmp_path: Path) -> None:
    first, second = (tmp_path / f"{'embryo ' * 20}{number}.tif" for number in (1, 2))
    with atomic_path(first) as part, atomic_path(second) as other:
        part.write_text("one")
        other.write_text("two")
    assert (first.read_text(), second.read_text()) == ("one", "two")
