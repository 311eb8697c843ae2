"""A private SLURM of one node on this machine: munge, slurmctld and slurmd, started as root without systemd or cgroups.

The system's own munge and SLURM are not touched: keys, sockets, ports and state lie in one folder. The GPUs are
character devices that nobody opens, which is enough for SLURM to allocate them. As on many clusters there is no
accounting, so `sacct` knows nothing. `cred_expire` is short because a requeued job waits for its credential to expire.
"""

import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
DEBIAN = "munge slurmctld slurmd slurm-client slurm-wlm-basic-plugins"

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/node
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SlurmdParameters=config_overrides
MpiDefault=none
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=100000
CommunicationParameters=NoAddrCache
ReturnToService=2
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=high Nodes={host} PriorityTier=10 PreemptMode=OFF
"""


def missing() -> str:
    """Return why no cluster can be started here, or an empty string."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"no {', '.join(absent)}; on Debian: apt-get install --no-install-recommends {DEBIAN}"
    return "" if os.geteuid() == 0 else "starting a SLURM cluster needs root"


class Cluster:
    """`start` it, run commands with `environment`, `stop` it. Two CPUs, two GPUs, and the partitions low and high."""

    def __init__(self, folder: Path, cpus: int = 2, gpus: int = 2) -> None:
        self.folder, self.cpus, self.gpus = folder, cpus, gpus
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def start(self) -> None:
        folder, host = self.folder, socket.gethostname().partition(".")[0]
        for name in ("controller", "node"):
            (folder / name).mkdir(parents=True)
        folder.chmod(0o755)
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        controller_port, node_port = _free_ports(2)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 // 2
        conf = CONF.format(folder=folder, host=host, controller_port=controller_port, node_port=node_port,
                           cpus=self.cpus, memory=memory, gpus=self.gpus)  # fmt: skip
        (folder / "slurm.conf").write_text(conf)
        for i in range(self.gpus):
            os.mknod(folder / f"gpu{i}", stat.S_IFCHR | 0o600, os.makedev(1, 3))  # /dev/null's numbers
        (folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File={folder}/gpu[0-{self.gpus - 1}]\n")
        self.call(
            "munged", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed",
        )  # fmt: skip
        self.call("slurmctld", "-c")
        self.call("slurmd", "-N", host)
        self.wait_for_node()

    def wait_for_node(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = subprocess.run(
                ["sinfo", "-h", "-o", "%T"], env=self.environment, capture_output=True, text=True, check=False
            )
            if found.stdout.split() and set(found.stdout.split()) <= {"idle", "mixed", "allocated"}:
                return
            time.sleep(0.2)
        logs = "\n".join(path.read_text()[-2000:] for path in self.folder.glob("*.log"))
        raise RuntimeError(f"SLURM did not come up:\n{logs}")

    def stop(self) -> None:
        """End every job and what `start` started, by the process ids in its own files."""
        subprocess.run(
            ["scancel", "--signal=KILL", "--full", "--user=root"], env=self.environment, check=False, timeout=30
        )
        time.sleep(0.5)
        for name in ("slurmd", "slurmctld", "munged"):
            try:
                number = int((self.folder / f"{name}.pid").read_text())
            except (OSError, ValueError):
                continue
            os.kill(number, signal.SIGTERM)
            deadline = time.monotonic() + 10
            while Path(f"/proc/{number}").exists():
                if time.monotonic() > deadline:
                    os.kill(number, signal.SIGKILL)
                time.sleep(0.1)

    def call(self, *command: str) -> str:
        """Run a command and return its output; if it fails, the exception has the output."""
        found = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        if found.returncode:
            raise RuntimeError(f"{' '.join(command)}: {found.stdout}{found.stderr}")
        return found.stdout

    def jobs(self, *options: str) -> list[str]:
        """Return squeue's lines, one per task of an array, for finished jobs too."""
        return self.call(
            "squeue", "--noheader", "--array", "--states=all", "--format=%i %j %P %T", *options
        ).splitlines()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports
