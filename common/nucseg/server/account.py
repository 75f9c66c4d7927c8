"""Which server, which project, in whose name: what a BIAFLOWS server puts into the command line of a job."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nucseg.errors import USAGE, NucsegError
from nucseg.params import DEFAULT_WORDS

PREFIX = "--cytomine_"
_SPELLINGS = {
    "--cytomine_host": ("--host",),
    "--cytomine_public_key": ("--public_key", "--publicKey"),
    "--cytomine_private_key": ("--private_key", "--privateKey"),
    "--cytomine_id_project": ("--cytomine_project_id", "--project_id", "--id_project", "--idProject"),
    "--cytomine_id_software": ("--cytomine_software_id", "--software_id", "--id_software", "--idSoftware"),
}
SERVER_FLAGS = {
    **{flag: flag for flag in _SPELLINGS},
    **{other: flag for flag, others in _SPELLINGS.items() for other in others},
    **dict.fromkeys(("--base_path", "--basePath", "--verbose", "--log_level"), ""),
}
"""Every flag of the Cytomine client that does not begin with `PREFIX`, and some that do, and what it means."""


@dataclass(frozen=True)
class Account:
    """Where a job comes from.

    Attributes
    ----------
    host : str
        With or without ``http://`` or ``https://``.
    public_key, private_key : str
        Of the user, or of the job's own user.
    project, software : int
        Numbers on the server.
    """

    host: str
    public_key: str
    private_key: str = field(repr=False)
    project: int
    software: int


def account_of(values: Mapping[str, str | None]) -> Account:
    """The account that flags tell.

    Raises
    ------
    NucsegError
        `USAGE`, when one is missing or is no number.

    Examples
    --------
    >>> keys = {"--public_key": "p", "--cytomine_private_key": "secret"}
    >>> account_of({"--host": "h", **keys, "--id_project": "3", "--cytomine_id_software": "4"})
    Account(host='h', public_key='p', project=3, software=4)
    """
    told = {SERVER_FLAGS.get(flag, ""): value for flag, value in values.items() if _is_filled_in(flag, value)}
    missing = [flag for flag in _SPELLINGS if flag not in told]
    if missing:
        raise NucsegError(
            f"a Cytomine server is named, but {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            "name all five, or, to segment a folder, --infolder FOLDER --outfolder FOLDER --local",
            USAGE,
        )
    host, public, private, project, software = (str(told[flag]) for flag in _SPELLINGS)
    if not (project.isdecimal() and software.isdecimal()):
        raise NucsegError(
            f"--cytomine_id_project {project} and --cytomine_id_software {software} are not both numbers",
            "give the numbers that the server's pages show",
            USAGE,
        )
    return Account(host, public, private, int(project), int(software))


def _is_filled_in(flag: str, value: str | None) -> bool:
    key = flag.removeprefix("--").upper()
    return value is not None and value not in (*DEFAULT_WORDS, key, f"[{key}]")
