// The page reads well without this: it adds a copy button, a play button that leaves the mouth in view, and a cursor
// over the timeline for mouse and arrow keys.
for (const box of document.querySelectorAll(".command")) {
  const button = box.querySelector("button");
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = box.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  });
}
for (const drawing of document.querySelectorAll(".timeline")) {
  const marks = [...drawing.querySelectorAll("[data-say]")];
  if (!marks.length) continue;
  const places = marks.map((mark) => parseFloat(mark.getAttribute("data-x")));
  const cursor = drawing.querySelector(".cursor");
  const readout = document.getElementById(drawing.dataset.readout);
  const usual = readout.textContent;
  let at = -1;
  const show = (index) => {
    at = Math.max(0, Math.min(marks.length - 1, index));
    cursor.setAttribute("x1", places[at] + "%");
    cursor.setAttribute("x2", places[at] + "%");
    cursor.style.visibility = "visible";
    readout.textContent = marks[at].dataset.say;
  };
  const hide = () => { cursor.style.visibility = "hidden"; readout.textContent = usual; };
  drawing.setAttribute("tabindex", "0");
  drawing.addEventListener("pointermove", (event) => {
    const area = drawing.getBoundingClientRect();
    const x = 100 * (event.clientX - area.left) / area.width;
    let best = 0;
    places.forEach((place, k) => { if (Math.abs(place - x) < Math.abs(places[best] - x)) best = k; });
    show(best);
  });
  drawing.addEventListener("pointerleave", hide);
  drawing.addEventListener("blur", hide);
  drawing.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 20, PageUp: -20 }[event.key];
    if (step) show(at + step);
    else if (event.key === "Home") show(0);
    else if (event.key === "End") show(marks.length - 1);
    else return;
    event.preventDefault();
  });
}
for (const frame of document.querySelectorAll(".clip")) {
  const video = frame.querySelector("video");
  const button = document.createElement("button");
  const caption = video.getAttribute("aria-label");
  const label = () => {
    button.textContent = video.paused ? "▶" : "❚❚";
    button.setAttribute("aria-label", (video.paused ? "Play. " : "Pause. ") + caption);
  };
  const toggle = () => {
    if (!video.paused) return video.pause();
    for (const other of document.querySelectorAll("video")) if (other !== video) other.pause();
    video.play().catch(() => { video.controls = true; button.remove(); });
  };
  button.type = "button";
  video.controls = false;
  video.tabIndex = -1;
  button.addEventListener("click", toggle);
  video.addEventListener("click", toggle);
  for (const name of ["play", "pause", "ended"]) video.addEventListener(name, label);
  label();
  frame.append(button);
}
