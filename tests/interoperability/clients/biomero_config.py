"""What BIOMERO takes from the ``slurm-config.ini`` that is named; GitHub answers from the repository's files."""

import json
import sys

from biomero_job import Client

client = Client.from_config(configfile=sys.argv[1], config_only=True)
workflows = {
    name: {
        "repository": client.slurm_model_repos[name],
        "image": client.slurm_model_images[name],
        "job": client.slurm_model_jobs[name],
        "options": client.slurm_model_jobs_params[name],
    }
    for name in client.slurm_model_paths
}
print(json.dumps(workflows))
