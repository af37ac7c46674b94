/* Where the pages' data come from: a server, the files of a static copy, or the page itself. The pages can't tell. */

import { Kept } from "./kept.js";

const PIECES = globalThis.oamlPieces ?? embedded();
const STATIC = document.documentElement.dataset.source; // "files" in a static copy, "page" in an embedded page

/* What doesn't change: blocks of samples and answers. */
const KEPT = new Kept(60);

/** Characters of a file's name in a static copy. */
const MOST_NAME = 120;

export const source = {
  live: !STATIC,
  /** The one run that an embedded page holds, which has no URL to name it; else null. */
  embeddedRun: STATIC === "page" ? (Object.keys(PIECES).find((key) => key.startsWith("run/"))?.slice(4) ?? "") : null,

  runs: () => piece("runs", {}),
  run: (run) => piece("run", { run }),
  history: (run) => piece("history", { run }),
  samples: (run, set) => piece("samples", { run, set }),
  sampleBlock: (run, set, block) => kept("sample_block", { run, set, block }),
  ids: (run, set) => kept("ids", { run, set }),
  verdicts: (run, evaluation) => piece("verdicts", { run, evaluation }),
  /** `version`: another one than before where a resumed run has written the evaluation again. */
  answers: (run, evaluation, block, version) => kept("answers", { run, evaluation, block }, version),
  track: (run, set, block) => piece("track", { run, set, block }),

  picture: (run, path) => pictureUrl("picture", run, path),
  thumbnail: (run, path) => pictureUrl("thumbnail", run, path),

  plotly: once(loadPlotly),
  poll,
};

async function piece(name, parameters) {
  if (STATIC === "page") return embeddedPiece(name, parameters);
  return STATIC === "files" ? pieceFile(name, parameters) : fetched(name, parameters);
}

function asSentence(words) {
  return `${words[0].toUpperCase()}${words.slice(1)}${words.endsWith(".") ? "" : "."}`;
}

function kept(name, parameters, version = "") {
  return KEPT.get(`${name}?${new URLSearchParams(parameters)} ${version}`, () => piece(name, parameters));
}

async function fetched(name, parameters) {
  let answer;
  try {
    // The browser asks with the ETag that it has, and takes its own copy where nothing has changed.
    answer = await fetch(`data/${name}?${new URLSearchParams(parameters)}`, { cache: "no-cache" });
  } catch {
    throw new Error("The viewer's server doesn't answer. Is `oaml view` still running, and the machine there?");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(asSentence(body.error ?? `the server answered ${answer.status}`));
  return body;
}

/* A static copy's pieces are scripts, since a page that was opened from a file may not fetch other files. */
function pieceFile(name, parameters) {
  const path = ["pieces", name, ...Object.values(parameters).map(fileName)].join("/");
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${path}.js`;
    script.onload = () => {
      script.remove();
      const value = globalThis.oamlPiece;
      delete globalThis.oamlPiece;
      value === undefined ? reject(new Error(`${path}.js is broken.`)) : resolve(value);
    };
    script.onerror = () => {
      script.remove();
      reject(new Error(`This copy has no ${name.replaceAll("_", " ")} of that name.`));
    };
    document.head.append(script);
  });
}

/** A value as a file's name: the same as in `viewer/export.py`, which says of what the digest is. */
export function fileName(value) {
  const bytes = [...new TextEncoder().encode(String(value))];
  const letter = (byte) => String.fromCharCode(byte);
  const name = bytes
    .map((byte) => (/[0-9A-Za-z_-]/.test(letter(byte)) ? letter(byte) : `.${byte.toString(16).padStart(2, "0")}`))
    .join("");
  if (name.length <= MOST_NAME) return name;
  const add = (sum, byte) => BigInt.asUintN(64, (sum ^ BigInt(byte)) * 0x100000001b3n);
  const digest = bytes.reduce(add, 0xcbf29ce484222325n);
  return `${name.slice(0, MOST_NAME - 17)}.${digest.toString(16).padStart(16, "0")}`;
}

function embedded() {
  const element = document.getElementById("pieces");
  return element ? JSON.parse(element.textContent) : {};
}

async function embeddedPiece(name, parameters) {
  const key = [name, ...Object.values(parameters)].join("/");
  if (!(key in PIECES)) throw new Error("That isn't in this page, which holds one evaluation alone.");
  return PIECES[key];
}

function pictureUrl(kind, run, path) {
  if (STATIC === "page") return PIECES[`picture/${path}`] ?? "";
  if (STATIC === "files") return ["pictures", fileName(run), ...path.split("/").map(encodeURIComponent)].join("/");
  return `${kind}?${new URLSearchParams({ run, path })}`;
}

function loadPlotly() {
  if (STATIC === "page") return Promise.resolve(null);
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "plotly.min.js";
    script.onload = () => resolve(globalThis.Plotly);
    script.onerror = () => reject(new Error("The charts' library could not be loaded."));
    document.head.append(script);
  });
}

function once(make) {
  let made;
  return () => (made ??= make());
}

/**
 * See the contract in `viewer/pieces.py`: call `onChange` when what `fetch` gives is another than before.
 * `seconds` between two looks, or a function that gives them.
 */
function poll(fetch, onChange, seconds) {
  let last, timer, stopped, failed;
  const pause = () => (typeof seconds === "function" ? seconds() : seconds) * 1000 * (document.hidden ? 15 : 1);
  const ask = async () => {
    try {
      const value = await fetch();
      if (stopped) return;
      const now = JSON.stringify(value);
      if (now !== last || failed) onChange(value);
      [last, failed] = [now, false];
    } catch (error) {
      if (stopped) return;
      failed = true;
      onChange(null, error);
    }
    clearTimeout(timer); // One that was asked for meanwhile, as the page came into sight
    if (source.live && !stopped) timer = setTimeout(ask, pause());
  };
  const onVisible = () => {
    if (document.hidden || stopped || !source.live) return;
    clearTimeout(timer);
    ask();
  };
  document.addEventListener("visibilitychange", onVisible);
  ask();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", onVisible);
  };
}
