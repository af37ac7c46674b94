/* Numbers, times and names as people read them. What isn't there is a dash. */

const NONE = "–";

// Made once: `toLocaleString` makes them for each call, which a list of a thousand runs feels.
const COUNTS = new Intl.NumberFormat("en");
const TIMES = new Intl.DateTimeFormat("en-GB", {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});

export function number(value, digits = 3) {
  return isNumber(value) ? value.toFixed(digits) : NONE;
}

/** A share as a percentage: 0.934 → "93.4 %". */
export function percent(value, digits = 1) {
  return isNumber(value) ? `${(value * 100).toFixed(digits)} %` : NONE;
}

/** A small or a large number with three figures: 0.00031 → "3.10e-4". */
export function figure(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

export function count(value) {
  return isNumber(value) ? COUNTS.format(Math.round(value)) : NONE;
}

/** Seconds as "1 h 04 min", "3 min 20 s", "12 s". */
export function duration(seconds) {
  if (!isNumber(seconds)) return NONE;
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  if (hours) return `${hours} h ${String(minutes).padStart(2, "0")} min`;
  return minutes ? `${minutes} min ${String(rest).padStart(2, "0")} s` : `${rest} s`;
}

/** A time in Unix seconds as the local date and time. */
export function time(seconds) {
  if (!isNumber(seconds)) return NONE;
  const at = new Date(seconds * 1000);
  if (Number.isNaN(at.getTime())) return NONE;
  return TIMES.format(at);
}

/** How long ago: "just now", "5 min ago", "3 h ago". */
export function ago(seconds, now = Date.now() / 1000) {
  if (!isNumber(seconds)) return NONE;
  const gone = now - seconds;
  if (gone < 10) return "just now";
  if (gone < 90) return `${Math.round(gone)} s ago`;
  if (gone < 5400) return `${Math.round(gone / 60)} min ago`;
  if (gone < 129600) return `${Math.round(gone / 3600)} h ago`;
  return `${Math.round(gone / 86400)} days ago`;
}

export function text(value) {
  return value === null || value === undefined || value === "" ? NONE : String(value);
}

/** An evaluation's name: "step 30", "base model", with its set where there are several. */
export function evaluationName(evaluation, sets = 1) {
  if (!evaluation) return NONE;
  const name = evaluation.baseline ? "base model" : `step ${count(evaluation.step)}`;
  return sets > 1 ? `${evaluation.set}, ${name}` : name;
}

/** The words with a capital letter first. */
export function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** How a run stands: what its chip says, and the chip's class. */
export function stateOf(run) {
  if (run.state === "training") return { name: "training", kind: "live" };
  if (run.state === "evaluating") return { name: "evaluating", kind: "live" };
  if (run.state === "died") return { name: "died: no sign of life", kind: "wrong" };
  if (run.state === "ended") {
    const name = run.outcome || "ended";
    return { name, kind: name === "finished" ? "right" : name.startsWith("failed") ? "wrong" : "warning" };
  }
  return { name: "state unknown", kind: "" };
}

export function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}
