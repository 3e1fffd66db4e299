// A place that lists something governed: drawn anew when a request of its workflow changes, with the forms of
// changes below the list.

import { h, table } from "./dom.js";

/**
 * Draws the place. `fetch()` gives what is listed, `row(one, open)` its cells, `open(element)` shows a form or a
 * closer look below; `add` is the button of what may be asked for, if the Member may.
 */
export async function listing(app, { title, workflow, columns, empty, fetch, row, add }) {
  const below = h("div", {});
  const list = h("div", {});
  const open = (element) => {
    below.replaceChildren(...(element ? [element] : []));
    below.scrollIntoView({ block: "nearest" });
  };
  const draw = async () => {
    const all = await fetch();
    list.replaceChildren(
      table(
        columns,
        all.map((one) => row(one, open)),
        empty,
      ),
    );
  };
  const button =
    app.may(workflow, "initiate") &&
    h("button", { class: "primary", id: "add", onclick: () => open(add.form()) }, add.title);
  app.main.append(h("h1", {}, title), list, h("div", { class: "actions" }, button || null), below);
  const told = ({ detail }) => detail.request.workflow === workflow && draw();
  app.connection.addEventListener("request", told, { signal: app.gone });
  await draw();
}
