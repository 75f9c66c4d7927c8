import os

import pytest

from nucseg import machine


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


MEMINFO = {"proc/meminfo": "MemTotal:       8000000 kB\nMemAvailable:    6000000 kB\n"}


def test_memory_of_the_machine_when_nothing_limits_it(tmp_path):
    write(tmp_path, MEMINFO)
    assert machine.available_memory(tmp_path) == 6_000_000 * 1024


def test_memory_limit_of_version_2_with_the_file_cache_counted_as_free(tmp_path):
    group = "sys/fs/cgroup/system.slice/job"
    write(
        tmp_path,
        MEMINFO
        | {
            "proc/self/cgroup": "0::/system.slice/job\n",
            f"{group}/memory.max": "max\n",
            "sys/fs/cgroup/system.slice/memory.max": "1000000000\n",
            "sys/fs/cgroup/system.slice/memory.current": "700000000\n",
            "sys/fs/cgroup/system.slice/memory.stat": "anon 5\ninactive_file 200000000\n",
        },
    )
    assert machine.available_memory(tmp_path) == 500_000_000


def test_memory_limit_of_version_1_in_a_container_that_sees_only_its_own_group(tmp_path):
    write(
        tmp_path,
        MEMINFO
        | {
            "proc/self/cgroup": "4:memory:/docker/0123\n1:cpu,cpuacct:/docker/0123\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "300000000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "100000000\n",
        },
    )
    assert machine.available_memory(tmp_path) == 200_000_000


def test_a_limit_that_is_exceeded_leaves_nothing(tmp_path):
    files = {"memory.max": "100\n", "memory.current": "150\n"}
    write(tmp_path, MEMINFO | {"proc/self/cgroup": "0::/\n"} | {f"sys/fs/cgroup/{k}": v for k, v in files.items()})
    assert machine.available_memory(tmp_path) == 0


def test_cores_are_those_of_the_affinity(tmp_path):
    assert machine.usable_cores(tmp_path) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n"},
        {
            "proc/self/cgroup": "1:cpu,cpuacct:/a\n",
            "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "150000\n",
            "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
        },
    ],
    ids=["v2", "v1"],
)
def test_cores_are_cut_by_the_quota_but_never_to_none(files, tmp_path):
    write(tmp_path, files)
    assert machine.usable_cores(tmp_path) == 1


def test_no_quota_is_no_limit(tmp_path):
    write(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"})
    assert machine.usable_cores(tmp_path) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    "variables", [{"SLURM_MEM_PER_NODE": "3000"}, {"SLURM_MEM_PER_CPU": "1500", "SLURM_CPUS_ON_NODE": "2"}]
)
def test_the_memory_of_a_slurm_job_counts_where_its_control_group_is_out_of_sight(tmp_path, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    write(tmp_path, MEMINFO | {"proc/self/statm": "500000 1000 800 1 0 700 0\n"})
    assert machine.available_memory(tmp_path) == (3000 << 20) - 1000 * os.sysconf("SC_PAGE_SIZE")


def test_a_slurm_job_of_a_whole_node_has_no_limit_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "0")
    write(tmp_path, MEMINFO)
    assert machine.available_memory(tmp_path) == 6_000_000 * 1024
