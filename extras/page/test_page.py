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
from conftest import PROJECT, run
from records import read_record

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("needs Chromium: apt install chromium chromium-driver", allow_module_level=True)

from selenium import webdriver  # noqa: E402
from selenium.webdriver import ActionChains  # noqa: E402
from selenium.webdriver.common.actions.pointer_input import PointerInput  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

NOTEBOOK = PROJECT / "extras/page/draw_a_digit.ipynb"
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
    run("papermill", NOTEBOOK, path.with_suffix(".ipynb"), "-p", "page", path, "--no-progress-bar",
        folder=PROJECT, MNIST_NPZ=str(mnist_path))
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
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER)) as driver:
        yield driver


@pytest.fixture
def browser(chromium, page):
    """The browser with the notebook's page, nothing drawn."""
    return opened(chromium, page)


@pytest.fixture(scope="module")
def notebook():
    """The page's notebook: its definitions, among them the master's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PROJECT)
        yield notebooks.load(NOTEBOOK, "page")


@pytest.fixture(scope="module")
def mnist(mnist_path):
    """MNIST's test images, (10000, 28, 28) uint8, and labels."""
    with np.load(mnist_path) as file:
        return file["x_test"], file["y_test"]


@pytest.fixture(scope="module")
def predictions(notebook, mnist):
    """The classes that the run predicts for the test images: by Keras, and as it recorded."""
    model, record = notebook.master.squeezenet(), read_record(PROJECT / RUN)
    model.load_weights((PROJECT / RUN).with_suffix(".weights.h5"))
    pixels = mnist[0][..., np.newaxis] / np.float32(255)
    predictions = model.predict(pixels, batch_size=500, verbose=0).argmax(axis=1)
    assert notebook.master.digest(predictions.astype("uint8")) == record["digests"]["predictions"]
    return predictions


def opened(chromium, path):
    """The browser with a page that has started."""
    chromium.get(path.as_uri())
    chromium.execute_async_script("window.page.ready.then(arguments[0])")
    return chromium


def texts(browser, selector):
    """The texts of the page's elements, after the next frame."""
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)]


answers = functools.partial(texts, selector="#networks b")


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
    const image = (i) => window.page.preprocess(values.subarray(i * h * w, (i + 1) * h * w));
    return Array.from({length: n}, (_, i) => Array.from(image(i))).flat();
})()""")


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
    """By mouse and by finger, large and small; one network never changes its answer; nothing is asked of a network."""
    assert texts(browser, "#fault") == [""] and answers(browser) == [""] * 3
    constant = set()
    for digit, points in DIGITS.items():
        for kind, size in (("mouse", 1), ("touch", 0.2)):
            draw(browser, [(140 + size * (x - 140), 140 + size * (y - 140)) for x, y in points], kind)
            *learned, collapsed = answers(browser)
            assert learned == [digit] * 2, (kind, size)
            assert collapsed and all("% sure" in text for text in texts(browser, ".sure"))
            constant.add(collapsed)
            browser.find_element(By.ID, "clear").click()
            assert answers(browser) == texts(browser, ".sure") == [""] * 3
    assert len(constant) == 1
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    asked = [params["request"]["url"] for params in requests if params["documentURL"] == browser.current_url]
    assert asked and {address.partition(":")[0] for address in asked} <= {"file", "data"}
    assert browser.get_log("browser") == []


def test_keys_draw_and_a_tap_leaves_ink_that_can_be_undone(browser):
    browser.find_element(By.ID, "drawing").send_keys(Keys.ENTER, *[Keys.ARROW_DOWN] * 12, Keys.ENTER)
    assert answers(browser)[:2] == ["1", "1"]
    for _ in range(2):
        browser.find_element(By.ID, "undo").click()
        assert answers(browser) == [""] * 3
        draw(browser, [(140, 140)])
        assert all(answers(browser)) and "draw larger" in texts(browser, "#small")[0]


def test_samples_are_mnists_own_and_all_that_it_gets_wrong(browser, mnist, predictions):
    labels, wrong = mnist[1], predictions != mnist[1]
    for digit, button in enumerate(browser.find_elements(By.CSS_SELECTOR, "#first button")):
        button.send_keys(Keys.ENTER)
        assert answers(browser)[0] == str(predictions[np.argmax(labels == digit)])
    expected = [f"{label} as {answer}" for label, answer in zip(labels[wrong], predictions[wrong])]
    assert sorted(texts(browser, "#hard button")) == sorted(expected)
    draw(browser, DIGITS["7"])
    assert answers(browser)[0] == "7", "a drawing replaces the sample"


@pytest.mark.parametrize("n", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_the_page_answers_as_keras(browser, mnist, predictions, n):
    np.testing.assert_array_equal(logits_of(browser, mnist[0][:n]).argmax(axis=1), predictions[:n])


@pytest.mark.slow
def test_the_page_says_how_many_each_network_gets_right(browser, mnist):
    for which, note in enumerate(texts(browser, "#networks p")[:2]):
        found = in_page(browser, mnist[0], f"window.page.logits(values, n, {which})").argmax(axis=1)
        assert f"{np.mean(found == mnist[1]):.2%}".replace("%", " %") in note


@pytest.mark.parametrize("options", [
    {"head": "fire10-dense", "dropout": 0.5, "batch_norm": True}, {"head": "conv10", "initializer": "he_normal"},
], ids=str)
def test_every_kind_of_network_runs_in_the_page(chromium, mnist, notebook, tmp_path, options):
    """Untrained, with moving statistics that are not 0 and 1."""
    model = notebook.master.squeezenet(**options)
    random, images = np.random.default_rng(0), mnist[0][:20]
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    network = {"name": "one", "note": "untrained"} | notebook.written(model)
    path, samples = tmp_path / "page.html", (images, *[np.zeros(20, int)] * 2)
    notebook.write_page(path, notebook.make_page([network], samples, 20, 14))
    expected = model.predict(images[..., np.newaxis] / np.float32(255), verbose=0)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(logits_of(opened(chromium, path), images), expected, **TOLERANCE)


def test_drawings_are_prepared_as_mnist_was(browser, mnist):
    """MNIST's images, ten times as large and not centred, come back as they were."""
    images = mnist[0][:200]
    prepared = preprocessed(browser, np.kron(np.roll(images, (-1, 2), (1, 2)), np.ones((1, 10, 10), "uint8")))
    for axis in np.indices((28, 28)).reshape(2, -1):
        assert np.abs(prepared @ axis / prepared.sum(axis=1) - 14).max() <= 0.5 + 1e-6
    assert np.median(np.abs(prepared * 255 - images.reshape(200, -1)).max(axis=1)) < 0.01


def test_a_browser_that_cannot_says_so(chromium, page):
    """Last of the browser's tests, since the page stays without WebAssembly."""
    without = {"source": "WebAssembly.validate = () => false"}
    chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", without)
    assert "SIMD is missing): open this page in a current" in texts(opened(chromium, page), "#fault")[0]


def test_what_is_missing_is_named_and_nothing_overwritten(notebook, tmp_path):
    with pytest.raises(SystemExit, match="absent.ipynb holds no result.*set `run`"):
        notebook.read_record(tmp_path / "absent.ipynb")
    mine = tmp_path / "mine.html"
    mine.write_text("my own page")
    with pytest.raises(SystemExit, match="mine.html is there.*`page`"):
        notebook.write_page(mine, "new")
    assert mine.read_text() == "my own page"


def test_the_library_is_the_published_one():
    vendor = PROJECT / "extras/page/vendor"
    stated = dict(re.findall(r"\| `(\S+)` \|.*\| `(\w{64})` \|", (vendor / "README.md").read_text()))
    files = [path for path in vendor.iterdir() if path.suffix in (".js", ".wasm")]
    assert stated == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
