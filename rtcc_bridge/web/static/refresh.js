// Loads the page anew behind the scenes and swaps only what changed. The markup comes from the server alone, as a parsed
// document: no text ever becomes markup here (the page's policy of trusted types forbids it).

import { tick } from "/static/times.js";

const LEAST_PAUSE = 300;
const PAUSE_AFTER_FAILURE = 2000;
const TIMEOUT = 10_000;
const LEAST_FULL = 0.9;

/** Answers that say that the page is nothing for this account any more. */
export const GONE = [401, 403, 404];

// A form that leads to another page is on its way: to load this one anew would take its place. (The role switch, for
// example: its new account may be refused the page that is being left.)
let isLeaving = false;
window.addEventListener("submit", (event) => {
  if (!event.defaultPrevented && event.target.method !== "dialog") isLeaving = true;
});

function load(address) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.responseType = "document";
    request.timeout = TIMEOUT;
    request.open("GET", address);
    request.setRequestHeader("Accept", "text/html");
    request.onload = () => {
      if (request.status === 200 && request.response) resolve(request.response);
      else if (GONE.includes(request.status) && !isLeaving) location.reload(); // it says why, once, instead of asking again and again
      else reject(new Error(`page: ${request.status}`));
    };
    request.onerror = request.ontimeout = () => reject(new Error("page: no answer"));
    request.send();
  });
}

function swapParts(fresh, onPart) {
  for (const part of document.querySelectorAll("[data-swap]")) {
    const other = fresh.getElementById(part.id);
    if (other && other.dataset.version !== part.dataset.version && !isBeingUsed(part)) {
      const inside = part.contains(document.activeElement);
      const replacement = document.importNode(other, true);
      part.replaceWith(replacement);
      tick(replacement);
      if (inside) document.getElementById("main").focus({ preventScroll: true });
      onPart(replacement, part);
    }
  }
}

/** Whoever is typing is not interrupted: the part is swapped with the next event after that. */
function isBeingUsed(part) {
  const field = document.activeElement;
  return part.contains(field) && field.matches("input") && field.type === "text" && field.value !== "";
}

/** Keeps each card whose version is the same, so that focus, selection and the reader's place are kept too. */
function reconcile(list, fresh, onCard) {
  const known = new Map([...list.children].map((card) => [card.dataset.key, card]));
  const wanted = [...fresh.children].map((card) => {
    const old = known.get(card.dataset.key);
    if (old && old.dataset.version === card.dataset.version) return old;
    const added = document.importNode(card, true);
    onCard(added, old);
    return added;
  });
  const focused = list.contains(document.activeElement) ? document.activeElement.closest("[data-key]") : null;
  const kept = new Set(wanted);
  list.toggleAttribute("data-capped", fresh.hasAttribute("data-capped"));
  for (const card of [...list.children]) if (!kept.has(card)) card.remove();
  wanted.forEach((card, place) => {
    if (list.children[place] !== card) list.insertBefore(card, list.children[place] ?? null);
  });
  if (focused && !kept.has(focused)) refocus(list, focused.dataset.key);
}

/**
 * Takes over some cards: those whose names are in `asked` and that did not come belong on the list no more. Each stands
 * where the server's order puts it. The list is bounded: what is past its end is dropped, and the list then says so.
 */
function merge(list, fresh, asked, onCard) {
  const known = new Map([...list.children].map((card) => [card.dataset.key, card]));
  const came = new Map([...fresh.children].map((card) => [card.dataset.key, card]));
  for (const key of asked) {
    const old = known.get(key);
    const card = came.get(key);
    const hadFocus = old?.contains(document.activeElement);
    if (!card) old?.remove();
    if (!card || old?.dataset.version === card.dataset.version) continue;
    const added = document.importNode(card, true);
    onCard(added, old);
    tick(added);
    if (old?.dataset.order === added.dataset.order) {
      old.replaceWith(added);
    } else {
      old?.remove();
      list.insertBefore(added, firstAfter(list, added.dataset.order));
    }
    if (hadFocus) refocus(list, key);
  }
  while (list.children.length > Number(list.dataset.most)) {
    list.lastElementChild.remove();
    list.setAttribute("data-capped", "");
  }
}

/** The first card that comes after this place, by halving; null at the end. */
function firstAfter(list, order) {
  let [from, to] = [0, list.children.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (list.children[middle].dataset.order < order) from = middle + 1;
    else to = middle;
  }
  return list.children[from] ?? null;
}

/** A list that was cut short has lost so many cards that the next ones belong on it. */
function runsShort(list) {
  return list.hasAttribute("data-capped") && list.children.length < Number(list.dataset.most) * LEAST_FULL;
}

function refocus(list, key) {
  const card = [...list.children].find((one) => one.dataset.key === key);
  const target = card?.querySelector("button, a") ?? document.getElementById("main");
  target.focus({ preventScroll: true });
}

const WHOLE_PAGE = { note() {}, everything() {}, take: () => null };

/**
 * Returns a function that asks for a refresh: the first comes at once, further ones are put together.
 * onCard(card, before) is called for each card that is new or changed, onPart(part, before) for each part, onLoaded()
 * when all of a load is in its place. changes: as `collectChanges` makes it, for a page that can be loaded in part.
 */
export function refresher({ onCard = () => {}, onPart = () => {}, onLoaded = () => {}, changes = WHOLE_PAGE } = {}) {
  let wanted = false;
  let running = false;

  async function takeOver() {
    const some = changes.take();
    const fresh = await load(some?.address ?? location.href);
    swapParts(fresh, onPart);
    for (const list of document.querySelectorAll("[data-reconcile]")) {
      const other = fresh.getElementById(list.id);
      if (other && some && list.dataset.most) merge(list, other, some.asked, onCard);
      else if (other) reconcile(list, other, onCard);
      if (!runsShort(list)) continue;
      changes.everything();
      wanted = true;
    }
    if (!some) tick();
    onLoaded();
  }

  async function run() {
    running = true;
    while (wanted) {
      wanted = false;
      let pause = LEAST_PAUSE;
      try {
        await takeOver();
      } catch {
        changes.everything(); // what was asked for in vain is not asked for by its name again
        wanted = true;
        pause = PAUSE_AFTER_FAILURE;
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    running = false;
  }

  return () => {
    wanted = true;
    if (!running) run();
  };
}
