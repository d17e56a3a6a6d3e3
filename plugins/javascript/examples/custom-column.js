// A CRM column of our own shown in Outlook: the sales area of an appointment (column comm_area) is a category there,
// `Area: North`, and a category that somebody sets there goes back into the column.

const PREFIX = "Area: ";
/** @param {string} name */
const isArea = (name) => name.startsWith(PREFIX);

/** @type {Daybridge.Rule} */
export default {
  name: "custom-column",
  purpose: "Shows the CRM column comm_area as a category in Exchange, and takes it back",
  reads: ["categories", "custom.comm_area"],

  apply(appointment, draft, { direction }) {
    const others = draft.categories.filter((name) => !isArea(name));
    if (direction === "crm-to-exchange") {
      const area = appointment.custom.comm_area;
      draft.categories = area ? [...others, PREFIX + area] : others;
    } else {
      const category = appointment.categories.find(isArea);
      draft.custom.comm_area = category ? category.slice(PREFIX.length) : null;
      draft.categories = others;
    }
  },

  // Where both sides changed the column and the category, the CRM's people know better.
  resolve(conflict) {
    if (conflict.field === "custom.comm_area") return "crm";
  },
};
