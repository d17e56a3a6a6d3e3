// The logic of tests/plugins/mapping as a rule in JavaScript.
export default {
  name: "mapping-script",
  purpose: "Does what implementers usually want",
  reads: ["subject", "body", "location", "attendees", "show-as", "categories", "custom.customer"],
  settings: { tag: { default: "[CRM] ", description: "Before the subject" } },

  apply(appointment, draft, { settings }) {
    if (!draft.subject.startsWith(settings.tag)) draft.subject = settings.tag + draft.subject;
    const count = (response) => appointment.attendees.filter((attendee) => attendee.response === response).length;
    const accepted = count("accepted"), declined = count("declined");
    const customer = appointment.custom.customer;
    if (typeof customer === "string") {
      const category = `Customer: ${customer}`;
      if (!draft.categories.includes(category)) draft.categories = [...draft.categories, category];
      draft.body = `${draft.body}\n\nCustomer: ${customer}\nAccepted: ${accepted}, declined: ${declined}`;
    }
    if (appointment.attendees.some((attendee) => attendee.kind === "resource")) draft.showAs = "out-of-office";
    if (!draft.location) draft.location = "Office";
  },
};
