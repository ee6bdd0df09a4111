"""Efficiency of a checkpoint: how long one text takes, how many pass in a second, how much memory it needs."""

from __future__ import annotations

import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import checkpoint as checkpoints
import command_line
import corpus
import metrics
import results


def main() -> None:
    """Reads the options, measures, writes the result and prints one line."""
    options = _options()
    trained = checkpoints.load_or_stop(options.checkpoint)
    texts = [words for words, _ in corpus.draw(options.dataset, options.samples, options.seed)]
    for _ in range(options.warmup_runs):
        _run(trained.model, texts)
    latencies = []
    for _ in range(options.benchmark_runs):
        latencies.extend(_run(trained.model, texts))
    latencies.sort()
    figures = {"p%d" % percent: 1000.0 * metrics.percentile(latencies, percent) for percent in (50, 90, 99)}
    figures["mean"] = 1000.0 * metrics.mean(latencies)
    throughput, memory = 1.0 / metrics.mean(latencies), _peak_memory_mib()
    results.write(options.output_file, "efficiency", {
        "dataset": options.dataset, "seed": options.seed, "epoch": trained.epoch, "examples": len(texts),
        "warmup_runs": options.warmup_runs, "benchmark_runs": options.benchmark_runs, "latency_ms": figures,
        "throughput_examples_per_second": throughput, "peak_memory_mib": memory})
    print("%s: latency p50 %.3f ms, p90 %.3f ms, p99 %.3f ms, %.0f examples/s, peak memory %s" % (
        options.dataset, figures["p50"], figures["p90"], figures["p99"], throughput,
        "unknown" if memory is None else "%.1f MiB" % memory))


def _run(model, texts: list[list[int]]) -> list[float]:
    """The seconds that each text takes, one after the other."""
    seconds = []
    for words in texts:
        began = time.perf_counter()
        model.predict(words)
        seconds.append(time.perf_counter() - began)
    return seconds


def _peak_memory_mib():
    """The most memory this process has held, in MiB, or None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _options():
    parser = command_line.OneLineParser(description=__doc__)
    parser.add_argument("--ckpt", "--checkpoint", dest="checkpoint", default=os.environ.get("JUMAR_CHECKPOINT"),
                        help="folder of the checkpoint (JUMAR_CHECKPOINT)")
    parser.add_argument("--dataset", required=True, type=command_line.one_of(corpus.HELD_OUT_SETS, "held-out set"),
                        help="one of " + ", ".join(corpus.HELD_OUT_SETS))
    parser.add_argument("--samples", type=command_line.whole_number, default=100, help="texts (%(default)s)")
    parser.add_argument("--warmup-runs", type=command_line.count, default=3, help="runs not measured (%(default)s)")
    parser.add_argument("--benchmark-runs", type=command_line.whole_number, default=10, help="(%(default)s)")
    parser.add_argument("--seed", type=command_line.count, default=42, help="draws the texts (%(default)s)")
    parser.add_argument("--output-file", required=True, help="JSON file for the result")
    return parser.parse_args()


if __name__ == "__main__":
    command_line.run(main)
