"""Parameter files and command lines that must be refused, each with words that its message must hold.

FILES: name: (content, words, whether a JSON Schema can see the fault). OWN_WORDS: of these, those that plain papermill
refuses in its own words, because it cannot read them and so never starts the notebook.
"""

FILES = {
    # values
    "optimizer-misspelt": ("optimizer: Adm", ["optimizer = 'Adm'", "'adam', 'rmsprop' or 'sgd'", "did you mean 'adam'"], True),
    "optimizer-in-capitals": ("optimizer: SGD", ["optimizer = 'SGD'", "did you mean 'sgd'"], True),
    "optimizer-a-list": ("optimizer: [adam, sgd]", ["optimizer = ['adam', 'sgd']", "'adam', 'rmsprop' or 'sgd'"], True),
    "optimizer-a-mapping": ("optimizer: {name: adam}", ["optimizer = {'name': 'adam'}"], True),
    "rate-1e-4": ("learning_rate: 1e-4", ["learning_rate = '1e-4'", "without quotes and as 0.0001"], True),
    "rate-in-quotes": ("learning_rate: '0.1'", ["learning_rate = '0.1'", "without quotes"], True),
    "rate-with-comma": ("learning_rate: 0,1", ["learning_rate = '0,1'", "valid number"], True),
    "rate-nan": ("learning_rate: .nan", ["learning_rate = nan", "finite number"], False),
    "rate-infinite": ("learning_rate: .inf", ["learning_rate = inf", "finite number"], True),
    "rate-negative": ("learning_rate: -0.1", ["learning_rate = -0.1", "greater than 0"], True),
    "rate-zero": ("learning_rate: 0", ["learning_rate = 0", "greater than 0"], True),
    "rate-huge": ("learning_rate: 100.0", ["learning_rate = 100.0", "less than or equal to 1"], True),
    "rate-true": ("learning_rate: true", ["learning_rate = True (bool)", "valid number"], True),
    "rate-empty": ("learning_rate:", ["learning_rate = None", "valid number"], True),
    "epochs-zero": ("epochs: 0", ["epochs = 0", "greater than or equal to 1"], True),
    "epochs-negative": ("epochs: -3", ["epochs = -3", "greater than or equal to 1"], True),
    "epochs-half": ("epochs: 2.5", ["epochs = 2.5", "valid integer"], True),
    "epochs-true": ("epochs: true", ["epochs = True (bool)", "valid integer"], True),
    "epochs-in-quotes": ("epochs: '30'", ["epochs = '30' (str)", "write it without quotes"], True),
    "epochs-none": ("epochs: none", ["epochs = 'none'", "valid integer"], True),
    "epochs-huge": ("epochs: 1000000", ["epochs = 1000000", "less than or equal to 1000"], True),
    "batch-zero": ("batch_size: 0", ["batch_size = 0", "greater than or equal to 1"], True),
    "batch-huge": ("batch_size: 100000", ["batch_size = 100000", "less than or equal to 4096"], True),
    "seed-negative": ("seed: -1", ["seed = -1", "greater than or equal to 0"], True),
    "seed-too-large": ("seed: 4294967296", ["seed = 4294967296", "less than 4294967296"], True),
    "seed-a-date": ("seed: 2025-04-16", ["seed = ", "valid integer"], True),
    "dataset-misspelt": ("dataset: mnst", ["dataset = 'mnst'", "did you mean 'mnist'"], True),
    "dataset-no": ("dataset: no", ["dataset = False (bool)", "'mnist' or 'digits'"], True),
    "split-zero": ("validation_split: 0.0", ["validation_split = 0.0", "greater than 0"], True),
    "split-in-per-cent": ("validation_split: 10", ["validation_split = 10", "less than or equal to 0.5"], True),
    "limit-too-large": ("train_limit: 70000", ["train_limit = 70000", "less than or equal to 60000"], True),
    "version-unknown": ("squeezenet_version: 1.2", ["squeezenet_version = '1.2'", "'1.0' or '1.1'"], True),
    "head-misspelt": ("head: conv10_relu", ["head = 'conv10_relu'", "did you mean 'conv10-relu'"], True),
    "dropout-one": ("dropout: 1.0", ["dropout = 1.0", "less than 1"], True),
    "initializer-unknown": ("initializer: glorot", ["initializer = 'glorot'", "'glorot_uniform'"], True),
    "norm-a-number": ("batch_norm: 1", ["batch_norm = 1 (int)", "write true or false"], True),
    "norm-in-quotes": ("batch_norm: 'true'", ["batch_norm = 'true'", "write true or false"], True),
    "precision-unknown": ("precision: float16", ["precision = 'float16'", "'float32' or 'mixed_bfloat16'"], True),
    "backend-unknown": ("backend: theano", ["backend = 'theano'", "'tensorflow', 'jax' or 'torch'"], True),
    "warm-up-negative": ("warmup_epochs: -1.0", ["warmup_epochs = -1.0", "greater than or equal to 0"], True),
    "momentum-of-adam": ("optimizer: adam\nmomentum: 0.9", ["momentum = 0.9", "must be 0 with optimizer 'adam'"], False),
    "weights-no-weights": ("weights_path: model.h5", ["weights_path = 'model.h5'"], True),
    "weights-out-of-here": ("weights_path: ../../x.weights.h5", ["weights_path", "leads out of this folder"], False),
    "weights-nowhere": ("weights_path: no/such/x.weights.h5", ["weights_path", "does not exist"], False),
    "data-no-npz": ("data_path: /etc/passwd", ["data_path = '/etc/passwd'"], True),
    # names
    "name-misspelt": ("lerning_rate: 0.1", ["lerning_rate is not a parameter", "did you mean learning_rate"], True),
    "name-in-capitals": ("Epochs: 3", ["Epochs is not a parameter", "did you mean epochs"], True),
    "name-unknown": ("colour: blue", ["colour is not a parameter"], True),
    "name-with-a-space": ("learning rate: 0.1", ["'learning rate' is not a name"], True),
    "name-a-number": ("5: 3", ["'5' is not a name"], True),
    "name-is-code": ("__import__('os').system('touch pwned') or epochs: 3", ["is not a name of a parameter"], True),
    "name-is-statements": ("'import os; os.system(\"touch pwned\"); epochs': 3", ["is not a name of a parameter"], True),
    "name-twice": ("epochs: 1\nseed: 1\nepochs: 2", ["line 3", "epochs is given twice"], False),
    # files
    "empty": ("", ["should hold lines like 'optimizer: adam'"], False),
    "comments-only": ("# epochs: 3\n", ["should hold lines like"], False),
    "byte-order-mark": ("\ufeffepochs: 3\n", ["byte order mark", "UTF-8 without BOM"], False),
    "a-list": ("- optimizer: adam\n", ["should hold lines like"], False),
    "a-word": ("adam\n", ["should hold lines like"], False),
    "tabs": ("epochs: 3\n\tseed: 1\n", ["cannot be read", "line 2"], False),
    "not-closed": ("optimizer: [adam\n", ["cannot be read"], False),
    "two-documents": ("epochs: 3\n---\nseed: 1\n", ["cannot be read", "single document"], False),
    "utf-16": ("epochs: 3\n".encode("utf-16"), ["is not UTF-8 text", "save it as UTF-8"], False),
    "latin-1": ("optimizer: ad\xe4m\n".encode("latin-1"), ["is not UTF-8 text"], False),
    "python-object": ("epochs: !!python/object/apply:os.system ['touch pwned']\n", ["cannot be read", "python/object"], False),
}
OWN_WORDS = {"a-list", "a-word", "tabs", "not-closed", "two-documents", "utf-16", "latin-1", "python-object"}

# what is typed after `papermill IN OUT`, what must be said
PAPERMILL = [
    (["-p", "lerning_rate", "0.1"], ["lerning_rate is not a parameter", "did you mean learning_rate"]),
    (["-p", "epochs", "many"], ["epochs = 'many'", "valid integer"]),
    (["-p", "epochs", "True"], ["epochs = True (bool)"]),
    (["-p", "learning_rate", "nan"], ["learning_rate = nan"]),
    (["-r", "epochs", "3"], ["epochs = '3' (str)", "write it without quotes"]),
    (["-y", "{epochs: 0, head: x}"], ["2 wrong", "epochs = 0", "head = 'x'"]),
    (["-p", "seed", "-1"], ["seed = -1"]),
    (["-p", "data_path", "absent.npz"], ["MNIST could not be loaded", "absent.npz"]),
]
# what is typed after `snakemake --config`, what must be said
BATCH = [
    (["study=nothing"], ["params/nothing: no parameter files there", "paper"]),
    (["study=../params/paper"], ["study=../params/paper", "without '..'"]),
    (["name=/tmp/elsewhere"], ["name=/tmp/elsewhere", "not beginning with '/'"]),
    (["overlay=absent.yaml"], ["absent.yaml", "No such file"]),
    (["overlays=params/demo.yaml"], ["overlays", "did you mean overlay"]),
    (["seed=3"], ["seed", "did you mean seeds"]),
    (["seeds=[0.5]"], ["seed = '0.5'", "valid integer"]),
    (["seeds=[a]"], ["seed = 'a'", "valid integer"]),
]
