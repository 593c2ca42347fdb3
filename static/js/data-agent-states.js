// The states of a step, and the words for them. Of a step that is `decided` nothing can be changed any more.

import { gettext } from "./words.js";

const QUERY = gettext("Query");
const KNOWN = {
  proposed: {
    heading: gettext("Proposed query"),
    badge: gettext("Your decision"),
    tone: "accent",
    said: gettext("A query is proposed. Read it, then approve or reject it."),
  },
  blocked: {
    heading: gettext("Refused query"),
    badge: gettext("Cannot run"),
    tone: "danger",
    said: gettext("The query cannot run. The reasons are shown."),
  },
  expired: {
    heading: gettext("Proposed query"),
    badge: gettext("Too old"),
    tone: "warn",
    said: gettext("The proposal is too old now. Check it again, then approve it."),
  },
  approved: {
    heading: gettext("Approved query"),
    badge: gettext("Running"),
    tone: "accent",
    decided: true,
    busy: true,
  },
  executed: {
    heading: gettext("Result"),
    badge: gettext("Being answered"),
    tone: "accent",
    decided: true,
    busy: true,
    said: gettext("The result is there."),
  },
  continued: {
    heading: gettext("Result"),
    badge: gettext("Another step follows"),
    tone: "muted",
    decided: true,
    said: gettext("The result is there; another step follows."),
  },
  asking: {
    heading: gettext("A question to you"),
    badge: gettext("Your reply"),
    tone: "accent",
    decided: true,
    said: gettext("The model asks you something."),
  },
  replied: { heading: gettext("A question to you"), badge: gettext("Replied"), tone: "muted", decided: true },
  answered: { heading: gettext("Answer"), badge: gettext("Answered"), tone: "ok", decided: true },
  failed: { heading: gettext("Failed query"), badge: gettext("Failed"), tone: "danger", decided: true },
  rejected: {
    heading: gettext("Rejected query"),
    badge: gettext("Rejected"),
    tone: "muted",
    decided: true,
    said: gettext("The query was rejected."),
  },
  skipped: {
    heading: gettext("Skipped question"),
    badge: gettext("Skipped"),
    tone: "muted",
    decided: true,
    said: gettext("The question was skipped."),
  },
};

// A state that is not known yet, because the server is newer than this page, is shown under its own name.
export const SHOWN_AS = new Proxy(KNOWN, {
  get: (known, state) => known[state] ?? { heading: QUERY, badge: String(state), tone: "muted", decided: true },
});
