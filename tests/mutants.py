"""Take each protection out of a copy of the project and see that its test notices: python tests/mutants.py

Prints one CSV row a protection: what was changed, the test, and whether it failed, as it must.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parent.parent
MASTER, RUN_ONE, STUDY, SNAKEFILE = (
    "notebooks/squeezenet_mnist.ipynb", "workflow/run_one.py", "workflow/study.py", "workflow/Snakefile",
)
MUTANTS = [  # protection, file, text there, text instead, test
    ("a run counts only with exit code 0 and a record", RUN_ONE, "if code == 0 and read_record(notebook):", "if True:", "test_the_kernel_is_killed[in-an-epoch]"),
    ("a run counts only with exit code 0 and a record", RUN_ONE, "if code == 0 and read_record(notebook):", "if True:", "test_papermill_is_killed"),
    ("a run counts only with exit code 0 and a record", RUN_ONE, "if code == 0 and read_record(notebook):", "if True:", "test_the_disk_is_full[2000000-weights]"),
    ("the exit code counts, not the record alone", RUN_ONE, "if code == 0 and read_record(notebook):", "if read_record(notebook) or read_record(notebook) is None:", "test_the_kernel_is_killed[while-the-record-is-written]"),
    ("the cause of a dead kernel in words", RUN_ONE, 'r"DeadKernelError"', 'r"OtherError"', "test_the_kernel_is_killed[before-training]"),
    ("the cause of a dead kernel in words", RUN_ONE, 'r"DeadKernelError"', 'r"OtherError"', "test_the_kernel_is_killed[in-evaluation]"),
    ("a lock a run", RUN_ONE, "    held = lock(", "    held = open(", "test_snakemake_is_killed_and_its_orphan_goes_on"),
    ("no lock that outlives a batch", "workflow/profiles/default/config.yaml", "nolock: true", "#", "test_two_batches_at_once"),
    ("a signal ends papermill and is named", RUN_ONE, "        signal.signal(number, stop)", "        pass", "test_a_signal_to_all[ctrl-c]"),
    ("a signal ends papermill and is named", RUN_ONE, "        signal.signal(number, stop)", "        pass", "test_a_signal_to_all[sigterm]"),
    ("a notebook with an error is no result", "notebooks/summary.ipynb", '{\\"state\\": \\"failed\\"', '{\\"state\\": \\"finished\\"', "test_a_cell_takes_too_long"),
    ("the output folder is tried first", STUDY, "    refuse_unwritable(folder)", "", "test_a_read_only_output_folder"),
    ("a full disk in words", RUN_ONE, "No space left on device|", "", "test_a_small_disk_is_full"),
    ("paths are quoted or relative", SNAKEFILE, "exec python workflow/run_one.py", 'exec python " + workflow.basedir + "/run_one.py', "test_a_path_with_spaces_and_letters_beyond_ascii"),
    ("Keras' settings are set, not inherited", MASTER, 'keras.config.set_floatx(\\"float32\\")', "pass", "test_settings_in_the_home_folder_change_nothing"),
    ("parameter files are looked at before", MASTER, "for file in files_of_papermill(words):", "for file in []:", "test_plain_papermill_refuses_a_wrong_file"),
    ("unknown options of the batch are refused", SNAKEFILE, "    studies.refuse_options(config)", "", "test_the_batch_refuses_a_wrong_option"),
    ("MNIST's pixels are compared with digests", MASTER, "    if wrong:", "    if False:", "test_one_changed_pixel_is_noticed"),
    ("no pickle", MASTER, "allow_pickle=False", "allow_pickle=True", "test_pickled_mnist_is_refused"),
    ("the seed is set right before the network", MASTER, "keras.utils.set_random_seed(settings.seed)", "pass", "test_a_repetition_is_equal_to_the_bit"),
    ("the order comes from the seed alone", MASTER, "np.random.SeedSequence([seed, epoch])", "np.random.SeedSequence()", "test_a_repetition_is_equal_to_the_bit"),
    ("runs of other parameters are not mixed", STUDY, "    refuse_mixture(runs, folder)", "", "test_a_study_runs_skips_fails_and_recovers"),
]
PARTS = ("notebooks", "params", "paper", "workflow", "tests", "pytest.ini", "environment.yml", "requirements.txt")


def survives(file, old, new, test):
    """Whether the test still passes when the text is replaced; a mutant that cannot be made is an error."""
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            copy = shutil.copytree if (PROJECT / part).is_dir() else shutil.copy
            copy(PROJECT / part, Path(folder, part))
        path = Path(folder, file)
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (file, old, text.count(old))
        path.write_text(text.replace(old, new), encoding="utf-8")
        if path.suffix == ".ipynb":
            json.loads(path.read_text())
        name, _, case = test.partition("[")
        tests = [p for p in Path(folder, "tests").glob("test_[2367]_*.py") if f"def {name}(" in p.read_text()]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-m", "slow or not slow", f"{tests[0]}::{test}"],
            cwd=folder, capture_output=True, text=True, env=os.environ | {"TMPDIR": folder},
        )
        assert done.returncode in (0, 1), done.stdout
        return done.returncode == 0


if __name__ == "__main__":
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["protection taken out", "file", "test", "noticed"])
    missed = 0
    for protection, file, old, new, test in MUTANTS:
        noticed = not survives(file, old, new, test)
        missed += not noticed
        writer.writerow([protection, file, test, "yes" if noticed else "NO"])
        sys.stdout.flush()
    sys.exit(missed)
