// Typed text is never lost. Each changed field becomes a patch {field, value, at, seq}; patches lie in IndexedDB until
// the server has acknowledged them, and are sent on a pause, on leaving a field, and at the latest after one second.
(() => {
  "use strict";
  const form = document.querySelector("form[data-autosave]");
  if (!form) return;
  const PAUSE = 400, LONGEST = 1000, RETRY = 3000;
  const words = form.dataset, status = form.querySelector("[data-saving]");
  const key = `${words.account}|${words.draft}`;
  const skipped = new Set(["csrf", "version", "tiep", "ly_do_sua", "do"]);
  const pending = new Map(); // field -> patch, not yet acknowledged
  let timer = 0, oldest = 0, sending = false, leaving = false, lastSeq = 0, lastSaved = "";

  const say = (state, extra) => {
    status.dataset.state = state;
    const text = { saving: words.wordsSaving, saved: `${words.wordsSaved} ${extra || ""}`.trim(), away: words.wordsAway,
      ended: words.wordsEnded, refused: words.wordsRefused }[state];
    status.textContent = text;
    if (state === "ended") {
      const link = document.createElement("a");
      link.href = `/dang-nhap?het=1&tiep=${encodeURIComponent(location.pathname)}`;
      link.textContent = " →";
      status.append(link);
    }
  };

  // --- the copy on this machine
  const database = new Promise((done) => {
    let request;
    try { request = indexedDB.open("benhan-drafts", 1); } catch { done(null); return; }
    request.onupgradeneeded = () => request.result.createObjectStore("patches", { keyPath: ["key", "field"] });
    request.onsuccess = () => done(request.result);
    request.onerror = () => done(null);
  });
  const store = async (mode) => {
    const db = await database;
    return db && db.transaction("patches", mode, mode === "readwrite" ? { durability: "strict" } : undefined).objectStore("patches");
  };
  const keep = async (patch) => { const s = await store("readwrite"); if (s) s.put({ key, ...patch }); };
  const forget = async (patches) => {
    const s = await store("readwrite");
    if (!s) return;
    for (const patch of patches) {
      const read = s.get([key, patch.field]);
      read.onsuccess = () => { if (read.result && read.result.seq <= patch.seq) s.delete([key, patch.field]); };
    }
  };
  const kept = async () => {
    const s = await store("readonly");
    if (!s) return [];
    return new Promise((done) => {
      const all = s.getAll(IDBKeyRange.bound([key, ""], [key, "\uffff"]));
      all.onsuccess = () => done(all.result);
      all.onerror = () => done([]);
    });
  };

  // --- noticing what changed
  const valueOf = (field) => {
    if (field.type === "radio") {
      const chosen = form.querySelector(`input[type=radio][name="${CSS.escape(field.name)}"]:checked`);
      return chosen ? chosen.value : "";
    }
    if (field.type === "checkbox") return field.checked ? field.value : "";
    return field.value;
  };
  // boxes that share a name and may be ticked together are a field each
  const nameOf = (field) => ("many" in field.dataset ? `${field.name}=${field.value}` : field.name);
  const nextSeq = () => { lastSeq = Math.max(lastSeq + 1, Date.now()); return lastSeq; };
  const noticed = (field) => {
    if (!field.name || skipped.has(field.name) || field.type === "password" || field.readOnly || field.disabled) return;
    const value = valueOf(field), name = nameOf(field);
    const before = pending.get(name);
    if (before && before.value === value) return;
    const patch = { field: name, value, at: new Date().toISOString(), seq: nextSeq() };
    pending.set(name, patch);
    keep(patch);
    say("saving");
    const now = performance.now();
    oldest = oldest || now;
    clearTimeout(timer);
    timer = setTimeout(send, Math.max(0, Math.min(PAUSE, oldest + LONGEST - now)));
  };
  form.addEventListener("input", (event) => noticed(event.target));
  form.addEventListener("change", (event) => noticed(event.target));
  form.addEventListener("focusout", () => { if (pending.size) { clearTimeout(timer); timer = setTimeout(send, 0); } });

  // --- sending
  async function send() {
    clearTimeout(timer);
    if (sending || !pending.size || leaving) return;
    sending = true;
    oldest = 0;
    const patches = [...pending.values()].slice(0, 200);
    let answer = null;
    try {
      answer = await fetch(words.autosave, {
        method: "POST", credentials: "same-origin", redirect: "manual", signal: AbortSignal.timeout(8000),
        headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": document.body.dataset.csrf || "" },
        body: JSON.stringify({ patches: patches.map(({ field, value, at, seq }) => ({ field, value, at, seq })), version: Number(words.version) }),
      });
    } catch { answer = null; }
    sending = false;
    if (answer && answer.ok) {
      const body = await answer.json();
      for (const patch of patches) if (pending.get(patch.field) === patch) pending.delete(patch.field);
      forget(patches);
      lastSaved = body.saved;
      if (pending.size) { say("saving"); timer = setTimeout(send, PAUSE); } else say("saved", lastSaved);
      document.body.dispatchEvent(new CustomEvent("benhan:saved", { bubbles: true }));
      return;
    }
    if (!answer || answer.status >= 500 || answer.status === 429) {
      say("away");
      document.dispatchEvent(new CustomEvent("benhan:away"));
    } else if (answer.type === "opaqueredirect" || answer.status === 401) say("ended");
    else say("refused");
    timer = setTimeout(send, RETRY);
  }
  addEventListener("online", send);

  // --- after a reload: what this machine still holds is newer than what the server gave
  const put = (name, value) => {
    form.dispatchEvent(new CustomEvent("benhan:need", { detail: name })); // a line that a reload does not show yet
    const [group, one] = name.split("=");
    const fields = form.querySelectorAll(`[name="${CSS.escape(group)}"]${one ? `[value="${CSS.escape(one)}"]` : ""}`);
    fields.forEach((field) => {
      if (field.type === "radio" || field.type === "checkbox") field.checked = field.value === value;
      else field.value = value;
    });
    return fields.length > 0;
  };
  const justSaved = (words.done || "").split(" ").includes(new URLSearchParams(location.search).get("xong"));
  kept().then((patches) => {
    if (justSaved) { forget(patches); return; }
    if (!patches.length) return;
    for (const { field, value, at, seq } of patches) {
      if (pending.has(field)) continue;
      put(field, value);
      pending.set(field, { field, value, at, seq });
      lastSeq = Math.max(lastSeq, seq);
    }
    say("saving");
    send();
  });

  // --- Lưu: the whole paper becomes a version; this machine's copy is dropped when the saved page comes back
  form.addEventListener("submit", () => { leaving = true; setTimeout(() => { leaving = false; }, 5000); });
  addEventListener("pagehide", () => {
    if (pending.size && !leaving) {
      fetch(words.autosave, {
        method: "POST", keepalive: true, credentials: "same-origin",
        headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": document.body.dataset.csrf || "" },
        body: JSON.stringify({ patches: [...pending.values()].map(({ field, value, at, seq }) => ({ field, value, at, seq })), version: Number(words.version) }),
      }).catch(() => {});
    }
  });
})();
