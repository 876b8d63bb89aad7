// Calls of the API, most of which change something, and their refusals in the daemon's own words.

import { TEXTS } from "/static/texts.js";

/** GETs JSON. Returns as `post` does. Never throws. */
export async function get(address) {
  try {
    const answer = await fetch(address);
    return { ok: answer.ok, document: await answer.json() };
  } catch {
    return { ok: false, document: TEXTS.noAnswer };
  }
}

/** POSTs JSON. Returns {ok, document}; the document of a failure is a problem. Never throws. */
export async function post(address, body = {}) {
  try {
    const answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return { ok: answer.ok, document: await answer.json() };
  } catch {
    return { ok: false, document: TEXTS.noAnswer };
  }
}

/** POSTs JSON for a file, which the browser then saves under its name. Returns {ok, name, document}. Never throws. */
export async function postForFile(address, body) {
  try {
    const answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!answer.ok) return { ok: false, document: await answer.json() };
    const link = document.createElement("a");
    link.download = answer.headers.get("Content-Disposition").match(/filename="([^"]+)"/)[1];
    link.href = URL.createObjectURL(await answer.blob());
    link.click();
    URL.revokeObjectURL(link.href);
    return { ok: true, name: link.download };
  } catch {
    return { ok: false, document: TEXTS.noAnswer };
  }
}

/** POSTs a form with a file. onSent(fraction): how much of it has gone. Returns as `post` does. Never throws. */
export function postForm(address, content, onSent) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.responseType = "json";
    request.upload.onprogress = (event) => onSent(event.loaded / event.total);
    request.onload = () => {
      const refused = TEXTS.refusedUnread(request.status);
      resolve({ ok: request.status === 201, document: request.response ?? refused });
    };
    request.onerror = () => resolve({ ok: false, document: TEXTS.brokenOff });
    onSent(0);
    request.send(content);
  });
}

/** Puts a sentence of the daemon into `element`; what stands between backticks in it, as a command does, as code. */
export function tell(element, sentence) {
  const parts = sentence.split(/`([^`]+)`/);
  element.replaceChildren(
    ...parts.map((part, place) => {
      if (place % 2 === 0) return part;
      const code = document.createElement("code");
      code.textContent = part;
      return code;
    }),
  );
}

/** Shows a problem inside `region` (a live region); without one, clears it. */
export function showProblem(region, problem) {
  region.replaceChildren();
  if (!problem) return;
  const box = document.createElement("div");
  box.className = "refusal";
  const head = document.createElement("p");
  if (problem.rule) {
    const badge = document.createElement("span");
    badge.className = "badge rule";
    badge.textContent = TEXTS.rule(problem.rule);
    head.append(badge, " ");
  }
  const title = document.createElement("strong");
  title.textContent = problem.title ?? TEXTS.noAnswer.title;
  head.append(title);
  const detail = document.createElement("p");
  tell(detail, problem.detail ?? "");
  box.append(head, detail);
  if (problem.correlationId) {
    const reference = document.createElement("p");
    reference.textContent = TEXTS.reference(problem.correlationId);
    box.append(reference);
  }
  region.append(box);
}

/** A part that was loaded anew still shows the problem that was told in it: what changed meanwhile is often why. */
export function keepProblem(part, before) {
  const told = before.querySelector("#answer")?.childNodes ?? [];
  part.querySelector("#answer")?.replaceChildren(...told);
}

/**
 * Lets every button with an address to post to do so, once for a click. onAnswer({ok, document, button}).
 * Until then the page shows its buttons as not ready (page.css), so that no early click is lost in silence.
 */
export function wireButtons(onAnswer) {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-post]");
    if (!button || button.disabled) return;
    button.disabled = true;
    const answer = await post(button.dataset.post);
    if (!answer.ok) button.disabled = false;
    onAnswer({ ...answer, button });
  });
  document.body.removeAttribute("data-starting");
}

/** Forms that post what is written in their one field to their data-action; `onAnswer` gets the answer, and the form. */
export function wireReasons(selector, onAnswer, field = "reason") {
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest(selector);
    if (!form) return;
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.disabled) return;
    button.disabled = true;
    const answer = await post(form.dataset.action, { [field]: new FormData(form).get(field) });
    button.disabled = false;
    onAnswer({ ...answer, form });
  });
}
