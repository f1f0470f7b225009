// Fetches the page once a second and puts its main part in place. Without this
// script the page reloads itself.
"use strict";

const PACE = 1000;

const problem = document.getElementById("problem");

// show puts a page's main part in place of the present one; what is opened stays
// open, and what has the focus keeps it.
function show(fresh) {
  const opened = new Set([...document.querySelectorAll("details[open]")].map((d) => d.id));
  const focused = document.activeElement?.id || document.activeElement?.closest("details")?.id;
  const main = fresh.getElementById("main");
  for (const d of main.querySelectorAll("details")) {
    d.open = opened.has(d.id);
  }
  addCopy(main);
  document.getElementById("main").replaceWith(main);
  const again = focused && document.getElementById(focused);
  if (again) {
    (again.querySelector("summary") ?? again).focus({ preventScroll: true });
  }
  document.title = fresh.title;
  const commands = document.getElementById("commands");
  if (!commands.children.length) {
    commands.replaceWith(fresh.getElementById("commands"));
    addCopy(document.getElementById("commands"));
  }
}

// load asks for a page, shows it, and returns its problem.
async function load(request) {
  const answer = await fetch(request, { signal: AbortSignal.timeout(15000) });
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  show(fresh);
  document.body.classList.remove("gone");
  return fresh.getElementById("problem").textContent;
}

function gone() {
  document.body.classList.add("gone");
  problem.textContent = "The demo has ended.";
}

let busy = false;
let until = 0; // a button's problem is shown until then

async function tick() {
  if (!busy && !document.hidden && getSelection().isCollapsed) {
    try {
      const now = await load("/");
      if (Date.now() > until) {
        problem.textContent = now;
      }
    } catch {
      gone();
    }
  }
  setTimeout(tick, PACE);
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  busy = true; // an older page must not take the place of the newer one
  const body = new URLSearchParams(new FormData(event.target, event.submitter));
  try {
    problem.textContent = await load(new Request(event.target.action, { method: "POST", body }));
    until = Date.now() + 10000;
  } catch {
    gone();
  }
  busy = false;
});

function addCopy(part) {
  for (const line of part.querySelectorAll(".command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(line.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    line.append(button);
  }
}

addCopy(document);
setTimeout(tick, PACE);
