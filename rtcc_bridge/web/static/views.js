// The two pictures of a comparison: zoom, pan, flip, grey, brightness and contrast, together or each alone.
// OpenSeadragon shows them; it is copied into the package when that is built, and without it they are plain pictures.

import { TEXTS } from "/static/texts.js";

const LIBRARY = "/static/libraries/openseadragon.js";
const SMALLEST_CHANGE = 1e-6;
const ROOM_AROUND_A_FACE = 0.75;
const MOVING_KEYS = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "+", "-", "="];

async function library() {
  // The library would add a style of its own for phones, which the page's policy forbids: a mark of the name that it
  // looks for keeps it from that. (In no namespace, so that it is no style.)
  const mark = document.createElementNS("urn:rtcc-bridge", "style");
  mark.setAttribute("data-openseadragon-mobile-css", "");
  document.head.append(mark);
  try {
    await import(LIBRARY);
    return window.OpenSeadragon ?? null;
  } catch {
    return null;
  }
}

/** What both kinds of view share: how the picture is drawn. */
class View {
  constructor(frame) {
    this.frame = frame;
    this.look = { flip: false, grey: false, brightness: 100, contrast: 100 };
  }

  set(look) {
    Object.assign(this.look, look);
    this.draw();
  }

  filter() {
    const { grey, brightness, contrast } = this.look;
    return `grayscale(${grey ? 1 : 0}) brightness(${brightness}%) contrast(${contrast}%)`;
  }

  /** Words in place of a picture. */
  say(text) {
    const words = document.createElement("p");
    words.className = "no-picture";
    words.textContent = text;
    this.frame.querySelector(".no-picture")?.remove();
    this.frame.append(words);
    this.hide(true);
  }

  shown() {
    this.frame.querySelector(".no-picture")?.remove();
    this.hide(false);
  }
}

class PlainView extends View {
  constructor(frame) {
    super(frame);
    this.image = document.createElement("img");
    this.image.alt = frame.dataset.name;
    frame.append(this.image);
  }

  show(address) {
    this.image.src = address;
    this.shown();
  }

  hide(is) {
    this.image.hidden = is;
  }

  draw() {
    this.image.style.filter = this.filter();
    this.image.style.transform = this.look.flip ? "scaleX(-1)" : "none";
  }

  home() {}
}

class ZoomView extends View {
  constructor(frame, OpenSeadragon) {
    super(frame);
    this.Rect = OpenSeadragon.Rect;
    this.Point = OpenSeadragon.Point;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.viewer = new OpenSeadragon({
      element: frame,
      drawer: "canvas",
      showNavigationControl: false,
      showNavigator: false,
      preserveOverlays: true, // there are none, and to remove them it would write markup, which the policy forbids
      animationTime: still ? 0 : 0.2,
      maxZoomPixelRatio: 12,
      minZoomImageRatio: 0.4,
      visibilityRatio: 0.2,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: false, flickEnabled: false },
    });
    const canvas = this.viewer.canvas;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${frame.dataset.name}. ${TEXTS.viewKeys}`);
    // Its own letters would flip and turn beside the page's keys.
    this.viewer.addHandler("canvas-key", (event) => {
      if (!MOVING_KEYS.includes(event.originalEvent.key)) event.preventDefaultAction = true;
    });
    this.viewer.addHandler("viewport-change", () => this.moved());
    this.viewer.addHandler("open", () => {
      this.home();
      this.draw();
    });
    this.viewer.addHandler("open-failed", () => this.say(TEXTS.pictureFailed));
    this.at = null;
    this.onMove = () => {};
  }

  show(address, face = null) {
    this.face = face;
    this.at = null;
    this.viewer.open({ type: "image", url: address, buildPyramid: false });
    this.shown();
  }

  hide(is) {
    this.viewer.canvas.style.visibility = is ? "hidden" : "visible";
  }

  draw() {
    this.viewer.drawer.canvas.style.filter = this.filter();
    if (this.viewer.isOpen()) this.viewer.viewport.setFlip(this.look.flip);
  }

  /** Where the picture opens: at the face, where it is known, else as a whole. */
  home() {
    if (!this.viewer.isOpen()) return;
    const item = this.viewer.world.getItemAt(0);
    const { x, y } = item.getContentSize();
    if (this.face) {
      const [width, height] = [(this.face.right - this.face.left) * x, (this.face.bottom - this.face.top) * y];
      const room = ROOM_AROUND_A_FACE * Math.max(width, height);
      const box = new this.Rect(this.face.left * x - room, this.face.top * y - room, width + 2 * room, height + 2 * room);
      this.viewer.viewport.fitBounds(item.imageToViewportRectangle(box), true);
    } else {
      this.viewer.viewport.goHome(true);
    }
    this.at = this.place();
  }

  place() {
    const { viewport } = this.viewer;
    return { zoom: viewport.getZoom(true), centre: viewport.getCenter(true) };
  }

  moved() {
    if (!this.at) return;
    const [before, now] = [this.at, this.place()];
    this.at = now;
    const by = this.viewer.viewport.deltaPixelsFromPoints(now.centre.minus(before.centre), true);
    const factor = now.zoom / before.zoom;
    const isStill = Math.abs(factor - 1) < SMALLEST_CHANGE && Math.hypot(by.x, by.y) < 0.01;
    if (!isStill) this.onMove({ factor, x: this.look.flip ? -by.x : by.x, y: by.y });
  }

  /** Moves as the other picture has moved: by as many pixels of the screen, closer by the same factor. */
  follow({ factor, x, y }) {
    if (!this.at) return;
    const { viewport } = this.viewer;
    const by = viewport.deltaPointsFromPixels(new this.Point(this.look.flip ? -x : x, y), true);
    viewport.zoomBy(factor, null, true);
    viewport.panBy(by, true);
    this.at = this.place(); // so that this is no move of its own
  }
}

/** The candidate as it is shown at this moment, in the frame of the still: half through, or whole. */
class Overlay {
  constructor(still, candidate) {
    this.candidate = candidate;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "laid-over";
    this.canvas.setAttribute("aria-hidden", "true");
    this.canvas.hidden = true;
    still.frame.append(this.canvas);
    candidate.viewer.addHandler("update-viewport", () => this.draw());
  }

  /** alone: whole, so that of the still nothing is seen. */
  show({ alone }) {
    this.canvas.classList.toggle("alone", alone);
    this.canvas.hidden = false;
    this.draw();
  }

  hide() {
    this.canvas.hidden = true;
  }

  draw() {
    if (this.canvas.hidden) return;
    const { canvas } = this.candidate.viewer.drawer;
    if (!canvas.width || !canvas.height) return;
    [this.canvas.width, this.canvas.height] = [canvas.width, canvas.height];
    this.canvas.getContext("2d").drawImage(canvas, 0, 0);
    this.canvas.style.filter = this.candidate.filter();
  }
}

/** The views of the two frames. `linked` says whether one follows the other. overlay: null where nothing can be. */
export async function openViews(still, candidate) {
  const OpenSeadragon = await library();
  if (!OpenSeadragon) {
    return { still: new PlainView(still), candidate: new PlainView(candidate), overlay: null, canZoom: false };
  }
  const views = { still: new ZoomView(still, OpenSeadragon), candidate: new ZoomView(candidate, OpenSeadragon) };
  const both = { ...views, overlay: new Overlay(views.still, views.candidate), linked: true, canZoom: true };
  views.still.onMove = (move) => both.linked && views.candidate.follow(move);
  views.candidate.onMove = (move) => both.linked && views.still.follow(move);
  return both;
}
