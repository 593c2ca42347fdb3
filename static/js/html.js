// The one place where HTML from the server becomes part of the page. All other text goes in as text.
// What comes here was rendered and filtered by the server; a document made by DOMParser runs no scripts.

const policy = window.trustedTypes?.createPolicy("triptych", { createHTML: (html) => html });

export function setHtml(element, html) {
  const parsed = new DOMParser().parseFromString(policy ? policy.createHTML(html) : html, "text/html");
  element.replaceChildren(...parsed.body.childNodes);
}
