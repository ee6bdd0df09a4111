#!/bin/bash
# Power loss on a real file system: a run on a loop device is cut off at a random moment, with everything that has not
# reached the device dropped (the shutdown ioctl of ext4 and xfs, flag 2: do not flush the log). Then the file system
# is mounted again, and every completion that was told must be there.
#
#   tests/power/shutdown.sh PATH/TO/jumar [ROUNDS]
#
# Needs root, loop devices, mkfs.ext4 and mkfs.xfs (btrfs has no such ioctl and is skipped), python3. Not part of the usual tests.
set -u
jumar=$(readlink -f "${1:?usage: shutdown.sh PATH/TO/jumar [ROUNDS]}")
rounds=${2:-20}
[ "$(id -u)" = 0 ] || { echo "SKIPPED: this needs root"; exit 0; }

work=$(mktemp -d)
mounted=
clean() { [ -n "$mounted" ] && umount -l "$mounted" 2>/dev/null; rm -rf "$work"; }
trap clean EXIT

power_off() { # everything that is not on the device is gone
    python3 - "$1" <<'PYTHON'
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))
PYTHON
}

bad=0
for kind in ext4 xfs btrfs; do
    command -v "mkfs.$kind" >/dev/null || { echo "SKIPPED: $kind: there is no mkfs.$kind"; continue; }
    image=$work/$kind.img; disk=$work/$kind
    truncate -s 400M "$image"; mkdir -p "$disk"
    case $kind in ext4) options=-Fq ;; *) options=-fq ;; esac
    "mkfs.$kind" $options "$image" || { echo "SKIPPED: $kind: mkfs failed"; continue; }
    mount -o loop "$image" "$disk" 2>/dev/null || { echo "SKIPPED: $kind cannot be mounted here"; continue; }
    mounted=$disk
    cat >"$disk/p.rhai" <<'RHAI'
for i in 0..400 { phase(`p${i}`, || { shell(["true"]); }); }
RHAI
    sync -f "$disk"
    told=$work/$kind.told; : >"$told"
    for round in $(seq "$rounds"); do
        cd "$disk" || exit 1
        if [ -e run/.experiment_state ] || [ -e run/.experiment_state.d ]; then set -- resume run; else set -- run p.rhai --run-dir run; fi
        "$jumar" "$@" 2>>"$told" >/dev/null &
        host=$!
        sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
        # The host goes first: in the very moment of the ioctl the kernel lets an fdatasync succeed whose data is lost,
        # as a program of ten lines shows, and a real loss of power leaves nobody to hear of it.
        kill -9 $host; wait $host 2>/dev/null
        if ! power_off "$disk" 2>/dev/null; then
            echo "SKIPPED: $kind has no shutdown ioctl"; cd /; break
        fi
        cd /
        umount "$disk" || umount -l "$disk"
        mount -o loop "$image" "$disk" || { echo "$kind round $round: cannot be mounted again"; bad=$((bad + 1)); break; }
        "$jumar" status --json "$disk/run" 2>/dev/null | python3 -c '
import json, re, sys
told = set(re.findall(r"\] (\w+) completed in", open(sys.argv[1]).read()))
text = sys.stdin.read()
phases = json.loads(text)["phases"] if text else []
lost = sorted(told - {p["name"] for p in phases if p["status"] == "completed"})
print(f"told {len(told)}, lost {len(lost)}", lost[:5])
sys.exit(bool(lost))' "$told" >"$work/verdict" || { echo "$kind round $round: $(cat "$work/verdict")"; bad=$((bad + 1)); }
    done
    echo "$kind: $(cat "$work/verdict" 2>/dev/null)"
    rm -f "$work/verdict"
    umount "$disk" 2>/dev/null; mounted=
done
[ $bad = 0 ] && echo "nothing was lost" || { echo "$bad rounds lost something"; exit 1; }
