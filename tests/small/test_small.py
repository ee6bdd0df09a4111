"""The experiment's own check: python3 tests/small/test_small.py

Each test's name is the sentence it proves. The scripts are run as a user runs them, as processes.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "small")
sys.path.insert(0, SCRIPTS)

import bootstrap
import corpus
import linear_probe
import tables
import token_compression

PROGRAMS = ("train.py", "evaluate.py", "bootstrap.py", "linear_probe.py", "token_budget.py", "token_compression.py",
            "efficiency.py", "aggregate.py")
SHORT = ("--samples", "120", "--epochs", "5")


def environment(more=None):
    kept = {name: value for name, value in os.environ.items()
            if name not in ("JUMAR_CHECKPOINT", "SMALL_MEMORY_MB", "OUTPUT_DIR", "DATASET", "SAMPLES",
                            "PYTHONDONTWRITEBYTECODE")}
    return dict(kept, **(more or {}))


def script(name, *options, env=None, status=0):
    """Runs a script; returns its output and its errors, and fails unless it exits with `status`."""
    done = subprocess.run([sys.executable, os.path.join(SCRIPTS, name), *map(str, options)], env=environment(env),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == status, "%s exited with %d, not %d\n%s%s" % (
        name, done.returncode, status, done.stdout, done.stderr)
    return done.stdout, done.stderr


def content(folder):
    """The bytes of every file in a checkpoint folder."""
    found = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            found[name] = file.read()
    return found


def result(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return json.load(file)


class InAFolder(unittest.TestCase):
    """A test with a folder of its own, and one training that all share."""

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp()
        cls.trained = os.path.join(cls.shared, "trained")
        cls.last = os.path.join(cls.trained, "epoch4")
        script("train.py", "--out", cls.trained, *SHORT)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.shared)

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.out = os.path.join(self.folder, "out")


class Training(InAFolder):
    def test_the_same_seed_gives_the_same_checkpoint_to_the_last_byte(self):
        script("train.py", "--out", self.out, *SHORT)
        self.assertEqual(content(self.last), content(os.path.join(self.out, "epoch4")))

    def test_another_seed_or_learning_rate_gives_other_metrics(self):
        base = result(self.last, "metrics.json")["history"][-1]["loss"]
        for option, value in (("--seed", 7), ("--learning-rate", 0.2)):
            script("train.py", "--out", self.out, *SHORT, option, value)
            self.assertNotEqual(base, result(self.out, "epoch4", "metrics.json")["history"][-1]["loss"])
            shutil.rmtree(self.out)

    def test_a_training_killed_at_any_epoch_ends_with_the_same_bytes(self):
        for stop_after in (0, 2):
            running = subprocess.Popen(
                [sys.executable, os.path.join(SCRIPTS, "train.py"), "--out", self.out, *SHORT],
                env=environment(), stdout=subprocess.PIPE, universal_newlines=True)
            for line in running.stdout:
                if line.startswith("epoch %d " % stop_after):
                    running.send_signal(signal.SIGKILL)
                    break
            running.stdout.close()
            self.assertEqual(running.wait(), -signal.SIGKILL)
            said, _ = script("train.py", "--out", self.out, *SHORT)
            self.assertIn("going on after epoch", said)
            self.assertEqual(content(self.last), content(os.path.join(self.out, "epoch4")))
            self.assertEqual(sorted(os.listdir(self.out)), ["epoch%d" % epoch for epoch in range(5)])
            shutil.rmtree(self.out)

    def test_a_torn_checkpoint_is_passed_over_and_written_again(self):
        def truncate_model(folder):
            with open(os.path.join(folder, "model.json"), "r+b") as file:
                file.truncate(2000)

        def shorten_table(folder):
            path = os.path.join(folder, "model.json")
            model = result(path)
            model["table"] = base64.b64encode(base64.b64decode(model["table"])[:-16]).decode("ascii")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(model, file)

        def lose_optimizer(folder):
            os.unlink(os.path.join(folder, "optimizer.json"))

        for tear in (truncate_model, shorten_table, lose_optimizer):
            shutil.copytree(self.trained, self.out)
            tear(os.path.join(self.out, "epoch4"))
            os.mkdir(os.path.join(self.out, ".epoch4.partial-1"))
            said, _ = script("train.py", "--out", self.out, *SHORT)
            self.assertIn("torn checkpoint", said)
            self.assertIn("going on after epoch 3", said)
            self.assertEqual(content(self.last), content(os.path.join(self.out, "epoch4")))
            self.assertEqual(sorted(os.listdir(self.out)), ["epoch%d" % epoch for epoch in range(5)])
            shutil.rmtree(self.out)

    def test_the_checkpoint_that_the_environment_names_is_the_one_gone_on_from(self):
        named = os.path.join(self.trained, "epoch1")
        said, _ = script("train.py", "--out", self.out, *SHORT, env={"JUMAR_CHECKPOINT": named})
        self.assertIn("going on after epoch 1 of " + named, said)
        self.assertEqual(sorted(os.listdir(self.out)), ["epoch2", "epoch3", "epoch4"])
        self.assertEqual(content(self.last), content(os.path.join(self.out, "epoch4")))

    def test_a_finished_training_says_so_and_changes_nothing(self):
        before = os.stat(self.last).st_mtime_ns
        said, _ = script("train.py", "--out", self.trained, *SHORT)
        self.assertIn("all 5 epochs are there", said)
        self.assertEqual(before, os.stat(self.last).st_mtime_ns)

    def test_a_checkpoint_of_another_seed_is_refused(self):
        _, errors = script("train.py", "--out", self.trained, *SHORT, "--seed", 7, status=2)
        self.assertIn("was trained with seed 42, not 7", errors)

    def test_within_64_mib_batches_16_and_8_die_of_memory_error_and_4_passes(self):
        limit = {"SMALL_MEMORY_MB": "64"}
        for batch in (16, 8):
            _, errors = script("train.py", "--out", self.out, *SHORT, "--batch-size", batch, env=limit, status=1)
            self.assertIn("Traceback", errors)
            self.assertEqual(errors.strip().splitlines()[-1], "MemoryError")
            self.assertEqual(os.listdir(self.out), [])
        script("train.py", "--out", self.out, *SHORT, "--batch-size", 4, env=limit)
        self.assertTrue(os.path.isdir(os.path.join(self.out, "epoch4")))

    def test_within_128_mib_batch_16_dies_and_8_passes(self):
        limit = {"SMALL_MEMORY_MB": "128"}
        script("train.py", "--out", self.out, *SHORT, "--batch-size", 16, env=limit, status=1)
        script("train.py", "--out", self.out, *SHORT, "--batch-size", 8, env=limit)


class Measuring(InAFolder):
    def test_a_wrong_option_or_a_missing_checkpoint_is_one_line_and_status_2(self):
        for name, *options in (
                ("train.py",), ("train.py", "--out", self.out, "--samples", "0"),
                ("train.py", "--out", self.out, "--learning-rate", "nan"),
                ("evaluate.py", "--ckpt", self.out, "--dataset", "clean", "--output-file", self.out),
                ("evaluate.py", "--ckpt", self.last, "--dataset", "sst2", "--output-file", self.out),
                ("linear_probe.py", "--ckpt", self.last, "--dataset", "clean", "--cv-folds", 1, "--output-dir", "x"),
                ("token_budget.py", "--ckpt", self.last, "--dataset", "clean"),
                ("efficiency.py", "--dataset", "clean", "--output-file", self.out),
                ("bootstrap.py", "--results-dir", self.out, "--output-file", self.out),
                ("aggregate.py", "--results-dir", self.folder, "--output-file", self.out)):
            _, errors = script(name, *options, status=2)
            self.assertEqual(len(errors.splitlines()), 1, errors)
            self.assertTrue(errors.startswith(name + ": "), errors)

    def test_an_evaluation_repeats_exactly_and_differs_by_seed(self):
        def evaluated(name, seed):
            path = os.path.join(self.folder, name)
            script("evaluate.py", "--ckpt", self.last, "--dataset", "noisy", "--seed", seed, "--output-file", path)
            return result(path)
        self.assertEqual(evaluated("a.json", 123), evaluated("b.json", 123))
        self.assertNotEqual(evaluated("a.json", 123)["correct"], evaluated("c.json", 456)["correct"])

    def test_compression_takes_its_three_settings_from_the_environment(self):
        script("token_compression.py", env={"JUMAR_CHECKPOINT": self.last, "OUTPUT_DIR": self.out,
                                            "DATASET": "short", "SAMPLES": "50"})
        self.assertEqual(os.listdir(self.out), ["short.json"])
        self.assertEqual(result(self.out, "short.json")["examples"], 50)

    def test_aggregation_names_what_is_missing_and_invents_nothing(self):
        for dataset, seed in (("clean", 42), ("clean", 123), ("short", 42)):
            script("evaluate.py", "--ckpt", self.last, "--dataset", dataset, "--seed", seed,
                   "--output-file", os.path.join(self.out, "%s_seed%d.json" % (dataset, seed)))
        script("token_budget.py", "--ckpt", self.last, "--dataset", "clean", "--output-dir", self.out + "/budget")
        with open(os.path.join(self.out, "broken.json"), "w", encoding="utf-8") as file:
            file.write("{")
        final = os.path.join(self.folder, "final_results.json")
        script("aggregate.py", "--results-dir", self.out, "--output-file", final)
        combined = result(final)
        self.assertEqual(combined["missing_phases"], {
            "phase1_statistical": ["statistics"], "phase2_linear_probe": ["linear_probe"],
            "phase3_baselines": ["compression"], "phase4_efficiency": ["efficiency"]})
        self.assertEqual(combined["incomplete"], [
            "token_budget: not measured for short", "evaluation: short lacks seed 123",
            "cannot be read: %s" % os.path.join(self.out, "broken.json")])
        self.assertEqual(set(combined["datasets"]["short"]), {"model"})
        self.assertEqual(set(combined["datasets"]["clean"]), {"model", "token_budget"})
        for ending in ("md", "tex"):
            with open(os.path.join(self.folder, "final_results." + ending), encoding="utf-8") as file:
                self.assertIn("phase4_efficiency", file.read())

    def test_no_script_leaves_bytecode_beside_itself(self):
        copied = os.path.join(self.folder, "scripts")
        shutil.copytree(SCRIPTS, copied, ignore=shutil.ignore_patterns("__pycache__"))
        before = sorted(os.listdir(copied))
        for name in PROGRAMS:
            subprocess.run([sys.executable, os.path.join(copied, name), "--help"], env=environment(),
                           stdout=subprocess.DEVNULL, check=True)
        self.assertEqual(sorted(os.listdir(copied)), before)


class Figures(unittest.TestCase):
    def test_a_set_is_drawn_alike_with_one_seed_and_its_start_does_not_depend_on_its_size(self):
        self.assertEqual(corpus.draw("clean", 50, 1)[:20], corpus.draw("clean", 20, 1))
        self.assertNotEqual(corpus.draw("clean", 20, 1), corpus.draw("clean", 20, 2))
        self.assertNotEqual(corpus.draw("clean", 20, 1), corpus.draw("noisy", 20, 1))

    def test_the_corpus_is_the_same_on_every_python(self):
        total = sum((place + 1) * word for words, _ in corpus.draw("train", 30, 42) for place, word in enumerate(words))
        self.assertEqual(total, CORPUS_SUM)

    def test_the_bootstrap_interval_is_that_of_the_binomial_distribution(self):
        marks = "1" * 300 + "0" * 100
        summary = bootstrap.summarize([{"correct": marks, "majority_correct": "10" * 200, "seed": 1, "accuracy": 0.75,
                                        "majority_accuracy": 0.5, "macro_f1": 0.7, "loss": 1.0}],
                                      4000, corpus.Random("test").random)
        half_width = 1.96 * (0.75 * 0.25 / 400) ** 0.5
        self.assertAlmostEqual(summary["accuracy_interval"][0], 0.75 - half_width, delta=0.006)
        self.assertAlmostEqual(summary["accuracy_interval"][1], 0.75 + half_width, delta=0.006)
        # Of 400 texts the model alone is right on 150, the baseline alone on 50.
        gain_width = 1.96 * ((0.5 - 0.25 ** 2) / 400) ** 0.5
        self.assertAlmostEqual(summary["gain"], 0.25)
        self.assertAlmostEqual(summary["gain_interval"][0], 0.25 - gain_width, delta=0.01)
        self.assertAlmostEqual(summary["gain_interval"][1], 0.25 + gain_width, delta=0.01)
        self.assertLess(summary["p_value"], 0.001)

    def test_a_model_no_better_than_the_baseline_is_not_called_significant(self):
        summary = bootstrap.summarize([{"correct": "10" * 100, "majority_correct": "01" * 100, "seed": 1,
                                        "accuracy": 0.5, "majority_accuracy": 0.5, "macro_f1": 0.5, "loss": 1.0}],
                                      2000, corpus.Random("test").random)
        self.assertGreater(summary["p_value"], 0.5)

    def test_every_fold_has_its_share_of_every_label(self):
        labels = [0] * 50 + [1] * 25 + [2] * 10
        folds = linear_probe.stratified_folds(labels, 5, corpus.Random("test").random)
        self.assertEqual(sorted(index for fold in folds for index in fold), list(range(85)))
        for fold in folds:
            self.assertEqual([sum(labels[index] == label for index in fold) for label in range(3)], [10, 5, 2])

    def test_the_probe_finds_a_linear_rule(self):
        stream = corpus.Random("test").random
        features = [[stream() - 0.5, stream() - 0.5, 1.0] for _ in range(200)]
        labels = [(x > 0) + 2 * (y > 0) for x, y, _ in features]
        scores = linear_probe.cross_validate(features, labels, linear_probe.stratified_folds(labels, 5, stream))
        self.assertGreater(min(scores), 0.8)

    def test_the_probe_is_judged_on_texts_it_was_not_fitted_to(self):
        stream = corpus.Random("test").random
        features = [[stream() - 0.5 for _ in range(60)] for _ in range(100)]
        labels = [int(stream() * 4) for _ in features]
        scores = linear_probe.cross_validate(features, labels, linear_probe.stratified_folds(labels, 5, stream))
        self.assertLess(max(scores), 0.6)

    def test_compression_keeps_the_words_that_tell_most_in_their_order(self):
        compressor = object.__new__(token_compression.Compressor)
        compressor.information, compressor.budget = [0.1, 0.9, 0.0, 0.5], 2
        self.assertEqual(compressor([3, 2, 0, 1, 2]), [3, 1])
        self.assertEqual(compressor([2]), [2])

    def test_a_word_that_decides_the_label_tells_most(self):
        texts = [([0, 5], 0), ([0, 6], 0), ([1, 5], 1), ([1, 6], 1)]
        information = token_compression.information_of_words(texts)
        self.assertAlmostEqual(information[0], 0.6931, places=4)
        self.assertAlmostEqual(information[5], 0.0)

    def test_the_best_accuracy_of_a_row_is_bold_and_what_was_not_measured_is_a_dash(self):
        combined = {"datasets": {"a_b": {"model": {"accuracy": 0.8}, "linear_probe": {"accuracy": 0.9}}},
                    "missing_phases": {}, "incomplete": []}
        self.assertIn(r"a\_b & 0.800 & \textbf{0.900} & - & - & - \\", tables.latex(combined))
        row = [cell.strip() for cell in tables.markdown(combined).splitlines()[2].strip("|").split("|")]
        self.assertEqual(row, ["a_b", "0.800", "**0.900**", "-", "-", "-"])


CORPUS_SUM = 5520180

if __name__ == "__main__":
    unittest.main()
