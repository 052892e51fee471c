// Pick lists for coded fields (.bf-coded[data-code-list]): type without accents, choose by arrows, code filled in.
// Own recent choices stand first; they are codes only and stay on this machine.
(() => {
  "use strict";
  let list = null, owner = null, options = [], at = -1, asked = 0;

  const close = () => {
    if (list) list.remove();
    if (owner) { owner.setAttribute("aria-expanded", "false"); owner.removeAttribute("aria-activedescendant"); }
    list = null; owner = null; options = []; at = -1;
  };
  const recentKey = (name) => `benhan-recent-${name}`;
  const recent = (name) => { try { return JSON.parse(localStorage.getItem(recentKey(name)) || "[]"); } catch { return []; } };
  const remember = (name, option) => {
    const kept = [option, ...recent(name).filter((o) => o.code !== option.code)].slice(0, 8);
    try { localStorage.setItem(recentKey(name), JSON.stringify(kept)); } catch { /* storage may be off */ }
  };
  const mark = (index) => {
    at = index;
    [...list.children].forEach((item, n) => item.setAttribute("aria-selected", String(n === at)));
    const item = list.children[at];
    if (item) { item.scrollIntoView({ block: "nearest" }); owner.setAttribute("aria-activedescendant", item.id); }
  };
  const choose = (index) => {
    const option = options[index], input = owner;
    if (!option) return;
    const box = input.closest(".bf-coded"), code = box.querySelector(".bf-code");
    input.value = option.title;
    if (code) { code.value = option.code; code.dispatchEvent(new Event("input", { bubbles: true })); }
    remember(box.dataset.codeList, option);
    close();
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("benhan:picked", { bubbles: true }));
    input.focus();
  };
  const show = (input, found) => {
    close();
    if (!found.length || document.activeElement !== input) return;
    owner = input; options = found;
    list = document.createElement("ul");
    list.className = "ba-picks"; list.id = "ba-picks"; list.setAttribute("role", "listbox");
    found.forEach((option, n) => {
      const item = document.createElement("li"), code = document.createElement("b"), text = document.createElement("span");
      item.id = `ba-pick-${n}`; item.setAttribute("role", "option");
      code.textContent = option.code; text.textContent = option.title;
      item.append(code, text);
      item.addEventListener("mousedown", (event) => { event.preventDefault(); choose(n); });
      list.append(item);
    });
    document.body.append(list);
    const box = input.getBoundingClientRect();
    list.style.left = `${Math.max(4, Math.min(box.left + scrollX, scrollX + innerWidth - list.offsetWidth - 8))}px`;
    const below = innerHeight - box.bottom > 310 || box.top < 310;
    list.style.top = below ? `${box.bottom + scrollY + 2}px` : `${box.top + scrollY - list.offsetHeight - 2}px`;
    input.setAttribute("aria-expanded", "true");
    mark(0);
  };
  const ask = async (input) => {
    const name = input.closest(".bf-coded").dataset.codeList, text = input.value.trim(), mine = ++asked;
    if (text.length < 2) { show(input, text ? [] : recent(name)); return; }
    try {
      const answer = await fetch(`/tra/${encodeURIComponent(name)}?q=${encodeURIComponent(text)}`, { credentials: "same-origin" });
      if (!answer.ok || mine !== asked) return;
      const found = await answer.json(), codes = new Set(found.map((o) => o.code));
      const first = recent(name).filter((o) => codes.has(o.code));
      const firstCodes = new Set(first.map((o) => o.code));
      show(input, [...first, ...found.filter((o) => !firstCodes.has(o.code))]);
    } catch { close(); }
  };

  let timer = 0;
  const isPick = (el) => el instanceof HTMLInputElement && !el.readOnly && !el.classList.contains("bf-code") && el.closest(".bf-coded[data-code-list]");
  document.querySelectorAll(".bf-coded[data-code-list] input:not(.bf-code)").forEach((input) => {
    input.setAttribute("role", "combobox"); input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-expanded", "false"); input.setAttribute("aria-controls", "ba-picks");
  });
  document.addEventListener("input", (event) => {
    if (!event.isTrusted || !isPick(event.target)) return;
    const code = event.target.closest(".bf-coded").querySelector(".bf-code");
    if (code && code.value && event.target.value.trim() === "") { code.value = ""; code.dispatchEvent(new Event("input", { bubbles: true })); }
    clearTimeout(timer);
    timer = setTimeout(() => ask(event.target), 120);
  });
  document.addEventListener("keydown", (event) => {
    if (!list || event.target !== owner) {
      if (event.key === "ArrowDown" && isPick(event.target)) { event.preventDefault(); ask(event.target); }
      return;
    }
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      mark((at + (event.key === "ArrowDown" ? 1 : options.length - 1)) % options.length);
    } else if (event.key === "Enter") { event.preventDefault(); event.stopImmediatePropagation(); choose(at); }
    else if (event.key === "Escape") { event.preventDefault(); close(); }
    else if (event.key === "Tab") close();
  }, true);
  document.addEventListener("focusout", () => setTimeout(() => { if (list && document.activeElement !== owner) close(); }, 0));
})();
