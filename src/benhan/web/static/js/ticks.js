// A table of ticks: tick all, and how many are ticked. Nothing here is needed to work.
(() => {
  "use strict";
  const form = document.querySelector("form[data-ticks]");
  if (!form) return;
  const all = form.querySelector("[data-tick-all]");
  const count = form.querySelector("[data-tick-count]");
  const boxes = () => [...form.querySelectorAll("tbody input[type=checkbox]")];
  const tell = () => {
    const ticked = boxes().filter((b) => b.checked).length;
    if (count) count.textContent = ticked;
    if (all) { all.checked = ticked > 0 && ticked === boxes().length; all.indeterminate = ticked > 0 && !all.checked; }
  };
  if (all) all.addEventListener("change", () => { boxes().forEach((b) => { b.checked = all.checked; }); tell(); });
  form.addEventListener("change", tell);
  addEventListener("pageshow", tell);
  tell();
})();
