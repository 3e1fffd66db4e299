// A place that lists something governed: drawn anew when a request of its workflow changes, with the forms of
// changes below the list.

import { h, refill, table } from "./dom.js";

/**
 * A place below a list for a form or a closer look: `open(content)` shows it and takes the keyboard there, `open(null)`
 * closes it and goes back.
 */
export function drawer() {
  const element = h("div", { tabindex: "-1" });
  let opener = null;
  const open = (content) => {
    if (!element.contains(document.activeElement)) opener = document.activeElement;
    element.replaceChildren(...(content ? [content] : []));
    if (!content) return (opener?.isConnected ? opener : document.getElementById("main")).focus();
    element.scrollIntoView({ block: "nearest" });
    element.focus({ preventScroll: true });
  };
  return { element, open };
}

/**
 * Draws the place. `fetch()` gives what is listed, `row(one, open)` its cells, whose buttons have labels that no other
 * one has; `open(element)` shows a form or a closer look below; `add` is the button of what may be asked for, if the
 * Member may.
 */
export function listing(app, { title, workflow, columns, empty, fetch, row, add }) {
  const { element: below, open } = drawer();
  const list = h("div", {});
  const draw = async () => {
    const all = await fetch();
    refill(
      list,
      table(
        columns,
        all.map((one) => row(one, open)),
        empty,
      ),
      app.main,
    );
  };
  const button =
    app.may(workflow, "initiate") &&
    h("button", { class: "primary", id: "add", onclick: () => open(add.form()) }, add.title);
  app.main.append(h("h1", {}, title), list, h("div", { class: "actions" }, button), below);
  const again = app.follow((request) => request.workflow === workflow, draw);
  return again();
}
