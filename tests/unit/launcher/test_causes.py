"""What endings and error texts of other programs mean to a user."""

import pytest

from nucseg_launcher.causes import Ending, error_lines, explain_ending, explain_engine_error

TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n'


@pytest.mark.parametrize(
    ("ending", "code", "cause", "hint"),
    [
        (Ending(137, True, 300 * 2**20), 4, "its limit of 300 MB", "--memory"),
        (Ending(137, True), 4, "out of memory", "--memory"),
        # A killed worker: the main program lives on and ends with a code of its own.
        (Ending(1, True, 2**30, "error: a.tif: BrokenProcessPool"), 4, "its limit of 1.0 GB", "memory"),
        (Ending(137), 4, "SIGKILL", "--resume"),
        (Ending(143), 4, "SIGTERM", "--resume"),
        (Ending(135), 4, "SIGBUS", "disk"),
        (Ending(139), 4, "SIGSEGV", "--device cpu"),
        (Ending(132), 4, "processor", "processor"),
        (Ending(127), 4, "no nucseg program", "build"),
        (Ending(77), 4, "exit code 77", "log"),
        (Ending(3, errors="error: no GPU here\n  try: --device cpu"), 3, "no GPU here", "--device cpu"),
        (Ending(2, errors="error: the flag --x is unknown. Try: --help"), 2, "the flag --x is unknown", "--help"),
        (Ending(1), 1, "some images", "read"),
        (Ending(1, errors=TRACEBACK + "MemoryError"), 4, "out of memory", "memory"),
        (Ending(1, errors=TRACEBACK + "torch.OutOfMemoryError: CUDA out of memory."), 4, "GPU", "--device cpu"),
        (Ending(1, errors=TRACEBACK + "OSError: [Errno 28] No space left on device"), 4, "disk is full", "--resume"),
        (Ending(1, errors=TRACEBACK + "KeyError: 'x'\n"), 4, "KeyError: 'x'", "report"),
    ],
)
def test_endings(ending, code, cause, hint):
    failure = explain_ending(ending)
    assert failure is not None
    assert failure.exit_code == code
    assert cause in failure.cause
    assert hint in failure.hint


def test_a_kill_under_a_memory_limit_is_taken_for_its_doing():
    failure = explain_ending(Ending(137, oom_killed=False, memory_limit=2**30))
    assert failure is not None
    assert "most likely at its limit of 1.0 GB" in failure.cause


def test_a_good_end_has_no_cause():
    assert explain_ending(Ending(0)) is None


@pytest.mark.parametrize(
    ("text", "cause", "hint"),
    [
        (
            "('Connection aborted.', FileNotFoundError(2, 'No such file or directory'))",
            "Docker does not answer",
            "start",
        ),
        ("[Errno 111] Connection refused", "Docker does not answer", "Docker Desktop"),
        ("('Connection aborted.', PermissionError(13, 'Permission denied'))", "does not let this user in", "usermod"),
        ('could not select device driver "" with capabilities: [[gpu]]', "cannot give a GPU", "toolkit"),
        ("nvidia-container-cli: initialization error: load library failed", "failed to hand in the GPU", "toolkit"),
        ("requirement error: unsatisfied condition: cuda>=12.8", "driver is too old", "update"),
        ("write /var/lib/docker/tmp/x: no space left on device", "disk of the container engine", "prune"),
        ("dial tcp: lookup registry-1.docker.io: no such host", "cannot be reached", "network"),
        ("net/http: TLS handshake timeout", "cannot be reached", "network"),
        ("manifest for nucseg/x:v1 not found: manifest unknown", "no such image", "build"),
        ("pull access denied for nucseg/x, repository does not exist", "no such image", "build"),
        ("toomanyrequests: You have reached your pull rate limit", "too many requests", "docker login"),
        ('exec: "nucseg-run": executable file not found in $PATH', "not a nucseg image", "build or pull"),
        (
            'invalid mount config for type "bind": stat /nfs/home/u/images: permission denied',
            "cannot read one of the folders",
            "disk of this machine",
        ),
        (
            "error while creating mount source path '/nfs/x': mkdir /nfs/x: permission denied",
            "cannot read one of the folders",
            "--engine",
        ),
        ("UnixHTTPConnectionPool(host='localhost'): Read timed out. (read timeout=60)", "stopped answering", "restart"),
        ("something new", "something new", "doctor"),
    ],
)
def test_engine_errors(text, cause, hint):
    failure = explain_engine_error(text)
    assert failure.exit_code == 3
    assert cause in failure.cause
    assert hint in failure.hint


@pytest.mark.parametrize(
    ("engine", "text", "cause", "hint"),
    [
        ("podman", "OCI runtime error: crun: cgroups in hybrid mode not supported", "control groups", "runc"),
        ("podman", "setrlimit `RLIMIT_NOFILE`: Operation not permitted", "limits", "default_ulimits"),
        ("podman", 'no subuid ranges found for user "x" in /etc/subuid', "user ids", "usermod"),
        ("podman", "unresolvable CDI devices nvidia.com/gpu=all", "cannot give a GPU", "nvidia-ctk"),
        ("podman", "something new", "something new", "doctor"),
        (
            "apptainer",
            "Failed to create user namespace: not allowed to create user namespace",
            "user namespaces",
            "administrators",
        ),
        (
            "apptainer",
            "fuse: failed to open /dev/fuse: Permission denied",
            "cannot be mounted",
            "/dev/fuse",
        ),
        ("apptainer", "could not open image x.sif: image format not recognized", "damaged", "nucseg sif"),
        ("apptainer", "kernel reported a bad superblock for squashfs image partition", "damaged", "nucseg sif"),
        ("apptainer", "while applying cgroups config: cannot use cgroups", "limit memory", "--mem"),
        ("apptainer", "write /tmp/bundle: no space left on device", "disk", "APPTAINER_TMPDIR"),
        ("apptainer", "something new", "something new", "doctor"),
    ],
)
def test_errors_of_other_engines(engine, text, cause, hint):
    failure = explain_engine_error(text, engine)
    assert failure.exit_code == 3
    assert cause in failure.cause
    assert hint in failure.hint


def test_error_lines_are_read_with_the_hint_behind_or_below():
    text = "note\nerror: b.tif: it is empty. Really. Try: another\nerror: no hint\nerror: two\n  try: this\nend"
    assert error_lines(text) == [("b.tif: it is empty. Really", "another"), ("no hint", ""), ("two", "this")]
