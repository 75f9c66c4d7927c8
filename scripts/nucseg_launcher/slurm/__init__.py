"""Runs on a cluster: Slurm schedules, Apptainer runs the container, and what is done is decided by the files in OUT."""
