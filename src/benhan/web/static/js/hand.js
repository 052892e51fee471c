// Drawing a signature: lines on a canvas, sent as a picture only. No strokes, times or pressure are kept or sent.
(() => {
  "use strict";
  const canvas = document.querySelector("[data-hand-canvas]");
  if (!canvas) return;
  const pen = canvas.getContext("2d"), send = document.querySelector("[data-hand-send]");
  const clear = () => { pen.fillStyle = "#fff"; pen.fillRect(0, 0, canvas.width, canvas.height); drawn = 0; send.disabled = true; };
  let down = false, last = null, drawn = 0;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  };
  const line = (from, to) => {
    pen.strokeStyle = "#0b1f66"; pen.lineWidth = 5; pen.lineCap = "round"; pen.lineJoin = "round";
    pen.beginPath(); pen.moveTo(...from); pen.lineTo(...to); pen.stroke();
    drawn += Math.hypot(to[0] - from[0], to[1] - from[1]);
    if (drawn > 120) send.disabled = false;
  };
  canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault(); canvas.setPointerCapture(event.pointerId); down = true; last = at(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!down) return;
    event.preventDefault();
    for (const one of event.getCoalescedEvents ? event.getCoalescedEvents() : [event]) { const to = at(one); line(last, to); last = to; }
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { down = false; });
  document.querySelector("[data-hand-clear]").addEventListener("click", clear);
  // the part that is drawn on, with a margin: a small signature on a wide pad is not printed as a dot
  const cut = () => {
    const { data, width, height } = pen.getImageData(0, 0, canvas.width, canvas.height);
    let [left, top, right, bottom] = [width, height, 0, 0];
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) if (data[(y * width + x) * 4] < 200) {
      left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y);
    }
    if (right < left) return canvas;
    const edge = 14, part = document.createElement("canvas");
    part.width = right - left + 2 * edge; part.height = bottom - top + 2 * edge;
    const other = part.getContext("2d");
    other.fillStyle = "#fff"; other.fillRect(0, 0, part.width, part.height);
    other.drawImage(canvas, edge - left, edge - top);
    return part;
  };
  document.querySelector("[data-hand]").addEventListener("submit", () => {
    document.querySelector("[data-hand-value]").value = cut().toDataURL("image/png");
  });
  clear();
})();
