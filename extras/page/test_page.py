"""The page on which digits are drawn, in a real browser: it answers as Keras does, and needs no network."""

import base64
import functools
import hashlib
import json
import re
import shutil

import numpy as np
import pytest

import notebooks
from conftest import MASTER, PROJECT, run
from records import read_record

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("needs Chromium: apt install chromium chromium-driver", allow_module_level=True)

from selenium import webdriver  # noqa: E402
from selenium.webdriver import ActionChains  # noqa: E402
from selenium.webdriver.common.actions.pointer_input import PointerInput  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

NOTEBOOK = PROJECT / "extras/page/draw_a_digit.ipynb"
VENDOR = PROJECT / "extras/page/vendor"
RUN = "outputs/reference/08-rmsprop-0.0001.ipynb"
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}  # of logits: the order of summation differs; measured: below 4e-5
DIGITS = {  # strokes on the canvas of 280 × 280
    "0": [(140 + 60 * np.sin(t), 140 - 90 * np.cos(t)) for t in np.linspace(0, 2 * np.pi, 16)],
    "1": [(150, 50), (145, 140), (140, 230)],
    "7": [(70, 60), (200, 60), (170, 120), (130, 230)],
}


@pytest.fixture(scope="module")
def page(tmp_path_factory, mnist_path):
    """The page as the notebook writes it."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    done = run("papermill", NOTEBOOK, path.with_suffix(".ipynb"), "-p", "run", RUN, "-p", "page", path,
               "-p", "data_path", mnist_path, "--no-progress-bar", folder=PROJECT)
    assert done.returncode == 0, done.stdout
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser that finds no address in any network."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", "window-size=1200,1000", "host-resolver-rules=MAP * ~NOTFOUND",
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, page):
    """The browser with the notebook's page, nothing drawn."""
    return opened(chromium, page)


@pytest.fixture(scope="module")
def master():
    """The master notebook's definitions."""
    return notebooks.load(MASTER, "check", "imports", "data", "network", "training")


@pytest.fixture
def notebook(monkeypatch):
    """The page's notebook: its definitions."""
    monkeypatch.chdir(PROJECT)
    return notebooks.load(NOTEBOOK, "page")


@pytest.fixture(scope="module")
def mnist(mnist_path, master):
    """MNIST's arrays by name."""
    return master.load_mnist(str(mnist_path))


@pytest.fixture(scope="module")
def images(mnist):
    """MNIST's test images: (10000, 28, 28) uint8."""
    return mnist["x_test"]


def opened(chromium, path):
    """The browser with a page that has started."""
    chromium.get(path.as_uri())
    chromium.execute_async_script("window.page.ready.then(arguments[0])")
    return chromium


def shown(browser, name):
    """The text of the page's element of that name, after the next frame."""
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    return browser.find_element(By.ID, name).text


def in_page(browser, images, script):
    """Call a function of the page on images (n, h, w), uint8; its numbers come back as (n, …).

    script: JavaScript that returns numbers; it knows `values` (the pixels in 0…1), `n`, `h` and `w`.
    """
    script = f"""
        const [text, n, h, w] = arguments;
        const values = Float32Array.from(atob(text), (letter) => letter.charCodeAt(0) / 255);
        return Array.from({script});"""
    parts = []
    for part in np.array_split(images, -(-images.size // 500_000)):  # short calls: a driver gives up on long ones
        text = base64.b64encode(part.tobytes()).decode()
        parts.append(np.array(browser.execute_script(script, text, *part.shape)).reshape(len(part), -1))
    return np.concatenate(parts)


logits_of = functools.partial(in_page, script="window.page.logits(values, n)")
preprocessed = functools.partial(in_page, script="""(() => {
    const image = (i) => window.page.preprocess(values.subarray(i * h * w, (i + 1) * h * w), w, h);
    return Array.from({length: n}, (_, i) => Array.from(image(i))).flat();
})()""")


def logits_by_keras(master, model, images):
    """Logits (n, 10) of a Keras model for uint8 images (n, 28, 28)."""
    inputs, labels = master.prepare(images, np.zeros(len(images)))
    return master.evaluate(model, inputs, labels)[2]


def as_bytes(values):
    """Numbers in 0…1 to uint8 images (n, 28, 28)."""
    return np.round(255 * values).astype("uint8").reshape(-1, 28, 28)


def draw(browser, points, kind="mouse"):
    """Draw one stroke by a pointer's events; points: (x, y) on the canvas."""
    canvas = browser.find_element(By.ID, "drawing")
    chain = ActionChains(browser, duration=0, devices=[PointerInput(kind, kind)])
    for i, (x, y) in enumerate(points):
        chain.move_to_element_with_offset(canvas, int(x) - 140, int(y) - 140)
        if i == 0:
            chain.click_and_hold()
    chain.release().perform()


def test_a_drawn_digit_is_recognised(browser):
    """By mouse and by finger; live; an empty canvas has no answer; nothing is asked of a network."""
    assert shown(browser, "fault") == shown(browser, "answer") == ""
    for digit, points in DIGITS.items():
        for kind in ("mouse", "touch"):
            draw(browser, points, kind)
            assert shown(browser, "answer") == digit, kind
            assert "%" in shown(browser, "bars")
            browser.find_element(By.ID, "clear").click()
            assert shown(browser, "answer") == "" and "%" not in shown(browser, "bars")
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    asked = [params["request"]["url"] for params in requests if params["documentURL"] == browser.current_url]
    assert asked and {address.partition(":")[0] for address in asked} <= {"file", "data"}
    assert browser.get_log("browser") == []


def test_samples_are_mnists_own(browser, mnist):
    labels, record = mnist["y_test"], read_record(PROJECT / RUN)
    for digit, button in enumerate(browser.find_elements(By.CSS_SELECTOR, "#samples button")):
        button.send_keys("\n")
        assert shown(browser, "answer") == record["predictions"][np.argmax(labels == digit)]
    draw(browser, DIGITS["7"])
    assert shown(browser, "answer") == "7", "a drawing replaces the sample"
    assert f"{100 * record['test_accuracy']:.2f} %" in shown(browser, "about")


@pytest.mark.parametrize("n", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_the_page_answers_as_keras_does(browser, images, notebook, master, n):
    record = read_record(PROJECT / RUN)
    model = notebook.load_network(RUN, record["parameters"])
    expected = logits_by_keras(master, model, images[:n])
    found = logits_of(browser, images[:n])
    assert "".join(map(str, found.argmax(axis=1))) == record["predictions"][:n]
    np.testing.assert_allclose(found, expected, **TOLERANCE)


@pytest.mark.parametrize("options", [
    {"version": "1.1", "head": "fire10-dense", "dropout": 0.5, "batch_norm": True},
    {"version": "1.0", "head": "conv10-relu", "initializer": "he_normal"},
], ids=str)
def test_every_kind_of_network_runs_in_the_page(chromium, images, notebook, master, tmp_path, options):
    """Untrained, with moving statistics that are not 0 and 1."""
    model = master.squeezenet(**options)
    random = np.random.default_rng(0)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    notebook.write_page(tmp_path / "page.html", notebook.make_page(model, "untrained", images[:10], 20, 14))
    expected = logits_by_keras(master, model, images[:20])
    assert expected.std() > 1e-3
    np.testing.assert_allclose(logits_of(opened(chromium, tmp_path / "page.html"), images[:20]), expected, **TOLERANCE)


def test_drawings_are_prepared_as_mnist_was(browser, images):
    """MNIST's images, ten times as large, come back as they were: the preparation undoes the enlargement."""
    large = np.kron(images[:200], np.ones((1, 10, 10), "uint8"))
    prepared = preprocessed(browser, large)
    answers = [logits_of(browser, part).argmax(axis=1) for part in (images[:200], as_bytes(prepared))]
    assert np.mean(answers[0] == answers[1]) >= 0.99
    rows, columns = np.indices((28, 28)).reshape(2, -1)
    for axis in (rows, columns):
        assert np.abs(prepared @ axis / prepared.sum(axis=1) - 14).max() <= 0.5 + 1e-6
    assert np.median(np.abs(prepared * 255 - images[:200].reshape(200, -1)).max(axis=1)) < 0.01


def test_size_and_place_of_a_drawing_do_not_matter(browser):
    y, x = np.indices((280, 280))

    def ring(centre, radius):
        """An upright ellipse, its line as thick as its size asks; thicker below: its mass is not in its middle."""
        right, down = (x - centre[0]) / radius, (y - centre[1]) / radius
        return (255 * (np.abs(np.hypot(1.4 * right, down) - 1) < 0.13 + 0.06 * down + 0.03 * right)).astype("uint8")

    small, large = preprocessed(browser, np.stack([ring((60, 200), 31), ring((140, 138), 117)]))
    assert np.abs(small - large).mean() < 0.02
    assert logits_of(browser, as_bytes(small)).argmax() == 0


def test_a_browser_that_cannot_says_so(chromium, page):
    without = "WebAssembly.validate = () => false"
    script = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": without})
    try:
        fault = shown(opened(chromium, page), "fault")
    finally:
        chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert "WebAssembly SIMD is missing" in fault and "open this page in a current" in fault


def test_what_is_missing_is_named_and_nothing_overwritten(notebook, tmp_path):
    with pytest.raises(SystemExit, match="absent.ipynb holds no result.*set `run`"):
        notebook.read_record(tmp_path / "absent.ipynb")
    with pytest.raises(SystemExit, match="one.weights.h5 is missing.*weights_path"):
        notebook.load_network(tmp_path / "one.ipynb", notebooks.defaults(MASTER))
    mine = tmp_path / "mine.html"
    mine.write_text("my own page")
    with pytest.raises(SystemExit, match="mine.html is there.*`page`"):
        notebook.write_page(mine, "new")
    assert mine.read_text() == "my own page"
    mine.write_text(f"<!-- {notebook.marker} -->")
    notebook.write_page(mine, "new")
    assert mine.read_text() == "new"


def test_the_library_is_the_published_one():
    stated = dict(re.findall(r"\| `(\S+)` \|.*\| `(\w{64})` \|", (VENDOR / "README.md").read_text()))
    files = [path for path in VENDOR.iterdir() if path.suffix in (".js", ".wasm")]
    assert stated == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
