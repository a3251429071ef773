"use strict";

// A key presses the button or follows the link that names it; never while something is typed.
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=radio]), select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
  const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (target) target.click();
});

// A link to a statement opens the list that it stands in.
const reveal = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = target && target.closest("details");
  if (folded) { folded.open = true; target.scrollIntoView(); }
};
addEventListener("hashchange", reveal);
addEventListener("DOMContentLoaded", reveal);

// The part that changes is sent by the server, escaped as the page is. It waits while somebody is in it.
const live = document.getElementById("live");
if (live) {
  const source = new EventSource(live.dataset.source);
  source.addEventListener("message", (event) => {
    const shown = document.getElementById("live");
    const busy = shown.contains(document.activeElement) || shown.querySelector("details[open]") || document.hidden;
    if (busy || String(getSelection())) return;
    const part = new DOMParser().parseFromString(event.data, "text/html").getElementById("live");
    if (part) shown.replaceWith(document.adoptNode(part));
  });
  addEventListener("pagehide", () => source.close());
}
