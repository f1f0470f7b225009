// Fetches the page once a second and puts its live parts in place. Without this
// script the page reloads itself.
"use strict";

const PACE = 1000;

const problem = document.getElementById("problem");

// load asks for a page, puts its live parts in place of the present ones, and
// returns the page's problem.
async function load(request) {
  const answer = await fetch(request);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const focused = document.activeElement?.id;
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (next && next.innerHTML !== part.innerHTML) {
      part.replaceChildren(...next.childNodes);
    }
  }
  if (focused && document.activeElement?.id !== focused) {
    document.getElementById(focused)?.focus();
  }
  if (document.body.classList.replace("gone", "back")) {
    problem.textContent = "";
  }
  return fresh.getElementById("problem").textContent;
}

function gone() {
  document.body.classList.remove("back");
  document.body.classList.add("gone");
  problem.textContent = "The demo has ended.";
}

let busy = false;

async function tick() {
  if (!busy && !document.hidden) {
    await load("/").catch(gone);
  }
  setTimeout(tick, PACE);
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  busy = true; // an older page must not take the place of the newer one
  const body = new URLSearchParams(new FormData(event.target, event.submitter));
  try {
    problem.textContent = await load(new Request(event.target.action, { method: "POST", body }));
  } catch {
    gone();
  }
  busy = false;
});

for (const line of document.querySelectorAll(".lines dd")) {
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(line.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  line.append(button);
}

setTimeout(tick, PACE);
