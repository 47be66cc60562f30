// The page reads and plays well without this: it draws where a sound is being played, plays from where a drawing is
// clicked, and lets one sound go on where another one was.
const sounds = [...document.querySelectorAll("audio")];
for (const sound of sounds) {
  const part = sound.closest(".sound");
  const lines = [...part.querySelectorAll(".now")];
  const show = () => {
    for (const line of lines) {
      line.style.left = 100 * sound.currentTime / sound.duration + "%";
      line.style.visibility = "visible";
    }
    if (!sound.paused) requestAnimationFrame(show);
  };
  sound.addEventListener("play", () => {
    for (const other of sounds) {
      if (other === sound || other.paused) continue;
      other.pause();
      sound.currentTime = Math.min(other.currentTime, sound.duration);
    }
    show();
  });
  sound.addEventListener("seeked", show);
  for (const drawing of part.querySelectorAll(".over")) {
    drawing.addEventListener("click", (event) => {
      const area = drawing.getBoundingClientRect();
      sound.currentTime = sound.duration * (event.clientX - area.left) / area.width;
      sound.play();
    });
  }
}
