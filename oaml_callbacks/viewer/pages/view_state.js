/* What is shown, as the page's URL says it: each view can be shared, and the browser's back button returns to it. */

const TEXTS = ["run", "eval", "show", "since", "q", "sort", "with", "with_eval"];
const SWITCHES = ["misses", "zoom", "trail"];

/** The state that a URL's query says. Texts that aren't there are "", the sample is null. */
export function readState(query) {
  const given = new URLSearchParams(query);
  const state = { sample: wholeNumber(given.get("sample")), group: given.getAll("group") };
  for (const name of TEXTS) state[name] = given.get(name) ?? "";
  for (const name of SWITCHES) state[name] = given.get(name) === "1";
  return state;
}

/** A state as a URL, relative to the page: only what isn't as it would be anyway. */
export function stateUrl(state) {
  const query = new URLSearchParams();
  for (const name of ["run", "eval"]) if (state[name]) query.set(name, state[name]);
  if (state.sample !== null) query.set("sample", state.sample);
  for (const name of TEXTS) if (state[name]) query.set(name, state[name]);
  for (const group of state.group) query.append("group", group);
  for (const name of SWITCHES) if (state[name]) query.set(name, "1");
  // An evaluation's key is "eval@30", and may be read in a URL as it is.
  return `?${query}`.replaceAll("%40", "@");
}

/**
 * The page's state: `{state, change(patch, {step}), settle(patch)}`. `onChange()` is called after each change.
 * A step (to the next sample, through the evaluations) replaces the history's entry; any other change adds one.
 * What a page chose by itself it settles: the URL then names it, and nothing else follows.
 */
export function createViewState(onChange) {
  const view = { state: readState(location.search) };
  const set = (patch, step) => {
    view.state = { ...view.state, ...patch };
    writeUrl(stateUrl(view.state), step);
  };
  view.settle = (patch) => set(patch, true);
  view.change = (patch, { step = false } = {}) => {
    set(patch, step);
    onChange();
  };
  addEventListener("popstate", () => {
    view.state = readState(location.search);
    onChange();
  });
  return view;
}

function writeUrl(url, step) {
  if (url === location.search) return;
  try {
    if (step) history.replaceState(null, "", url);
    else history.pushState(null, "", url);
  } catch {
    // An embedded page has no URL of its own, and browsers limit how often one may be set: the view works without.
  }
}

function wholeNumber(text) {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null;
}
