// The logic of tests/plugins/mapping for script engines that get JSON and answer JSON.
function applyJson(question) {
  const { tag, source, draft } = JSON.parse(question);
  if (!draft.subject.startsWith(tag)) draft.subject = tag + draft.subject;
  const count = (response) => source.attendees.filter((attendee) => attendee.response === response).length;
  const accepted = count("accepted"), declined = count("declined");
  const customer = source.custom.customer;
  if (typeof customer === "string") {
    const category = `Customer: ${customer}`;
    if (!draft.categories.includes(category)) draft.categories.push(category);
    draft.body = `${draft.body}\n\nCustomer: ${customer}\nAccepted: ${accepted}, declined: ${declined}`;
  }
  if (source.attendees.some((attendee) => attendee.kind === "resource")) draft.show_as = "out-of-office";
  if (draft.location === "") draft.location = "Office";
  const { subject, body, location, show_as, categories } = draft;
  return JSON.stringify({ subject, body, location, show_as, categories });
}
