// Where there is no room for panels side by side they are tabs, and the CSS shows the chosen one.
// https://www.w3.org/WAI/ARIA/apg/patterns/tabs/

const NARROW = matchMedia("(max-width: 57rem)"); // as in about.css
const CHOSEN = "about:panel";

export class Tabs {
  // `root` has the tabs, and the panels that they control.
  constructor(root) {
    this.root = root;
    this.tabs = [...root.querySelectorAll('[role="tab"]')];
    for (const tab of this.tabs) {
      tab.addEventListener("click", () => this.choose(tab));
      tab.addEventListener("keydown", (event) => this.move(event));
      // Whoever writes in a panel goes on there when a phone is turned.
      panelOf(tab).addEventListener("focusin", () => this.choose(tab));
    }
    const remembered = localStorage.getItem(CHOSEN);
    this.choose(this.tabs.find((tab) => panelOf(tab).id === remembered) ?? this.tabs[0]);
    NARROW.addEventListener("change", () => this.arrange());
    this.arrange();
  }

  choose(chosen) {
    for (const tab of this.tabs) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
    }
    this.root.dataset.chosen = panelOf(chosen).id;
    localStorage.setItem(CHOSEN, panelOf(chosen).id);
  }

  move(event) {
    const at = this.tabs.indexOf(event.currentTarget);
    const places = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: -1 };
    if (!(event.key in places)) return;
    event.preventDefault();
    const next = this.tabs.at(places[event.key] % this.tabs.length);
    this.choose(next);
    next.focus();
  }

  // Side by side they are no tab panels.
  arrange() {
    for (const panel of this.tabs.map(panelOf)) {
      if (NARROW.matches) panel.setAttribute("role", "tabpanel");
      else panel.removeAttribute("role");
    }
  }
}

function panelOf(tab) {
  return document.getElementById(tab.getAttribute("aria-controls"));
}
