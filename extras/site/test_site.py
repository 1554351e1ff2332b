"""The site in Chromium, which finds no other address."""

import functools
import http.server
import shutil
import threading

import pytest
from selenium import webdriver

from conftest import PROJECT

FLAGS = ("headless", "no-sandbox", "disable-gpu", "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost")


def test_no_broken_link_no_error_no_sideways_scrolling():
    """Along every link from the front page, which lies in a folder as on GitHub; what is missing is a console error."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs Chromium: apt install chromium chromium-driver")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=PROJECT / "site")
    server = http.server.ThreadingHTTPServer(("localhost", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    front = f"http://localhost:{server.server_port}/html/"
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in FLAGS:
        options.add_argument(f"--{flag}")
    with webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver"))) as browser:
        pages = [front]
        for page in pages:
            browser.get(page)
            errors = [entry["message"] for entry in browser.get_log("browser") if "favicon.ico" not in entry["message"]]
            assert not errors, page
            links = browser.execute_script("return [...document.links].map(link => link.href.split('#')[0])")
            pages += {link for link in links if "//localhost" in link} - {*pages}
        for width in (1280, 390):
            screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
            browser.get(front)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
