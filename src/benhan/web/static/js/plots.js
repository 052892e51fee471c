// Draws [data-plot] by uPlot: one or two lines, reference band, events as upright lines. The table beside it says the same.
(() => {
  "use strict";
  const css = getComputedStyle(document.documentElement), colour = (name) => css.getPropertyValue(name).trim();
  const two = (n) => String(n).padStart(2, "0");
  const stamp = (s) => { const d = new Date(s * 1000); return `${two(d.getDate())}/${two(d.getMonth() + 1)} ${two(d.getHours())}:${two(d.getMinutes())}`; };

  const band = (data) => (u) => {
    if (data.low === null && data.high === null) return;
    const { ctx, bbox } = u;
    const top = data.high === null ? bbox.top : u.valToPos(data.high, "y", true);
    const bottom = data.low === null ? bbox.top + bbox.height : u.valToPos(data.low, "y", true);
    ctx.save();
    ctx.beginPath(); ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height); ctx.clip();
    ctx.fillStyle = colour("--ba-plot-band");
    ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
    ctx.strokeStyle = colour("--ba-done"); ctx.setLineDash([3, 4]); ctx.lineWidth = 1;
    for (const y of [top, bottom]) { ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke(); }
    ctx.restore();
  };
  const events = (data) => (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.strokeStyle = colour("--ba-warn"); ctx.fillStyle = colour("--ba-warn"); ctx.setLineDash([2, 3]); ctx.lineWidth = 1;
    for (const event of data.events) {
      const x = u.valToPos(event.x, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
      ctx.fillText("▾", x - 3, bbox.top + 9);
    }
    ctx.restore();
  };
  const limits = (data) => (u, least, most) => {
    const values = data.lines.flatMap((l) => l.y).filter((v) => v !== null);
    for (const v of [data.low, data.high]) if (v !== null) values.push(v);
    const low = Math.min(...values), high = Math.max(...values), margin = (high - low || Math.abs(high) || 1) * 0.12;
    return [low - margin, high + margin];
  };

  const draw = (box) => {
    const data = JSON.parse(box.dataset.plot);
    if (!data.x.length) return;
    const first = data.x[0], last = data.x[data.x.length - 1], room = Math.max((last - first) * 0.06, 1800);
    const axis = { stroke: colour("--bs-secondary-color"), grid: { stroke: colour("--ba-plot-grid"), width: 1 }, ticks: { show: false }, font: "11px Be Vietnam Pro" };
    box.replaceChildren();
    new uPlot({
      width: Math.max(box.clientWidth - 12, 220), height: box.closest(".ba-plots") ? 170 : 280, title: data.title,
      legend: { show: false }, cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: true, range: [first - room, last + room] }, y: { range: limits(data) } },
      series: [{}, ...data.lines.map((line, n) => ({ label: line.label, stroke: colour("--ba-plot-line"), width: 2, dash: n ? [6, 4] : undefined, spanGaps: true, points: { show: true, size: 6, fill: colour("--ba-plot-line") } }))],
      axes: [{ ...axis, size: 28, values: (u, ticks) => ticks.map(stamp), space: 90 }, { ...axis, size: 44, values: (u, ticks) => ticks.map((v) => String(v).replace(".", ",")) }],
      hooks: { drawClear: [band(data)], draw: [events(data)] },
    }, [data.x, ...data.lines.map((l) => l.y)], box);
  };
  const all = () => document.querySelectorAll("[data-plot]").forEach(draw);
  (document.fonts ? document.fonts.ready : Promise.resolve()).then(all);
  let timer = 0;
  addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(all, 150); });
})();
