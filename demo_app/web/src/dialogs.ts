// The few questions that the page asks, in the browser's own dialog element.

import { ask, reason } from "./protocol";

const dialog = () => document.querySelector<HTMLDialogElement>("#dialog")!;

/** An element with a class, attributes and children. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

interface Field {
  key: string;
  label: string;
  value?: string;
  long?: boolean;
  hint?: string;
}

/** Show a form; `work` is called with what was filled in, and may refuse. */
function form(
  title: string,
  lead: string,
  fields: Field[],
  action: string,
  work: (values: Record<string, string>, made: HTMLElement) => Promise<void>,
): void {
  const inputs = new Map<string, HTMLInputElement | HTMLTextAreaElement>();
  const body = fields.map((field) => {
    const input = field.long
      ? element("textarea", { rows: "4", id: `field-${field.key}`, required: "", spellcheck: "false" })
      : element("input", { id: `field-${field.key}`, required: "", maxlength: "64", autocomplete: "off" });
    input.value = field.value ?? "";
    inputs.set(field.key, input);
    return element("div", { class: "field" }, element("label", { for: input.id }, field.label), input);
  });
  const problem = element("p", { class: "problem", role: "alert" });
  const submit = element("button", { type: "submit", class: "primary" }, action);
  const cancel = element("button", { type: "button", class: "quiet" }, "Cancel");
  cancel.onclick = () => dialog().close();
  const made = element(
    "form",
    { method: "dialog" },
    element("h2", {}, title),
    element("p", { class: "lead" }, lead),
    ...body,
    problem,
    element("div", { class: "actions" }, cancel, submit),
  );
  made.onsubmit = (event) => {
    event.preventDefault();
    submit.disabled = true;
    submit.textContent = "One moment…";
    problem.textContent = "";
    const values = Object.fromEntries([...inputs].map(([key, input]) => [key, input.value.trim()]));
    work(values, made).catch((error: unknown) => {
      problem.textContent = reason(error);
      submit.disabled = false;
      submit.textContent = action;
    });
  };
  show(made);
  [...inputs.values()].find((input) => !input.value)?.focus();
}

/** Show something to ask or to tell, under its heading; `kept` stays when Escape is pressed. */
export function show(content: HTMLElement, kept = false): void {
  dialog().setAttribute("closedby", kept ? "none" : "closerequest");
  dialog().oncancel = (event) => {
    if (kept) event.preventDefault(); // for browsers that do not know the attribute
  };
  dialog().setAttribute("aria-label", content.querySelector("h2")?.textContent ?? "");
  dialog().replaceChildren(content);
  if (!dialog().open) dialog().showModal();
  content.querySelector<HTMLElement>("button.primary")?.focus();
}

export function newSpace(me: string, done: (space: string) => void): void {
  const fields = [
    { key: "me", label: "What the others call you", value: me },
    { key: "name", label: "The space's name, for example Family" },
  ];
  form("Start a space", "A space holds notes, and the people who share them.", fields, "Start", async (values) => {
    const made = await ask<{ space: string; recoveryKey: string }>("/api/spaces", values);
    recovery(made.recoveryKey, () => done(made.space));
  });
}

function recovery(key: string, done: () => void): void {
  const close = element("button", { class: "primary" }, "I have written it down");
  close.onclick = () => {
    dialog().close();
    done();
  };
  show(
    element(
      "div",
      {},
      element("h2", {}, "The recovery key"),
      element("p", { class: "lead" }, "Shown this once. Keep it on paper, for when every device is lost. This version cannot use it yet."),
      element("code", { class: "key" }, key),
      element("div", { class: "actions" }, copyButton(key), close),
    ),
    true,
  );
}

export function joinSpace(me: string, done: (space: string) => void): void {
  const fields = [
    { key: "me", label: "What the others call you", value: me },
    { key: "ticket", label: "The ticket", long: true },
  ];
  const lead = "Paste the ticket that somebody has sent you. Whoever made it must be online, or come online.";
  form("Join with a ticket", lead, fields, "Join", async (values, made) => {
    const joined = await ask<{ space: string }>("/api/join", values);
    if (made.isConnected) dialog().close();
    done(joined.space);
  });
}

export async function invite(space: string, name: string): Promise<void> {
  const made = await ask<{ ticket: string; svg: string }>(`/api/spaces/${space}/invite`, {});
  const picture = element("div", { class: "qr", role: "img", "aria-label": "The ticket as a QR code" });
  picture.innerHTML = made.svg;
  const close = element("button", { class: "primary" }, "Done");
  close.onclick = () => dialog().close();
  show(
    element(
      "div",
      {},
      element("h2", {}, `Invite to ${name}`),
      element("p", { class: "lead" }, "Good for one person, for one day. Send it by a way that only that person reads."),
      picture,
      element("textarea", { class: "ticket", readonly: "", rows: "5", "aria-label": "The ticket" }, made.ticket),
      element("div", { class: "actions" }, copyButton(made.ticket), close),
    ),
  );
}

function copyButton(text: string): HTMLButtonElement {
  const button = element("button", { type: "button", class: "quiet" }, "Copy");
  button.onclick = () => {
    navigator.clipboard.writeText(text).then(
      () => (button.textContent = "Copied"),
      () => (button.textContent = "Select it, and copy by hand"),
    );
  };
  return button;
}
