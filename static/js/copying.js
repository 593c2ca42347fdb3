// Copies text, and puts a button for that beside each block of code.

import { gettext } from "./words.js";

const SAID = 1600; // milliseconds for which a button says that it has copied

// Returns whether it was possible.
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // There is no clipboard where there is no HTTPS, and it may be forbidden.
    return copyBySelection(text);
  }
}

// `text()` returns what to copy, `announce(words)` tells those who do not see the button change.
export function makeCopyButton(button, text, announce) {
  const name = button.getAttribute("aria-label");
  let over;
  button.addEventListener("click", async () => {
    const copied = await copy(text());
    const words = copied ? gettext("Copied.") : gettext("The browser does not allow copying.");
    announce(words);
    button.title = words;
    button.dataset.icon = copied ? "done" : "copy";
    clearTimeout(over);
    over = setTimeout(() => {
      button.title = name;
      button.dataset.icon = "copy";
    }, SAID);
  });
}

export function dressCode(root, announce) {
  for (const block of root.querySelectorAll("pre")) {
    if (block.parentElement.classList.contains("code")) continue;
    const frame = document.createElement("div");
    frame.className = "code";
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "tool", title: gettext("Copy the code") });
    button.setAttribute("aria-label", gettext("Copy the code"));
    button.dataset.icon = "copy";
    button.dataset.part = "copy-code";
    block.replaceWith(frame);
    frame.append(block, button);
    // Wide code is scrolled, which the keyboard must be able to do, too.
    block.tabIndex = 0;
    makeCopyButton(button, () => block.textContent, announce);
  }
}

function copyBySelection(text) {
  const field = document.createElement("textarea");
  const before = document.activeElement;
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  before?.focus({ preventScroll: true });
  return copied;
}
