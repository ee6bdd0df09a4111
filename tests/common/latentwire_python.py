"""A stand-in for python3 in a LatentWire repository: writes down how it was called, leaves what the program would leave."""
import json
import os
import sys

argv = sys.argv[1:]
root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if "-c" in argv[:2]:
    # A look at which packages are (not) installed.
    missing = os.path.join(root, "missing")
    print(open(missing).read() if os.path.exists(missing) else "")
    sys.exit(0)
name = os.path.basename(argv[0]).removesuffix(".py")
with open(os.path.join(root, "calls.jsonl"), "a") as calls:
    calls.write(json.dumps({"argv": argv, "env": dict(os.environ)}) + "\n")
broken = os.path.join(root, "broken", name)
if os.path.exists(broken):
    sys.exit(int(open(broken).read()))
options = {option: value for option, value in zip(argv, argv[1:]) if option.startswith("--")}
made = options.get("--output_file")
if name == "train":
    made = os.path.join(options["--output_dir"], "epoch%d" % (int(options["--epochs"]) - 1), "model.bin")
if made and not os.path.exists(os.path.join(root, "makes_nothing")):
    os.makedirs(os.path.dirname(made), exist_ok=True)
    with open(made, "w") as file:
        file.write("{}")
print(name, "done")
