// Own words for failures: what people of this company should do when the sync cannot go on. Stands before `messages.wasm` in
// the chain; what it says nothing about is worded there.

/** @type {Record<string, { title: string, hint: string, next?: Daybridge.NextStep }>} */
const WORDS = {
  "mailbox-full": {
    title: "Your mailbox is full",
    hint: "Empty the folder Deleted Items, then ask {helpdesk} to try again.",
  },
  "mailbox-missing": {
    title: "You have no mailbox yet",
    hint: "New colleagues get theirs on their first Monday. If it is later than that, tell {helpdesk}.",
  },
  "no-case": {
    title: "A support visit needs a case",
    hint: "Open the appointment in the CRM, choose the case, save. It goes to Outlook by itself then.",
    next: "retry",
  },
};

/** @type {Daybridge.Rule} */
export default {
  name: "custom-message",
  purpose: "Words some failures as our help desk does, and refuses support visits without a case",
  directions: ["crm-to-exchange"],
  reads: ["subject", "regarding"],
  settings: {
    helpdesk: { default: "the help desk", description: "Whom people turn to, with a telephone number" },
    word: { default: "Support", description: "Subjects that begin so need a case" },
  },

  apply(appointment, draft, { settings }) {
    const isVisit = appointment.subject.startsWith(settings.word);
    if (isVisit && !appointment.regarding.some((link) => link.entity === "case")) {
      refuse("no-case", "Choose the case this visit is for, then save again.", { field: "regarding" });
    }
  },

  explain(failure, { settings }) {
    const words = WORDS[failure.code];
    if (!words) return;
    return { ...words, text: failure.message, hint: words.hint.replace("{helpdesk}", settings.helpdesk) };
  },
};
