/* Which samples are listed, and in which order: worked out from the verdicts, all samples at once. */

import { isNumber } from "./format.js";
import { isGraded, isRight, isWrong } from "./outcomes.js";

/** The filters: `holds(now, since, other)`, of the letters of the evaluation, the reference and the other run. */
export const FILTERS = [
  { name: "all", label: "All", holds: () => true },
  { name: "right", label: "Right", holds: (now) => isRight(now) },
  { name: "wrong", label: "Wrong", title: "All that aren't right", holds: (now) => isWrong(now) },
  { name: "unreadable", label: "Unreadable", title: "No action was found in the answer", holds: (now) => now === "u" },
  { name: "fixed", label: "Fixed", needs: "since", title: "Right now, wrong at the reference", holds: isFixed },
  { name: "broken", label: "Broken", needs: "since", title: "Wrong now, right at the reference", holds: isBroken },
  { name: "differ", label: "Differ", needs: "other", title: "The two verdicts aren't the same", holds: isDifferent },
  { name: "only-a", label: "Only A right", needs: "other", holds: (now, since, other) => isFixed(now, other) },
  { name: "only-b", label: "Only B right", needs: "other", holds: (now, since, other) => isBroken(now, other) },
];

export const SORTS = [
  { name: "", label: "In order" },
  { name: "far", label: "Farthest first" },
  { name: "near", label: "Nearest first" },
];

/** The filter of that name, if what it needs is there; else the one that lets all through. */
export function filterNamed(name, { since, other }) {
  const found = FILTERS.find((filter) => filter.name === name);
  return found && isAvailable(found, { since, other }) ? found : FILTERS[0];
}

/** Whether a filter can be used: some need another evaluation's or another run's letters. */
export function isAvailable(filter, { since, other }) {
  return !filter.needs || typeof { since, other }[filter.needs] === "string";
}

/**
 * The samples that pass, in order, and how many each filter would let through.
 *
 * @param {object} given `count`: samples in the set; `now`: the evaluation's verdicts; `since`, `other`: letters to
 *   compare with, or null; `show`: the filter's name; `sort`; `admits(index)`: whether group and text let a sample in
 * @returns {{indices: number[], counts: Object<string, number>}}
 */
export function filterSamples({ count, now, since, other, show, sort, admits }) {
  const chosen = filterNamed(show, { since, other });
  const usable = FILTERS.filter((filter) => isAvailable(filter, { since, other }));
  const counts = Object.fromEntries(usable.map((filter) => [filter.name, 0]));
  const indices = [];
  for (let index = 0; index < count; index++) {
    if (!admits(index)) continue;
    const letters = [now.outcome[index] ?? "-", since?.[index] ?? "-", other?.[index] ?? "-"];
    for (const filter of usable) if (filter.holds(...letters)) counts[filter.name]++;
    if (chosen.holds(...letters)) indices.push(index);
  }
  return { indices: sorted(indices, now.distance, sort), counts };
}

/** A test of the groups that are asked for, as `["platform:web", …]`: `(index) => boolean`. */
export function groupTest(groups, wanted) {
  const tests = Object.entries(groups).flatMap(([name, grouping]) => {
    const value = groupValue(name, wanted);
    return value === null ? [] : [{ codes: grouping?.codes ?? [], code: (grouping?.values ?? []).indexOf(value) }];
  });
  // A sample without a value has the code -1, as a value that there is none of would have.
  return (index) => tests.every(({ codes, code }) => code >= 0 && codes[index] === code);
}

/** One grouping's value as the URL has it: the colon is between the two alone. */
export function groupText(name, value) {
  return `${encoded(name)}:${encoded(value)}`;
}

/** The value that is asked for of one grouping, or null. */
export function groupValue(name, wanted) {
  const start = groupText(name, "");
  const found = wanted.find((group) => group.startsWith(start));
  return found === undefined ? null : decoded(found.slice(start.length));
}

/** `wanted` with another value of one grouping; null for none. */
export function withGroup(wanted, name, value) {
  const others = wanted.filter((group) => !group.startsWith(groupText(name, "")));
  return value === null ? others : [...others, groupText(name, value)];
}

/** One that is asked for, for people to read. */
export function groupWords(group) {
  return decoded(group.replace(":", " "));
}

function encoded(words) {
  return String(words).replaceAll("%", "%25").replaceAll(":", "%3A");
}

function decoded(words) {
  return words.replaceAll("%3A", ":").replaceAll("%25", "%");
}

function isFixed(now, before) {
  return isRight(now) && isWrong(before);
}

function isBroken(now, before) {
  return isWrong(now) && isRight(before);
}

function isDifferent(now, since, other) {
  return isGraded(now) && isGraded(other) && now !== other;
}

function sorted(indices, distance, sort) {
  if (sort !== "far" && sort !== "near") return indices;
  const sign = sort === "far" ? -1 : 1;
  // What has no distance comes last either way.
  const key = (index) => (isNumber(distance[index]) ? sign * distance[index] : Infinity);
  return indices.sort((a, b) => key(a) - key(b) || a - b);
}
