#!/usr/bin/env python3
"""Power loss on a real file system: every completion that was told must be there when it is mounted again.

    tests/power/lose_power.py JUMAR ext4|xfs|btrfs [--rounds N] [--by shutdown|blocks] [--without-syncs]

Two ways to lose power:

shutdown  A run on a loop device is cut off at a random moment, with everything that has not reached the device dropped: the
          shutdown ioctl of ext4 and xfs (FS_IOC_SHUTDOWN, flag 2: do not flush the log). A round is one loss of power.
blocks    Every write and every flush of the device is logged while a run goes on (qemu-storage-daemon's driver blklogwrites,
          exported over FUSE under a loop device; the log's format is that of the kernel's dm-log-writes). Afterwards disks are
          made of the log: all writes up to one, and all up to a flush with a random half of those after it. A round is one
          such disk. For btrfs, which has no such ioctl, this is the way; it works for all.

--without-syncs lets jumar believe that it synced (strace skips the calls): then something must be lost, or this proves nothing.

Needs root, loop devices, mkfs.FS; qemu-storage-daemon and FUSE for `blocks`. The last line of output is JSON. Exit codes:
0 nothing lost, 1 something lost, 77 cannot be done here (the reason on standard error).
"""

import argparse
import ctypes
import fcntl
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

SIZES = {"ext4": 64 << 20, "xfs": 320 << 20, "btrfs": 128 << 20}
MKFS = {"ext4": ["-q", "-F", "-E", "nodiscard"], "xfs": ["-q", "-f", "-K"], "btrfs": ["-q", "-f", "-K"]}
FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
PUNCH_HOLE_KEEP_SIZE = 3
# Most phases are nothing but their completion; some start a command.
PIPELINE = """for i in 0..%d { let k = i; phase(`p${k}`, || { if k %% 10 == 9 { shell(["true"]); } }); }\n"""


class CannotBeDone(Exception):
    pass


def call(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotBeDone(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def unmount(place):
    # A command of a phase may live a moment longer than the host that was killed.
    for _ in range(40):
        if subprocess.run(["umount", place], capture_output=True).returncode == 0:
            return
        time.sleep(0.05)
    call("umount", "-l", place)


def told_in(text):
    return re.findall(r"\] (\w+) completed in", text)


class Host:
    """How jumar is started and asked."""

    def __init__(self, options):
        self.jumar = os.path.abspath(options.jumar)
        self.prefix = []
        if options.without_syncs:
            skipped = "inject=fsync,fdatasync,sync_file_range:retval=0"
            self.prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync,sync_file_range", "-e", skipped]

    def start(self, directory, name, **streams):
        known = os.path.exists(f"{directory}/{name}/.experiment_state") or os.path.exists(f"{directory}/{name}/.experiment_state.d")
        words = ["resume", name] if known else ["run", "p.rhai", "--run-dir", name]
        return subprocess.Popen([*self.prefix, self.jumar, *words], cwd=directory, stdin=subprocess.DEVNULL, start_new_session=True, **streams)

    def lost(self, run, told):
        """Which of the phases that were told are not completed in this run."""
        shown = subprocess.run([self.jumar, "status", "--json", run], capture_output=True, text=True)
        phases = json.loads(shown.stdout).get("phases", []) if shown.stdout.startswith("{") else []
        return sorted(set(told) - {phase["name"] for phase in phases if phase["status"] == "completed"})

    def go_on(self, run):
        """Why the run cannot be gone on with to its end, if so. One that lost power before anything of it was there begins anew."""
        directory, name = os.path.split(run)
        done = self._run(directory, "resume", name)
        if done.returncode != 0 and "no .experiment_state" in done.stderr:
            done = self._run(directory, "run", "p.rhai", "--run-dir", name)
        return None if done.returncode == 0 else f"it goes on with {done.returncode}: {done.stderr[-400:]}"

    def _run(self, directory, *words):
        return subprocess.run([self.jumar, *words], capture_output=True, text=True, cwd=directory)


class Result:
    def __init__(self):
        self.rounds = self.told = self.looked_for = 0
        self.faults = []

    def add(self, where, told, lost):
        self.rounds += 1
        self.looked_for += len(told)
        if lost:
            self.faults.append(f"{where}: told {len(told)}, lost {len(lost)}: {lost[:5]}")


def by_shutdown(options, host, work, cleanup):
    """Each round goes on with the run, or begins a new one when it is done."""
    image, disk, output = f"{work}/image", f"{work}/disk", f"{work}/output"
    with open(image, "wb") as made:
        made.truncate(SIZES[options.fs])
    os.mkdir(disk)
    call(f"mkfs.{options.fs}", *MKFS[options.fs], image)
    mount = lambda: call("mount", "-o", "loop", image, disk)
    mount()
    cleanup.append(lambda: subprocess.run(["umount", "-l", disk], capture_output=True))
    with open(f"{disk}/p.rhai", "w") as script:
        script.write(PIPELINE % 1500)
    call("sync", "-f", disk)
    result, told, number = Result(), [], 0
    for round_number in range(options.rounds):
        name = f"run{number}"
        with open(output, "w") as stream:
            child = host.start(disk, name, stdout=subprocess.DEVNULL, stderr=stream)
            # Mostly when it is at work, and now and then while it starts.
            if round_number % 5 != 4:
                begun = time.monotonic()
                while not told_in(open(output).read()) and child.poll() is None and time.monotonic() < begun + 10:
                    time.sleep(0.005)
            time.sleep(random.uniform(0, 0.4))
            # The host goes first: in the very moment of the ioctl the kernel lets an fdatasync succeed whose data is lost, as a
            # program of ten lines shows, and a real loss of power leaves nobody to hear of it.
            try:
                os.killpg(child.pid, 9)
            except ProcessLookupError:
                pass
            ended = child.wait() == 0
        directory = os.open(disk, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        except OSError as error:
            raise CannotBeDone(f"{options.fs} has no shutdown ioctl: {error}") from error
        finally:
            os.close(directory)
        unmount(disk)
        mount()
        with open(output) as stream:
            news = told_in(stream.read())
        told += news
        result.told += len(news)
        lost = host.lost(f"{disk}/{name}", told)
        result.add(f"round {round_number}", told, lost)
        if lost or ended or len(set(told)) >= 1500:
            number, told = number + 1, []
    return result


def punch(file, start, length):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate(file.fileno(), PUNCH_HOLE_KEEP_SIZE, ctypes.c_int64(start), ctypes.c_int64(length))


class BlockLog:
    """The log of a device: entries (first byte, length, flags, place of the data, end of the entry)."""

    FLUSH, FUA, DISCARD = 1, 2, 4

    def __init__(self, path):
        self.file = open(path, "rb")
        _magic, _version, count, self.sector = struct.unpack("<QQQI", self.file.read(28))
        self.entries, place = [], self.sector
        for _ in range(count):
            self.file.seek(place)
            first, sectors, flags, _length = struct.unpack("<QQQQ", self.file.read(32))
            data, length = place + self.sector, sectors * self.sector
            place = data + (0 if flags & self.DISCARD else length)
            self.entries.append((first * self.sector, length, flags, data, place))

    def apply(self, entry, image):
        first, length, flags, data, _ = entry
        if flags & self.DISCARD:
            punch(image, first, length)
        elif length:
            self.file.seek(data)
            image.seek(first)
            image.write(self.file.read(length))


def by_blocks(options, host, work, cleanup):
    """One run is logged; then disks are made of its log."""
    if not shutil.which("qemu-storage-daemon"):
        raise CannotBeDone("there is no qemu-storage-daemon")
    if not os.path.exists("/dev/fuse"):
        raise CannotBeDone("there is no FUSE")
    phases = max(12, options.rounds // 4)
    size, disk, log_file = SIZES[options.fs], f"{work}/disk", f"{work}/log"
    os.mkdir(disk)
    for name, length in (("base", size), ("log", 0), ("export", 0)):
        with open(f"{work}/{name}", "wb") as made:
            made.truncate(length)
    daemon = subprocess.Popen(
        ["qemu-storage-daemon",
         "--blockdev", f"driver=file,filename={work}/base,node-name=base,discard=unmap",
         "--blockdev", f"driver=file,filename={log_file},node-name=log",
         "--blockdev", "driver=blklogwrites,file=base,log=log,log-sector-size=512,node-name=logged",
         "--export", f"type=fuse,id=export,node-name=logged,mountpoint={work}/export,writable=on,allow-other=off"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    cleanup.append(daemon.kill)
    for _ in range(100):
        if os.stat(f"{work}/export").st_size == size:
            break
        if daemon.poll() is not None:
            raise CannotBeDone(f"qemu-storage-daemon: {daemon.stderr.read().strip()}")
        time.sleep(0.05)
    else:
        raise CannotBeDone("qemu-storage-daemon exports nothing")
    loop = call("losetup", "-f", "--show", f"{work}/export")
    cleanup.append(lambda: subprocess.run(["losetup", "-d", loop], capture_output=True))
    call(f"mkfs.{options.fs}", *MKFS[options.fs], loop)
    call("mount", loop, disk)
    cleanup.append(lambda: subprocess.run(["umount", "-l", disk], capture_output=True))
    with open(f"{disk}/p.rhai", "w") as script:
        script.write(PIPELINE % phases)
    call("sync", "-f", disk)
    position = lambda: os.stat(log_file).st_size
    before, told = position(), []
    child = host.start(disk, "run", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in child.stderr:
        # What was told by now rests on what stands in the log by now.
        told += [(position(), name) for name in told_in(line)]
    if child.wait() != 0:
        raise CannotBeDone(f"the run ended with {child.returncode}")
    unmount(disk)
    call("losetup", "-d", loop)
    daemon.terminate()
    daemon.wait()

    log = BlockLog(log_file)
    entries = log.entries
    start = sum(1 for entry in entries if entry[4] <= before)
    kinds = [("prefix", at) for at in range(start, len(entries) + 1)] + [("half", at) for at in range(start + 1, len(entries) + 1)]
    random.shuffle(kinds)
    chosen = sorted(kinds[:options.rounds], key=lambda kind: kind[1])
    flushes = sum(1 for entry in entries[start:] if entry[2] & log.FLUSH)
    result = Result()
    result.told = len(told)
    result.log = f"{len(entries) - start} entries, {flushes} flushes"
    with open(f"{work}/now", "w+b", buffering=0) as now, open(f"{work}/flushed", "w+b", buffering=0) as flushed:
        for image in (now, flushed):
            image.truncate(size)
        applied = synced = 0
        for kind, at in chosen:
            for entry in entries[applied:at]:
                log.apply(entry, now)
            applied = at
            last_flush = max((i + 1 for i in range(start, at) if entries[i][2] & log.FLUSH), default=start)
            for entry in entries[synced:last_flush]:
                log.apply(entry, flushed)
            synced = last_flush
            trial = f"{work}/trial"
            if kind == "prefix":
                rests_on = at
                call("cp", "--sparse=always", f"{work}/now", trial)
            else:
                rests_on = last_flush
                call("cp", "--sparse=always", f"{work}/flushed", trial)
                with open(trial, "r+b", buffering=0) as image:
                    for entry in entries[last_flush:at]:
                        if entry[2] & log.FUA or random.random() < 0.5:
                            log.apply(entry, image)
            limit = entries[rests_on - 1][4]
            known = [name for place, name in told if place <= limit]
            where = f"{kind} of {at - start} writes"
            if options.fs == "btrfs":
                # The kernel remembers the newest disk of a file system, and refuses an older one at another loop device.
                subprocess.run(["btrfs", "device", "scan", "--forget"], capture_output=True)
            mounted = subprocess.run(["mount", "-o", "loop", trial, disk], capture_output=True, text=True)
            if mounted.returncode != 0:
                result.add(where, known, [f"cannot be mounted: {mounted.stderr.strip()}"])
                continue
            lost = host.lost(f"{disk}/run", known)
            if not lost and result.rounds % 8 == 0 and os.path.exists(f"{disk}/run/.experiment_state.d"):
                trouble = host.go_on(f"{disk}/run")
                lost = [trouble] if trouble else []
            result.add(where, known, lost)
            unmount(disk)
    return result


def main():
    parser = argparse.ArgumentParser(description="Loses power under a run and looks what is left.")
    parser.add_argument("jumar")
    parser.add_argument("fs", choices=SIZES)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--by", choices=["shutdown", "blocks"])
    parser.add_argument("--without-syncs", action="store_true")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    options.by = options.by or ("blocks" if options.fs == "btrfs" else "shutdown")
    random.seed(options.seed)
    cleanup = []
    work = tempfile.mkdtemp(prefix="lose_power.")
    cleanup.append(lambda: shutil.rmtree(work, ignore_errors=True))
    began = time.monotonic()
    try:
        if os.geteuid() != 0:
            raise CannotBeDone("this needs root")
        for program in [f"mkfs.{options.fs}", "losetup", *(["strace"] if options.without_syncs else [])]:
            if not shutil.which(program):
                raise CannotBeDone(f"there is no {program}")
        way = by_shutdown if options.by == "shutdown" else by_blocks
        result = way(options, Host(options), work, cleanup)
    except CannotBeDone as why:
        print(f"{options.fs} by {options.by}: {why}", file=sys.stderr)
        return 77
    finally:
        for step in reversed(cleanup):
            step()
    for fault in result.faults[:10]:
        print(fault)
    print(json.dumps({
        "fs": options.fs, "by": options.by, "without_syncs": options.without_syncs, "rounds": result.rounds, "told": result.told,
        "looked_for": result.looked_for,
        "rounds_that_lost": len(result.faults), "log": getattr(result, "log", None), "seed": options.seed,
        "seconds": round(time.monotonic() - began, 1)}))
    return 1 if result.faults else 0


sys.exit(main())
