"""Parameter files and command lines that must be refused, beside words that the message must hold.

FILES: (words, contents of files). NAMES: names of files that cannot name a run.
"""

FILES = [
    (["optimizer = ", "'adam', 'rmsprop' or 'sgd'"], ["optimizer: {name: adam}", "optimizer: [adam, sdg]"]),
    (["did you mean adam?"], ["optimizer: Adm", "optimizer: ADAM"]),
    (["write it without quotes, and with a point: 0.1"], ["learning_rate: '0.1'", "learning_rate: 0,1"]),
    (["epochs = ", "digits only, without quotes, point"], [
        "epochs: 2.5", "epochs: 30.0", "epochs: 1e3", "epochs: '30'", "epochs: 1:30"]),
    (["Input should be"], ["learning_rate: 0", "learning_rate: .nan", "epochs: 1000000", "seed: -1"]),  # our bounds
    (["0 runs", "1 to 1000"], ["epochs: []"]),
    (["1000000 runs", "1 to 1000"], [f"seed: {[*range(1000)]}\nepochs: {[*range(1, 1001)]}"]),
    (["names two"], ["epochs: [3, 3]"]),
    (["dataset = 'mnst'", "did you mean mnist?"], ["dataset: mnst"]),
    (["batch_norm = ", "write true or false"], ["batch_norm: 1", "batch_norm: 'true'", "batch_norm: yes"]),
    (["weights_path", "saves each run's weights itself", "delete"], ["weights_path: model.weights.h5"]),
    (["is not a parameter", "did you mean learning_rate?"], ["lerning_rate: 0.1", "learning rate: 0.1"]),
    (["is not a parameter"], [
        "colour: blue", "backend: jax", "5: 3", "? [epochs, seed]\n: 3",
        "__import__('os').system('touch pwned') or epochs: 3", "'import os; os.system(\"touch pwned\"); epochs': 3"]),
    (['duplicate key "epochs"', "line 3"], ["epochs: 1\nseed: 1\nepochs: 2"]),
    (["merge (<<)", "one parameter in a line"], ["epochs: 3\n<<: {epochs: 5}", "{<<: {epochs: 5, epochs: 6}}"]),
    (["directive (%)"], ["%YAML 1.1\n---\nepochs: 010\n"]),
    (["too large"], [10000 * "# a comment\n"]),
    (["should hold lines like 'optimizer: adam'"], ["", "# epochs: 3\n", "- optimizer: adam\n", "adam\n"]),
    (["cannot be read", "line 2"], ["epochs: 3\n\tseed: 1\n", "epochs: [3\n"]),
    (["cannot be read", "position 13", "save it as UTF-8"], ["optimizer: ad\xe4m\n".encode("latin-1")]),
    (["cannot be read", "recursion"], [f"seed: {3000 * '['}{3000 * ']'}"]),
    (["cannot be read", "python/object"], ["epochs: !!python/object/apply:os.system ['touch pwned']\n"]),
    (["runs: let it be"], [  # a billion laughs
        "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk"))]),
]
NAMES = ["a{b}", "&amp;<b>", "long" + 100 * "g", "not-utf-8-\udcff"]
# what is typed after `snakemake --config`, what must be said
BATCH = [
    ("study=nothing", ["params/nothing: no parameter files there", "paper"]),
    ("study=../params/paper", ["study=../params/paper", "without '..'"]),
    ("name=/tmp/elsewhere", ["name=/tmp/elsewhere", "not beginning with '/'"]),
    ("name=reference/mine", ["name=reference/mine", "official"]),
    ("overlay=absent.yaml", ["absent.yaml", "No such file"]),
    ("overlays=params/overlays/demo.yaml", ["overlays", "did you mean overlay"]),
    ("progress=3", ["progress", "there are study, runs, overlay, seeds, name"]),
    ("runs=04-adma", ["runs=04-adma", "no run has this word in its name", "04-adam-0.0001"]),
    ("seeds=a", ["seed = 'a'", "valid integer"]),
    *((f"{option}=", [f"{option}=: a value is empty"]) for option in ("study", "name", "overlay", "seeds", "runs")),
]
