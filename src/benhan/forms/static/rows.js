// A table, a repeating field or the marks of a drawing always has one free line: writing in the last one adds another.
// A click on a drawing sets a point, a drag draws a line; both only fill the line of fields that the keyboard fills too.
(() => {
  "use strict";
  const form = document.querySelector("form[data-autosave]");
  if (!form) return;
  const MOST = 500, STEP = 0.02;
  const HOLDERS = "table[data-table]:not([data-fixed]), table[data-marks], [data-repeat]";
  const ident = (name) => name.replace(/[#.~]/g, "-");
  const nameOf = (holder) => holder.dataset.table || holder.dataset.marks || holder.dataset.repeat;
  const linesOf = (holder) => (holder.tagName === "TABLE" ? holder.tBodies[0].rows : holder.children);
  const lastOf = (holder) => {
    const line = [...linesOf(holder)].pop();
    return line && !line.matches(".bf-choices:not([role])") ? line : null;
  };
  const fieldsOf = (line) => [...(line.matches("input, select, textarea") ? [line] : []), ...line.querySelectorAll("input, select, textarea")];
  const numberOf = (holder, line) => {
    const field = fieldsOf(line).find((f) => f.name.startsWith(`${nameOf(holder)}#`));
    return field ? Number(field.name.slice(nameOf(holder).length + 1).match(/^\d+/)[0]) : -1;
  };
  const filled = (line) => fieldsOf(line).some((f) => (f.type === "radio" || f.type === "checkbox" ? f.checked && f.value : f.tagName !== "SELECT" && f.value.trim()));

  const grow = (holder) => {
    const line = lastOf(holder);
    const n = line ? numberOf(holder, line) : -1;
    if (n < 0 || n >= MOST || fieldsOf(line).every((f) => f.readOnly || f.disabled)) return null;
    const next = line.cloneNode(true), name = nameOf(holder);
    const before = `${name}#${n}`, after = `${name}#${n + 1}`;
    const idBefore = `f-${ident(before)}`, idAfter = `f-${ident(after)}`;
    for (const part of [next, ...next.querySelectorAll("*")]) {
      for (const attribute of ["id", "list"]) {
        const old = part.getAttribute(attribute);
        if (old && old.startsWith(idBefore)) part.setAttribute(attribute, idAfter + old.slice(idBefore.length));
      }
      const label = part.getAttribute("aria-label");
      if (label) part.setAttribute("aria-label", label.replace(/(dòng|dấu) \d+/, `$1 ${n + 2}`));
      part.removeAttribute("aria-invalid");
    }
    for (const field of fieldsOf(next)) {
      field.name = after + field.name.slice(before.length);
      if (field.type === "radio") field.checked = field.value === "";
      else if (field.type === "checkbox") field.checked = false;
      else if (field.tagName === "SELECT") field.selectedIndex = 0;
      else field.value = "";
    }
    const head = holder.dataset.marks && next.querySelector("th[scope=row]");
    if (head) head.textContent = String(n + 2);
    next.querySelectorAll(".bf-messages").forEach((m) => m.remove());
    line.after(next);
    return next;
  };
  form.addEventListener("input", (event) => {
    const holder = event.target.closest(HOLDERS), last = holder && lastOf(holder);
    if (last && last.contains(event.target) && filled(last)) grow(holder);
  });
  // a field that was typed on a line which this page does not show yet
  form.addEventListener("benhan:need", (event) => {
    const name = event.detail, at = name.indexOf("#");
    const holder = at < 0 ? null : [...form.querySelectorAll(HOLDERS)].find((h) => nameOf(h) === name.slice(0, at));
    while (holder && !form.querySelector(`[name="${CSS.escape(name)}"]`)) if (!grow(holder)) break;
  });

  // --- marking by mouse or pen
  const place = (svg, event) => {
    const box = svg.viewBox.baseVal, point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const within = (value) => Math.min(1, Math.max(0, value));
    return [within((point.x - box.x) / box.width), within((point.y - box.y) / box.height)];
  };
  const percent = (value) => String(Math.round(value * 1000) / 10).replace(".", ",");
  const set = (line, part, value) => {
    const field = fieldsOf(line).find((f) => f.name.endsWith(`.${part}`));
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const show = (svg, path) => {
    const box = svg.viewBox.baseVal, at = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
    const mark = document.createElementNS(svg.namespaceURI, path.length > 1 ? "polyline" : "circle");
    if (path.length > 1) mark.setAttribute("points", path.map((p) => at(p).join(",")).join(" "));
    else { const [x, y] = at(path[0]); mark.setAttribute("cx", x); mark.setAttribute("cy", y); mark.setAttribute("r", box.width / 90); }
    mark.setAttribute("class", "bf-new-mark");
    svg.append(mark);
  };
  let drawn = null;
  form.addEventListener("pointerdown", (event) => {
    const svg = event.button === 0 && event.target.closest(".bf-figure svg");
    if (!svg) return;
    const line = lastOf(svg.closest(".bf-drawing").querySelector("[data-marks]"));
    if (!line || fieldsOf(line).every((f) => f.readOnly || f.disabled)) return;
    event.preventDefault();
    drawn = { svg, path: [place(svg, event)] };
  });
  form.addEventListener("pointermove", (event) => {
    if (!drawn) return;
    const next = place(drawn.svg, event), last = drawn.path[drawn.path.length - 1];
    if (Math.hypot(next[0] - last[0], next[1] - last[1]) >= STEP) drawn.path.push(next);
  });
  addEventListener("pointercancel", () => { drawn = null; });
  addEventListener("pointerup", () => {
    if (!drawn) return;
    const { svg, path } = drawn, [first, ...rest] = path;
    drawn = null;
    const line = lastOf(svg.closest(".bf-drawing").querySelector("[data-marks]"));
    set(line, "x", percent(first[0]));
    set(line, "y", percent(first[1]));
    set(line, "shape", rest.length ? "line" : "point");
    if (rest.length) set(line, "points", rest.map(([x, y]) => `${percent(x)} ${percent(y)}`).join("; "));
    show(svg, path);
  });
})();
