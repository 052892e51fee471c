// Every page: keyboard, connection state, no surprise submits, focus on errors. Nothing here is needed to work.
(() => {
  "use strict";
  const typing = (el) => el && (el.matches("input:not([type=checkbox]):not([type=radio]), textarea, select") || el.isContentEditable);

  const press = (name) => {
    const target = document.querySelector(`[data-key="${name}"]`);
    if (target) { target.click(); return true; }
    return false;
  };

  const jump = (number) => {
    const link = document.querySelectorAll("[data-section-link]")[number - 1];
    const section = link && document.getElementById(link.getAttribute("href").slice(1));
    if (!section) return false;
    section.scrollIntoView({ block: "start" });
    const field = section.querySelector("input:not([type=hidden]):not([readonly]), textarea:not([readonly]), select");
    (field || section).focus({ preventScroll: true });
    return true;
  };

  document.addEventListener("keydown", (event) => {
    const { key, ctrlKey, metaKey, altKey, target } = event;
    if ((ctrlKey || metaKey) && key.toLowerCase() === "s" && press("save")) { event.preventDefault(); return; }
    if ((ctrlKey || metaKey) && key === "Enter" && press("sign")) { event.preventDefault(); return; }
    if (altKey && !ctrlKey && /^[1-9]$/.test(key) && jump(Number(key))) { event.preventDefault(); return; }
    if (typing(target)) {
      // Enter in a one-line field of a long form goes on to the next field; it never sends the form
      if (key === "Enter" && target.matches("input") && target.closest("form[data-long]")) {
        event.preventDefault();
        if (!event.defaultPrevented || !target.hasAttribute("aria-expanded")) next(target);
      }
      return;
    }
    if (key === "/" ) {
      const search = document.querySelector('[data-key="/"]');
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    } else if (key === "?") {
      const help = document.querySelector("[data-help]");
      if (help) help.click();
    }
  });

  const next = (field) => {
    if (field.getAttribute("aria-expanded") === "true") return;
    const fields = [...field.form.elements].filter((e) => !e.disabled && e.type !== "hidden" && e.offsetParent !== null);
    const after = fields[fields.indexOf(field) + 1];
    if (after) after.focus();
  };

  const net = document.querySelector("[data-net]");
  const showNet = () => {
    if (!net) return;
    net.classList.toggle("away", !navigator.onLine);
    net.textContent = navigator.onLine ? net.dataset.online : net.dataset.away;
  };
  addEventListener("online", showNet);
  addEventListener("offline", showNet);
  document.addEventListener("benhan:away", () => { if (net) { net.classList.add("away"); net.textContent = net.dataset.away; } });
  document.addEventListener("benhan:saved", showNet);
  showNet();

  const fault = document.querySelector("[data-focus]");
  if (fault) fault.focus({ preventScroll: false });

  // one press is one submission
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    setTimeout(() => { delete form.dataset.sent; }, 4000);
  });
  addEventListener("pageshow", () => { document.querySelectorAll("form[data-sent]").forEach((f) => delete f.dataset.sent); });
})();
