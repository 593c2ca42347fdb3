// The timeline under each answer: a line of figures, which opens a drawing and a table. Both are made by the server.

import { copy } from "./copying.js";
import { setHtml } from "./html.js";
import { gettext } from "./words.js";

const ABSENT = gettext("The timeline cannot be reached right now. Please close and open it again in a moment.");

// Those that came with the page are asked for together, of both chats.
const wanted = new Map();

// Shows the timeline of an answer that came with the page, or of an earlier one, where there is one.
export function know(place, trace) {
  if (!trace) return;
  if (wanted.size === 0) setTimeout(ask);
  wanted.set(trace, place);
}

// Shows the timeline of an answer that was measured here.
export async function measured(place, stopwatch, grown) {
  const made = await stopwatch.report();
  if (made === null) return;
  show(place, made);
  grown();
}

// What was said of an earlier version of the answer.
export function forget(place) {
  place.replaceChildren();
}

async function ask() {
  const places = new Map(wanted);
  wanted.clear();
  const query = new URLSearchParams([...places.keys()].map((trace) => ["trace", trace]));
  try {
    const response = await fetch(`/api/timelines/?${query}`);
    if (!response.ok) return;
    for (const made of (await response.json()).timelines) show(places.get(made.trace), made);
  } catch {
    // An extra.
  }
}

function show(place, { trace, summary }) {
  const details = document.createElement("details");
  details.className = "timeline-line";
  const line = document.createElement("summary");
  line.textContent = summary;
  const drawing = document.createElement("div");
  details.append(line, drawing);
  details.addEventListener("toggle", () => details.open && drawing.childElementCount === 0 && draw(drawing, [trace]));
  place.replaceChildren(details);
}

// Draws timelines above each other; returns whether that could be done.
export async function draw(place, traces) {
  try {
    const query = new URLSearchParams(traces.map((trace) => ["trace", trace]));
    const response = await fetch(`/api/timelines/drawing/?${query}`);
    if (!response.ok) throw new Error(response.statusText);
    setHtml(place, await response.text());
  } catch {
    place.textContent = ABSENT;
    return false;
  }
  for (const button of place.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      button.textContent = (await copy(button.dataset.copy)) ? gettext("Copied") : gettext("The browser does not allow copying");
    });
  }
  return true;
}
