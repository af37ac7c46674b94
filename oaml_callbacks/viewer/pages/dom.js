/* Elements made of plain values. Text goes in as text: what a run folder holds is never taken for markup. */

const SVG = "http://www.w3.org/2000/svg";

/** An element: `h("a", {href: "x", class: "y", onclick: f, "aria-label": "z"}, "text", child, [more], null)`. */
export function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same of SVG. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/** Put `children` in the place of what `parent` holds. */
export function replace(parent, ...children) {
  parent.replaceChildren(...flat(children));
}

export function byId(id) {
  return document.getElementById(id);
}

/** Set an element's text, if it is another one: what hasn't changed doesn't flicker, and isn't read out again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Show the messages that pages have for what couldn't be read; at most `most` of them. */
export function problemList(problems, most = 5) {
  if (!problems || !problems.length) return null;
  const rest = problems.length - most;
  return h(
    "details",
    { class: "message problem" },
    h("summary", {}, `${problems.length === 1 ? "One thing" : `${problems.length} things`} could not be read`),
    h(
      "ul",
      {},
      problems.slice(0, most).map((problem) => h("li", {}, problem)),
      rest > 0 ? h("li", {}, `and ${rest} more`) : null,
    ),
  );
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name === "href" || name === "src") setUrl(element, name, String(value));
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...flat(children));
  return element;
}

function setUrl(element, name, url) {
  // A run's links come from its folder, which may hold anything; `javascript:` is no place to go to.
  if (/^(https?:|data:image\/|blob:|[^:]*$|[^:/?#]*[/?#])/i.test(url)) element.setAttribute(name, url);
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
