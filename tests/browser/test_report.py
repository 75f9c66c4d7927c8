"""The report in a real browser: what a reader sees and can do."""

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_example import write_example
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from nucseg_launcher.report import write_report

pytestmark = pytest.mark.needs("browser")

# The first is for root (CI), the others keep the browser from calling home.
FLAGS = (
    "--no-sandbox --headless --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1280,1000"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(write_example(tmp_path_factory.mktemp("report")))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium: Chrome, report: Path) -> Chrome:
    chromium.get(report.as_uri())
    return chromium


def find(page: Any, selector: str) -> list[WebElement]:
    return page.find_elements(By.CSS_SELECTOR, selector)


def names(page: Chrome) -> list[str]:
    return [cell.text for cell in find(page, "#methods tbody th")]


def heading(page: Chrome, text: str) -> WebElement:
    return next(button for button in find(page, "#methods thead button") if button.text == text)


def is_seen(page: Chrome, element: WebElement) -> bool:
    return page.execute_script("return getComputedStyle(arguments[0]).visibility", element) == "visible"


def test_a_failed_method_is_a_red_row_and_a_red_tile(page: Chrome) -> None:
    (row,) = find(page, "#methods tr.failed")
    red, green, blue = page.execute_script(
        "return getComputedStyle(arguments[0]).color.match(/\\d+/g).map(Number)", find(row, "td")[0]
    )

    assert names(page) == ["exact", "half", "broken"]
    assert "broken failed the container needed more memory" in row.text
    assert red > 150 > 80 > max(green, blue)
    assert len(find(page, ".tile.failed")) == 2


def test_headings_sort_by_number_and_by_name_and_tell_so(page: Chrome) -> None:
    heading(page, "F1 at 0.5").click()
    assert names(page) == ["exact", "half", "broken"]
    heading(page, "F1 at 0.5").click()
    assert names(page) == ["half", "exact", "broken"]
    assert [cell.get_attribute("aria-sort") for cell in find(page, '#methods th[aria-sort="ascending"]')] == [
        "ascending"
    ]

    heading(page, "method").send_keys(Keys.ENTER)
    assert names(page) == ["broken", "exact", "half"]


def test_every_picture_has_pixels(page: Chrome) -> None:
    sizes = page.execute_async_script(
        """const done = arguments[0];
        Promise.all([...document.querySelectorAll("image")].map(image => new Promise(resolve => {
          const copy = new Image();
          copy.onload = copy.onerror = () => resolve(copy.naturalWidth);
          copy.src = image.href.baseVal;
        }))).then(done);"""
    )
    broken = page.execute_script(
        """const uses = [...document.querySelectorAll("use")];
        return uses.filter(use => !document.querySelector(use.href.baseVal)).length;"""
    )

    assert len(sizes) == 2 * 3 + 3 + 2
    assert min(sizes) > 5
    assert broken == 0
    assert len(find(page, "figure.tile")) == 2 * 5 + 4


def test_the_slider_shows_another_slice_and_its_outlines(page: Chrome) -> None:
    viewer = find(page, ".viewer")[0]

    def shown() -> tuple[str, str, str]:
        path = find(viewer, '[data-layer="half"]')[0].get_attribute("d")
        return find(viewer, "image")[0].get_attribute("href"), path, find(viewer, "output")[0].text

    slider = find(viewer, "input[type=range]")[0]
    before = shown()
    slider.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    after = shown()

    assert (before[2], after[2]) == ("7 (3.5 µm)", "5 (2.5 µm)")
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_a_method_can_be_left_out_of_the_viewer(page: Chrome) -> None:
    viewer = find(page, ".viewer")[0]
    find(viewer, "input[type=range]")[0].send_keys(Keys.ARROW_LEFT * 3)
    outline = find(viewer, '[data-layer="half"]')[0]

    assert outline.is_displayed()
    find(viewer, 'input[value="half"]')[0].click()
    assert not outline.is_displayed()


def test_the_image_alone_is_shown_on_hover_and_after_a_tap(page: Chrome) -> None:
    picture = find(page, '.tile[data-method="half"] .picture')[0]
    outline = find(picture, ".outline")[0]

    ActionChains(page).move_to_element(find(page, "h1")[0]).perform()
    assert is_seen(page, outline)
    ActionChains(page).move_to_element(picture).perform()
    assert not is_seen(page, outline)
    picture.click()
    ActionChains(page).move_to_element(find(page, "h1")[0]).perform()
    assert not is_seen(page, outline)
    picture.send_keys(Keys.ENTER)
    assert is_seen(page, outline)


def test_nothing_is_loaded_and_nothing_goes_wrong(chromium: Chrome, report: Path) -> None:
    chromium.get_log("browser")
    chromium.get(report.as_uri())

    resources = chromium.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in resources if not name.startswith("data:")] == []
    assert chromium.get_log("browser") == []


def test_a_phone_scrolls_down_only(page: Chrome) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    )
    try:
        assert page.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]
        assert page.execute_script("return document.querySelector('#methods').scrollWidth") > 390
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_print_leaves_out_what_paper_cannot_do_and_cuts_no_table(page: Chrome) -> None:
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert not find(page, ".viewer")[0].is_displayed()
        assert find(page, "#methods")[0].is_displayed()
        assert page.execute_script("return getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    pdf = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 20_000
