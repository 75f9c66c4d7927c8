"""What BIOMERO makes of a descriptor: the job script on the cluster, and the line that submits it.

    .venv-clients/bin/python tests/interoperability/clients/biomero_job.py descriptors/stardist3d.json FOLDER \
        [--data DATA] [--images IMAGES] [--version v0.1.0] [--root REPOSITORY] [prob_thresh=0.5 model='"general"' ...]

Parameters are NAME=JSON; those not named have their default, as OMERO's form sends them; `null` is a cleared field.
Writes FOLDER/jobs/<name>.sh and prints JSON:

    job          the script's path
    environment  variables of the submission, quoted as BIOMERO puts them behind `export NAME=`
    submission   `export ... && sbatch ...`, as BIOMERO sends it through SSH
    image        name of the container image, and `sif`, the file that the job looks for:
                 IMAGES/<name>/<file>

DATA (``my-scratch/data/job``) is where the job finds data/in, data/gt and data/out, usually below its current folder.
To run it without Slurm: ``bash -c 'export ...; bash JOB'`` in the folder that DATA and IMAGES begin in.

BIOMERO's own code does all of it; GitHub's answers come from the repository's files, and the cluster is this machine.
"""

import argparse
import io
import json
from pathlib import Path
from typing import Any

from biomero.slurm_client import SlurmClient
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

REPOSITORY = "https://github.com/nucseg/nucseg"


class Committed(HTTPAdapter):
    """Answers for GitHub: the files of a folder, at whatever version is asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """The file behind ``REPOSITORY/raw/<version>/``, not to be cached."""
        tail = str(request.url).removeprefix(f"{REPOSITORY}/raw/")
        file = self.root / tail.partition("/")[2]
        found = tail != request.url and file.is_file()
        body = io.BytesIO(file.read_bytes() if found else b"")
        raw = HTTPResponse(body, {"Cache-Control": "no-store"}, 200 if found else 404, preload_content=False)
        return self.build_response(request, raw)


class Client(SlurmClient):
    """BIOMERO's client, whose cluster is this machine."""

    root = Path(__file__).resolve().parents[3]

    def get_or_create_github_session(self) -> Any:
        """BIOMERO's session, with our files behind it."""
        session = super().get_or_create_github_session()
        session.mount("https://github.com/", Committed(self.root))
        return session

    def run(self, command: str, **kwargs: Any) -> Any:
        """Run here."""
        return self.local(command, **kwargs)

    def put(self, local: io.StringIO, remote: str) -> None:
        """Write here."""
        Path(remote).write_text(local.read(), encoding="utf-8")


def make_job(
    descriptor: str, folder: Path, data: str, images: str, version: str, values: dict[str, Any]
) -> dict[str, Any]:
    """The job of a descriptor, see the module."""
    name = Path(descriptor).stem
    where, _, last = data.rpartition("/")
    client = Client(
        host="localhost",
        config_only=True,
        slurm_data_path=where or ".",
        slurm_images_path=images,
        slurm_script_path=str(folder),
        slurm_model_repos={name: f"{REPOSITORY}/tree/{version}/{descriptor}"},
        slurm_model_paths={name: name},
        slurm_model_jobs={name: f"jobs/{name}.sh"},
        slurm_model_jobs_params={name: []},
    )
    client.update_slurm_scripts(generate_jobs=True)
    filled = {key: entry["default"] for key, entry in client.get_workflow_parameters(name).items()} | values
    command, environment = client.get_workflow_command(name, version, last, **filled)
    exports = " ".join(f"{key}={value}" for key, value in sorted(environment.items()))
    return {
        "job": str(folder / "jobs" / f"{name}.sh"),
        "environment": environment,
        "submission": f"export {exports} && {command}",
        "image": client.slurm_model_images[name],
        "sif": environment["SINGULARITY_IMAGE"].strip('"'),
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("descriptor", help="path of the descriptor in the repository")
    parser.add_argument("folder", type=Path)
    parser.add_argument("values", nargs="*", metavar="NAME=JSON")
    parser.add_argument("--data", default="my-scratch/data/job")
    parser.add_argument("--images", default="my-scratch/singularity_images/workflows")
    parser.add_argument("--version", default="v0.1.0", help="tag of the repository and of the image")
    parser.add_argument("--root", type=Path, default=Client.root)
    args = parser.parse_intermixed_args()
    values = {name: json.loads(text) for name, _, text in (word.partition("=") for word in args.values)}
    Client.root = args.root
    job = make_job(args.descriptor, args.folder, args.data, args.images, args.version, values)
    print(json.dumps(job))


if __name__ == "__main__":
    main()
