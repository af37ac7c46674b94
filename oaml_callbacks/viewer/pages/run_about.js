/* Where the run is in W&B, and what it was configured with. */

import { byId, h, replace, setText } from "./dom.js";
import { text } from "./format.js";
import { whenChanged } from "./update.js";

const COPIED_FOR = 2000; // ms

/** Show the link to W&B, or the command that sends the run there. */
export const showWandb = whenChanged((url, command) => {
  const nowhere = h("p", { class: "muted" }, "This run has no page in W&B.");
  replace(byId("wandb"), url ? pageLink(url) : command ? syncCommand(command) : nowhere);
});

/** Show the run's configuration. */
export const showConfig = whenChanged((config) => {
  const entries = Object.entries(config ?? {});
  byId("config-panel").hidden = !entries.length;
  const rows = entries.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, valueText(value))));
  replace(byId("config"), rows);
});

function valueText(value) {
  if (Array.isArray(value)) return value.map(valueText).join(", ") || text(null);
  return value !== null && typeof value === "object" ? JSON.stringify(value) : text(value);
}

function pageLink(url) {
  return h("p", {}, h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, "The run's page in W&B"));
}

function syncCommand(command) {
  const code = h("code", { class: "command", tabindex: "0", "aria-label": "Command that sends the run" }, command);
  const button = h("button", { type: "button", onclick: () => copy(command, code, button) }, "Copy");
  return [h("p", {}, "This run was written offline. Send it to W&B with"), h("div", { class: "copy" }, code, button)];
}

/** The clipboard is there only on HTTPS and localhost, and may be refused: the command is selected then. */
async function copy(command, code, button) {
  try {
    await navigator.clipboard.writeText(command);
    setText(button, "Copied");
  } catch {
    getSelection().selectAllChildren(code);
    setText(button, "Selected: press Ctrl+C");
  }
  setTimeout(() => setText(button, "Copy"), COPIED_FOR);
}
