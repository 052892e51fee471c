// Draws [data-plot] by uPlot: one or two lines, reference band, events as upright lines. The table beside it says the same.
// ``grain`` "day" or "month": the axis says days or months, counts begin at zero and have whole ticks, lines have a legend.
(() => {
  "use strict";
  const css = getComputedStyle(document.documentElement), colour = (name) => css.getPropertyValue(name).trim();
  const two = (n) => String(n).padStart(2, "0");
  // the Vietnamese clock, wherever the computer thinks it stands
  const local = (s) => new Date((s + 7 * 3600) * 1000);
  const day = (d) => `${two(d.getUTCDate())}/${two(d.getUTCMonth() + 1)}`;
  const stamp = (s) => { const d = local(s); return `${day(d)} ${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`; };
  const stamps = {
    day: (s) => day(local(s)),
    month: (s) => { const d = local(s); return `${two(d.getUTCMonth() + 1)}/${d.getUTCFullYear()}`; },
  };
  const whole = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];

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
    return [data.grain ? 0 : low - margin, high + margin];
  };

  // at most seven of the instants that have a value
  const spread = (xs) => { const step = Math.ceil(xs.length / 7); return xs.filter((x, n) => n % step === 0); };
  const legend = (lines) => {
    const said = document.createElement("p");
    said.className = "ba-legend";
    lines.forEach((line, n) => {
      const entry = document.createElement("span"), stroke = document.createElement("i");
      stroke.className = n ? "dashed" : "";
      entry.append(stroke, line.label);
      said.append(entry);
    });
    return said;
  };

  const draw = (box) => {
    const data = JSON.parse(box.dataset.plot);
    if (!data.x.length) return;
    const first = data.x[0], last = data.x[data.x.length - 1], room = Math.max((last - first) * 0.06, 1800);
    const axis = { stroke: colour("--bs-secondary-color"), grid: { stroke: colour("--ba-plot-grid"), width: 1 }, ticks: { show: false }, font: "11px Be Vietnam Pro" };
    const when = data.grain ? { splits: () => spread(data.x), values: (u, ticks) => ticks.map(stamps[data.grain]) } : { values: (u, ticks) => ticks.map(stamp), space: 90 };
    const counted = data.grain && data.lines.every((l) => l.y.every(Number.isInteger)) ? { incrs: whole } : {};
    box.replaceChildren();
    new uPlot({
      width: Math.max(box.clientWidth - 12, 220), height: box.closest(".ba-plots") ? 170 : 280, title: data.title,
      legend: { show: false }, cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: true, range: [first - room, last + room] }, y: { range: limits(data) } },
      series: [{}, ...data.lines.map((line, n) => ({ label: line.label, stroke: colour("--ba-plot-line"), width: 2, dash: n ? [6, 4] : undefined, spanGaps: true, points: { show: true, size: 6, fill: colour("--ba-plot-line") } }))],
      axes: [{ ...axis, size: 28, ...when }, { ...axis, size: 44, ...counted, values: (u, ticks) => ticks.map((v) => String(v).replace(".", ",")) }],
      hooks: { drawClear: [band(data)], draw: [events(data)] },
    }, [data.x, ...data.lines.map((l) => l.y)], box);
    if (data.grain && data.lines.length > 1) box.append(legend(data.lines));
  };
  const all = () => document.querySelectorAll("[data-plot]").forEach(draw);
  (document.fonts ? document.fonts.ready : Promise.resolve()).then(all);
  let timer = 0;
  addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(all, 150); });
})();
