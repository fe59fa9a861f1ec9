"use strict";
// Fetches the page's live part again whenever the server says that something changed.
const live = document.getElementById("live");
const status = document.getElementById("status");
let open = count();

function count() {
  return document.querySelector("[data-open]")?.dataset.open;
}

let fetching = false;
let again = false;

// One fetch at a time: a burst of changes ends in one more look.
async function refresh() {
  again = true;
  if (fetching) return;
  fetching = true;
  while (again) {
    again = false;
    await show();
  }
  fetching = false;
}

// Nobody's words are taken away while they write.
function writing() {
  return live.querySelector("input:focus") || [...live.querySelectorAll("input")].some((input) => input.value !== input.defaultValue);
}

async function show() {
  const answer = await fetch(live.dataset.source).catch(() => null);
  if (!answer?.ok) return;
  const text = await answer.text();
  if (writing()) return;
  const focused = document.activeElement?.getAttribute("href");
  live.innerHTML = text;
  if (focused) live.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  if (count() === open) return;
  open = count();
  status.textContent = `Open incidents: ${open}`;
}

const events = new EventSource("/events");
events.addEventListener("change", refresh);
events.addEventListener("tick", refresh);
events.addEventListener("error", () => { status.textContent = "The relay does not answer. Trying again."; });
events.addEventListener("open", () => { status.textContent = "Updates by itself."; });
