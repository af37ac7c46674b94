/* The addresses of the pages, relative to each other. */

/** The viewer of a run, at an evaluation where one is given. */
export function viewerUrl(run, evaluation) {
  return address("viewer.html", evaluation ? { run, eval: evaluation } : { run });
}

/** The viewer with two runs side by side. */
export function compareUrl(run, other) {
  return address("viewer.html", { run, with: other });
}

export function dashboardUrl(run) {
  return address("dashboard.html", { run });
}

function address(page, parameters) {
  return `${page}?${new URLSearchParams(parameters)}`;
}
