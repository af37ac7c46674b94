/* Updating a page in place, so that focus, selection and scroll stay where they are. */

/** `draw`, called only when what it is given is another than the last time. */
export function whenChanged(draw) {
  let last;
  return (...values) => {
    const now = JSON.stringify(values);
    if (now === last) return;
    last = now;
    draw(...values);
  };
}

/** `draw` what `parent` holds; what has the focus keeps it, if it is there after that. */
export function keepFocus(parent, draw) {
  const focused = document.activeElement;
  draw();
  // An element that is moved loses the focus.
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

/** Make `children` what `parent` holds, in their order, moving as few of them as a plain walk can. */
export function arrange(parent, children) {
  keepFocus(parent, () => {
    const wanted = new Set(children);
    for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
    let next = parent.firstElementChild;
    for (const child of children) {
      // The one before it has its place further on: it is the one to move, once its turn comes.
      if (next && next.nextElementSibling === child) next = child;
      if (next === child) next = child.nextElementSibling;
      else parent.insertBefore(child, next);
    }
  });
}
