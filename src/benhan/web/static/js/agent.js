// Signing by the token on this computer: what is to be signed comes from the server, goes with the PIN to benhan-agent on
// 127.0.0.1, and the values go back. The PIN is sent nowhere else.
(() => {
  "use strict";
  const box = document.querySelector("[data-agent]");
  if (!box) return;
  const { agent, batch, wordsAway, wordsSigning } = box.dataset;
  const pin = box.querySelector("[data-agent-pin]"), said = box.querySelector("[data-agent-said]");
  const button = box.querySelector("[data-agent-sign]");
  const tell = (text) => { said.textContent = text; button.disabled = false; };
  const csrf = { "X-CSRF-Token": document.body.dataset.csrf || "" };

  async function sign() {
    button.disabled = true;
    said.textContent = wordsSigning;
    const wanted = await fetch(`${batch}/can-ky`, { credentials: "same-origin", headers: { Accept: "application/json" } });
    if (!wanted.ok) { location.reload(); return; }
    const { pieces, hashes, seqs } = await wanted.json();
    if (!seqs.length) { location.reload(); return; }
    let answer;
    try {
      answer = await fetch(`${agent}/sign`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ pin: pin.value, pieces, hashes }),
      });
    } catch { tell(wordsAway); return; }
    pin.value = "";
    const told = await answer.json();
    if (!answer.ok) { tell(told.text || wordsAway); pin.focus(); return; }
    const signatures = Object.fromEntries(seqs.map((seq, n) => [seq, told.signatures[n]]));
    const taken = await fetch(`${batch}/chu-ky`, {
      method: "POST", credentials: "same-origin", body: JSON.stringify({ signatures }),
      headers: { ...csrf, "Content-Type": "application/json", Accept: "application/json" },
    });
    if (!taken.ok) {
      const issue = await taken.json().catch(() => ({}));
      tell(issue.text || (issue.issue && issue.issue[0] && issue.issue[0].diagnostics) || `${taken.status}`);
      return;
    }
    location.reload();
  }
  button.addEventListener("click", () => { sign().catch(() => tell(wordsAway)); });
  pin.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); button.click(); } });
  pin.focus();
})();
