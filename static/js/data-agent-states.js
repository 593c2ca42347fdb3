// The states of a step, and the words for them. Of a step that is `decided` nothing can be changed any more.

const KNOWN = {
  proposed: { heading: "Proposed query", badge: "Your decision", tone: "accent", said: "A query is proposed. Read it, then approve or reject it." },
  blocked: { heading: "Refused query", badge: "Cannot run", tone: "danger", said: "The query cannot run. The reasons are shown." },
  expired: { heading: "Proposed query", badge: "Too old", tone: "warn", said: "The proposal is too old now. Check it again, then approve it." },
  approved: { heading: "Approved query", badge: "Running", tone: "accent", decided: true, busy: true },
  executed: { heading: "Result", badge: "Being answered", tone: "accent", decided: true, busy: true, said: "The result is there." },
  continued: { heading: "Result", badge: "Another step follows", tone: "muted", decided: true, said: "The result is there; another step follows." },
  asking: { heading: "A question to you", badge: "Your reply", tone: "accent", decided: true, said: "The model asks you something." },
  replied: { heading: "A question to you", badge: "Replied", tone: "muted", decided: true },
  answered: { heading: "Answer", badge: "Answered", tone: "ok", decided: true },
  failed: { heading: "Failed query", badge: "Failed", tone: "danger", decided: true },
  rejected: { heading: "Rejected query", badge: "Rejected", tone: "muted", decided: true, said: "The query was rejected." },
  skipped: { heading: "Skipped question", badge: "Skipped", tone: "muted", decided: true, said: "The question was skipped." },
};

// A state that is not known yet, because the server is newer than this page, is shown under its own name.
export const SHOWN_AS = new Proxy(KNOWN, {
  get: (known, state) => known[state] ?? { heading: "Query", badge: String(state), tone: "muted", decided: true },
});
