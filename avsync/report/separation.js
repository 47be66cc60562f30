// The page reads and plays well without this: it draws where a player is being played, plays from where a drawing is
// clicked, and lets one player go on where another one was.
const players = [...document.querySelectorAll("audio")];
for (const player of players) {
  const part = player.closest(".audio");
  const lines = [...part.querySelectorAll(".now")];
  const show = () => {
    for (const line of lines) {
      line.style.left = 100 * player.currentTime / player.duration + "%";
      line.style.visibility = "visible";
    }
    if (!player.paused) requestAnimationFrame(show);
  };
  player.addEventListener("play", () => {
    for (const other of players) {
      if (other === player || other.paused) continue;
      other.pause();
      player.currentTime = Math.min(other.currentTime, player.duration);
    }
    show();
  });
  player.addEventListener("seeked", show);
  for (const drawing of part.querySelectorAll(".over")) {
    drawing.addEventListener("click", (event) => {
      const area = drawing.getBoundingClientRect();
      player.currentTime = player.duration * (event.clientX - area.left) / area.width;
      player.play();
    });
  }
}
