"""The pages in a real browser, worked by script: keys, sorting, filtering, playing, narrow screens.

Needs Chromium (`apt-get install chromium`), and is skipped where there is none.
"""

import json
import os
import shutil
import signal
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from threading import Thread

import pytest

from avsync.report import write_report
from avsync.scoring.result import Fault, Piece

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium to open the page with")
OUTER = """<!doctype html><iframe src="page.html" style="width:{width}px;height:900px"></iframe>"""
INNER = """<script>addEventListener("load", async () => {{
  const press = (key) => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", {{ key, bubbles: true, cancelable: true }}));
  const all = (what) => [...document.querySelectorAll(what)];
  const names = () => all(".row").filter((row) => !row.hidden).map((row) => row.dataset.name);
  let said;
  try {{ said = await (async () => {{ {script} }})(); }} catch (error) {{ said = "" + error; }}
  fetch("{to}", {{ method: "POST", mode: "no-cors", body: JSON.stringify(said) }});
}});</script></body>"""
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"),
    "--autoplay-policy=no-user-gesture-required",
)


@pytest.fixture
def heard():
    """A queue of what is posted to this machine, and the address to post to."""
    queue: Queue[str] = Queue()

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self):
            queue.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield queue, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def browse(tmp_path, heard):
    """`browse(results, script)`: what the script returns, run in the page at a width in pixels."""
    queue, address = heard

    def ran(results, script, width=1200):
        write_report(results, tmp_path / "page.html")
        text = (tmp_path / "page.html").read_text("utf-8")
        text = text.replace("</body>", INNER.format(script=script, to=address))
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        (tmp_path / "outer.html").write_text(OUTER.format(width=width))
        url = (tmp_path / "outer.html").as_uri()
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        browser = subprocess.Popen(
            [BROWSER, *FLAGS, profile, url],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return json.loads(queue.get(timeout=60))
        finally:
            # The whole group: Debian's command is a script about the browser.
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()

    return ran


@pytest.fixture
def batch(make_result):
    fault = Fault("drift", (Piece(0, 60, 2, 1000),), 1000.0, None, 22.0, 60.0, 62.0)
    return [
        make_result(5.0, file="b good.mp4"),
        make_result(None, file="c faceless.mp4", reason="no_face"),
        make_result(90.0, file="a early.mp4"),
        make_result(32.0, file="e drift.mp4", fault=fault, verdict="audio_leads"),
        make_result(-700.0, file="d late.mp4"),
    ]


def letters(names):
    return "".join(name[0] for name in names)


def test_a_batch_sorts_by_each_column_both_ways(browse, batch):
    script = """
      const seen = {};
      for (const key of ["name", "offset", "worst"]) for (const time of [1, 2]) {
        document.querySelector(`[data-sort=${key}]`).click();
        seen[key + time] = names();
      }
      seen.pressed = all("[aria-pressed=true]").map((head) => head.dataset.sort);
      return seen;"""
    seen = browse(batch, script)
    orders = {key: letters(value) for key, value in seen.items() if key != "pressed"}
    assert orders == {
        "name1": "abcde",
        "name2": "edcba",
        "offset1": "aebdc",  # What has no offset comes last, both ways.
        "offset2": "dbeac",
        "worst1": "daecb",
        "worst2": "bcead",
    }
    assert seen["pressed"] == ["worst"]


def test_a_batch_is_filtered_by_name_and_by_verdict(browse, batch):
    script = """
      const form = document.querySelector(".controls");
      const box = document.getElementById("name-filter");
      const change = () => form.dispatchEvent(new Event("input"));
      const seen = [];
      box.value = "LATE"; change(); seen.push(names());
      box.value = ""; form.elements.kind.value = "bad"; change(); seen.push(names());
      seen.push([document.getElementById("shown").textContent]);
      return seen;"""
    late, bad, count = browse(batch, script)
    assert (letters(late), letters(bad), count) == ("d", "dae", ["3 of 5 files"])


def test_an_address_opens_its_row(browse, batch):
    script = """
      location.hash = "file-2";
      await new Promise((done) => setTimeout(done, 200));
      return all(".row[open]").map((row) => row.id);"""
    assert browse(batch, script) == ["file-2"]


def test_arrow_keys_read_the_timeline_out(browse, make_result):
    script = """
      const drawing = document.querySelector(".timeline");
      drawing.focus();
      const read = () => document.querySelector(".readout").textContent;
      press("Home"); press("ArrowRight"); const second = read();
      press("End"); return [second, read()];"""
    second, last = browse(make_result(83.2), script)
    assert second.startswith("0:01.5") and "+83.2 ms" in second
    assert last.startswith("0:59.5")


def test_all_that_can_be_used_can_be_reached_with_the_keyboard(browse, make_result, make_clip):
    clip = make_clip("clip.mp4", duration_s=2.0)
    script = """
      const reached = [];
      for (const one of all("a, button, input, summary, svg[tabindex], code[tabindex]")) {
        one.focus();
        if (document.activeElement === one) reached.push(one.tagName.toLowerCase());
      }
      return reached;"""
    result = make_result(83.2, file=str(clip))
    reached = browse(result, script)
    assert {"a", "button", "summary", "svg", "code"} <= set(reached)
    assert reached.count("button") > 1  # The play buttons and the one that copies.


def test_a_clip_plays_with_its_sound(browse, make_result, make_track, make_clip):
    clip = make_clip("clip.mp4", duration_s=4.0)
    track = make_track(83.2, end_s=4.0)
    result = make_result(83.2, file=str(clip), duration_s=4.0, tracks=(track,))
    script = """
      const video = document.querySelector("video");
      const [play] = all(".clip button");
      play.click();
      await new Promise((done, fail) => { video.ontimeupdate = done; video.onerror = fail; });
      return [video.duration, video.videoWidth, play.getAttribute("aria-label").slice(0, 5),
              video.controls, video.webkitAudioDecodedByteCount];"""
    duration_s, width, label, controls, audio = browse(result, script)
    assert duration_s == pytest.approx(2.0, abs=0.1)
    assert min(width, audio) > 0
    assert (label, controls) == ("Pause", False)


@pytest.mark.parametrize("width", [360, 1600])
def test_nothing_sticks_out_of_the_screen(browse, batch, make_result, width):
    long = make_result(83.2, file="a/" + "very-long-name-without-a-space" * 8 + ".mp4")
    script = """
      for (const row of all(".row")) row.open = true;
      return document.documentElement.scrollWidth - document.documentElement.clientWidth;"""
    assert browse([long, *batch], script, width=width) == 0
    assert browse(long, script, width=width) == 0
