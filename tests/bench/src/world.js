// What the script engine's own functions do, on an appointment that came as JSON: the prelude sees no difference.
function makeWorld(prelude, fields, question) {
  const { tag, source } = JSON.parse(question);
  const people = source.attendees.map((attendee) => ({ user: "12", responded: null, ...attendee }));
  const known = {
    subject: source.subject,
    body: source.body,
    location: source.location,
    attendees: people,
    "show-as": source.show_as,
    categories: source.categories,
  };
  const host = {
    source: (name) => structuredCloneOf(known[name]),
    draft: () => undefined,
    before: (name) => structuredCloneOf(known[name]),
    customs: (draft) => (draft ? {} : { customer: source.custom.customer }),
    settings: () => ({ tag }),
    log() {},
  };
  const { edits } = prelude(host, fields).apply(globalThis.rule, "crm-to-exchange", "crm:4711");
  const after = { subject: source.subject, body: source.body, location: source.location, show_as: source.show_as };
  after.categories = source.categories;
  for (const [name, , value] of edits) after[name.replace("-", "_")] = value;
  return JSON.stringify(after);
}

// Every look at a field makes a value of its own, as it does across the border.
function structuredCloneOf(value) {
  if (Array.isArray(value)) return value.map(structuredCloneOf);
  return typeof value === "object" && value !== null ? { ...value } : value;
}
