// What a script finds in the world: appointment, draft, context, skip/hold/refuse, console. Evaluated once, when the
// engine is built; every call starts from a copy of the memory it leaves. A function of what the engine gives (`host`) and
// the table of fields.
//
// Promises: what an author misspells or mistypes is an error at the author's own line, never silently nothing; only what
// an author changed becomes an edit; nothing tells the time or a chance. Must not know: how values cross to the host.
(function (host, fields) {
  "use strict";
  const has = (object, name) => Object.prototype.hasOwnProperty.call(object, name);
  const camel = (name) => name.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase());

  // ---- No clock, no chance: the same appointment must give the same answer, whenever it is asked.

  const noClock = () => {
    throw new Error("a rule has no clock: the same appointment must give the same answer at any time");
  };
  const RealDate = Date;
  globalThis.Date = new Proxy(RealDate, {
    apply: noClock,
    construct: (target, given, made) => (given.length === 0 ? noClock() : Reflect.construct(target, given, made)),
  });
  RealDate.now = noClock;
  RealDate.prototype.constructor = globalThis.Date;
  Math.random = () => {
    throw new Error("a rule has no chance: the same appointment must give the same answer every time");
  };

  // ---- Words for mistakes.

  const list = (words) => words.map((word) => JSON.stringify(word)).join(", ");

  /** What a value is, without its content: an appointment's texts belong in no message. */
  function kindOf(value) {
    if (value === null || value === undefined) return String(value);
    if (typeof value === "string") return value === "" ? "a blank text" : "a text";
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    if (Array.isArray(value)) return "a list";
    if (typeof value === "function") return "a function";
    return typeof value === "object" ? "an object" : `a ${typeof value}`;
  }

  function mistake(path, wanted, value) {
    throw new Error(`${path} must be ${wanted}, not ${kindOf(value)}`);
  }

  /** The name that was probably meant: the one with the fewest letters to change, if they are few. */
  function meant(name, names) {
    const distance = (a, b) => {
      let row = Array.from({ length: b.length + 1 }, (_, at) => at);
      for (let i = 1; i <= a.length; i++) {
        const next = [i];
        for (let j = 1; j <= b.length; j++) {
          next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
        }
        row = next;
      }
      return row[b.length];
    };
    const plain = (text) => text.toLowerCase().replace(/[-_]/g, "");
    let best = null;
    for (const candidate of names) {
      const far = distance(plain(name), plain(candidate));
      if (far <= Math.min(3, candidate.length / 2) && (best === null || far < best.far)) best = { far, candidate };
    }
    return best === null ? `; there are: ${names.join(", ")}` : `; did you mean ${best.candidate}?`;
  }

  /** Lets an error that no line of the script threw point at one of its functions. */
  function at(near, work) {
    try {
      return work();
    } catch (error) {
      if (error instanceof Error && typeof near === "function" && near.lineNumber > 0) {
        error.place ??= `${near.fileName}:${near.lineNumber}:${near.columnNumber}`;
      }
      throw error;
    }
  }

  /** A prototype that makes reading and writing of names that are not there an error. */
  function strict(owner, names) {
    const harmless = (key) => typeof key !== "string" || key in Object.prototype || key === "toJSON" || key === "then";
    const complain = (key) => {
      throw new Error(`${owner} has no ${key}${meant(key, names)}`);
    };
    return new Proxy(Object.prototype, {
      get: (target, key, receiver) => (harmless(key) ? Reflect.get(target, key, receiver) : complain(key)),
      set: (_, key) => complain(String(key)),
    });
  }

  function checkNames(owner, object, names) {
    for (const name of Object.keys(object)) {
      if (!names.includes(name)) throw new Error(`${owner} has no ${name}${meant(name, names)}`);
    }
  }

  // ---- Values: each check gives the value in the form that crosses to the host.

  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
  const blank = (value) => value === null || value === undefined;

  function text(path, value) {
    return typeof value === "string" ? value : mistake(path, "a text", value);
  }

  function whole(path, value, wanted) {
    return Number.isSafeInteger(value) ? value : mistake(path, wanted, value);
  }

  function choice(path, value, words) {
    if (words.includes(value)) return value;
    const shown = typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : kindOf(value);
    throw new Error(`${path} must be one of ${list(words)}, not ${shown}`);
  }

  function each(path, value, check) {
    if (!Array.isArray(value)) mistake(path, "a list", value);
    return value.map((item, at) => check(`${path}[${at}]`, item));
  }

  function record(path, value, wanted, names) {
    if (!isObject(value)) mistake(path, wanted, value);
    checkNames(path, value, names);
    return value;
  }

  function time(path, value) {
    const wanted = "{ start, end, zone } or { first, last }";
    const names = ["allDay", "start", "end", "zone", "localStart", "localEnd", "first", "last"];
    const given = record(path, value, wanted, names);
    if (has(given, "first") || given.allDay === true) {
      const day = (name) => {
        const at = given[name];
        const good = typeof at === "string" && /^\d{4}-\d\d-\d\d$/.test(at);
        return good ? at : mistake(`${path}.${name}`, "a day as YYYY-MM-DD", at);
      };
      return { allDay: true, first: day("first"), last: day("last") };
    }
    const seconds = "whole seconds since 1970 UTC";
    return {
      allDay: false,
      start: whole(`${path}.start`, given.start, seconds),
      end: whole(`${path}.end`, given.end, seconds),
      zone: text(`${path}.zone`, given.zone),
      localStart: given.localStart ?? "",
      localEnd: given.localEnd ?? "",
    };
  }

  function person(path, value) {
    const given = record(path, value, "{ name, address }", ["name", "address"]);
    return { name: text(`${path}.name`, given.name ?? ""), address: text(`${path}.address`, given.address ?? "") };
  }

  const attendeeNames = ["name", "address", "user", "kind", "response", "responded"];
  const attendeeKinds = ["required", "optional", "resource"];
  const responses = ["none", "tentative", "accepted", "declined", "organizer"];

  function attendee(path, value) {
    const given = record(path, value, "{ name, address, kind, response }", attendeeNames);
    return {
      name: text(`${path}.name`, given.name ?? ""),
      address: text(`${path}.address`, given.address),
      user: blank(given.user) ? null : text(`${path}.user`, given.user),
      kind: choice(`${path}.kind`, given.kind ?? "required", attendeeKinds),
      response: choice(`${path}.response`, given.response ?? "none", responses),
      responded: blank(given.responded) ? null : whole(`${path}.responded`, given.responded, "whole seconds since 1970 UTC"),
    };
  }

  function link(path, value) {
    const given = record(path, value, "{ entity, id, name }", ["entity", "id", "name"]);
    return {
      entity: text(`${path}.entity`, given.entity),
      id: text(`${path}.id`, given.id),
      name: text(`${path}.name`, given.name ?? ""),
    };
  }

  const isText = (value) => typeof value === "string";
  const isTexts = (value) => Array.isArray(value) && value.every(isText);

  const checks = {
    text: (path, value) => text(path, value),
    flag: (path, value) => (typeof value === "boolean" ? value : mistake(path, "true or false", value)),
    number: (path, value) => {
      const wanted = "a whole number of minutes, or null";
      return whole(path, value, wanted) >= 0 ? value : mistake(path, wanted, value);
    },
    choice: (path, value, field) => choice(path, value, field.words),
    texts: (path, value) => (isTexts(value) ? value.slice() : each(path, value ?? [], text)),
    time,
    person,
    people: (path, value) => each(path, value ?? [], attendee),
    links: (path, value) => each(path, value ?? [], link),
  };

  /** What crosses for a field's new value: the word for its kind, and the value. */
  function crossing(path, value, field) {
    if (value === undefined) mistake(path, "a value, or null for none", value);
    if (value === null && (field.kind === "text" || field.optional)) return ["empty", null];
    const checked = checks[field.kind](path, value, field);
    if (checked === "") return ["empty", null];
    return [field.kind === "choice" ? "text" : field.kind, checked];
  }

  function scalar(path, value) {
    if (value === null) return ["empty", null];
    if (typeof value === "string") return value === "" ? ["empty", null] : ["text", value];
    if (typeof value === "boolean") return ["flag", value];
    return ["number", whole(path, value, "a text, a whole number, true, false, or null for none")];
  }

  /** What a field is where the sending side has no value for it. */
  function nothing(field) {
    if (field.kind === "texts" || field.kind === "people" || field.kind === "links") return [];
    if (has(field, "default")) return field.default;
    if (field.kind === "choice") return field.words[0];
    return field.kind === "text" && !field.optional ? "" : null;
  }

  function same(a, b) {
    if (a === b) return true;
    if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
    const names = Object.keys(a);
    return names.length === Object.keys(b).length && names.every((name) => has(b, name) && same(a[name], b[name]));
  }

  /** Loops by number, here and where a call of every rule passes: an iterator costs as much as what it goes through. */
  function freeze(value) {
    if (typeof value === "object" && value !== null) {
      const names = Object.keys(value);
      for (let at = 0; at < names.length; at++) {
        const inner = value[names[at]];
        if (typeof inner === "object") freeze(inner);
      }
      Object.freeze(value);
    }
    return value;
  }

  // ---- Appointment and draft. Fields are fetched when they are looked at, so that a rule pays for what it reads.

  // Worked out here, once, and not in every call.
  for (const field of fields) {
    field.shown = camel(field.name);
    field.path = `draft.${field.shown}`;
  }
  const both = fields.filter((field) => !field.draft);
  const writable = fields.filter((field) => !field.reading);
  const readable = (value, field) => value ?? nothing(field);
  let reads = null;

  const isShown = (name) =>
    reads === null || reads.includes(name) || (name.startsWith("custom.") && reads.includes("custom.*"));

  function checkRead(owner, field) {
    if (!isShown(field.name)) {
      throw new Error(`${owner}.${field.shown} is not shown to this rule: name it in reads`);
    }
  }

  const appointment = Object.create(strict("appointment", [...both.map((field) => field.shown), "custom"]));
  const known = { __proto__: null };
  for (const field of both) {
    const shown = field.shown;
    Object.defineProperty(appointment, shown, {
      enumerable: true,
      get() {
        if (shown in known) return known[shown];
        checkRead("appointment", field);
        return (known[shown] = freeze(readable(host.source(field.name), field)));
      },
      set() {
        throw new Error(`appointment.${shown} is for reading; change draft.${shown}`);
      },
    });
  }
  Object.defineProperty(appointment, "custom", {
    enumerable: true,
    get: () => known.custom ?? (known.custom = Object.freeze(host.customs(false))),
    set() {
      throw new Error("appointment.custom is for reading; change draft.custom");
    },
  });
  Object.preventExtensions(appointment);

  /** What the draft held before this rule. A text, a number or a flag cannot be changed from within: it crosses once. */
  const first = { __proto__: null };
  const before = (field) => {
    const { shown } = field;
    if (shown in first) return first[shown];
    const value = readable(host.before(field.name), field);
    return typeof value === "object" && value !== null ? value : (first[shown] = value);
  };
  /** The same to compare with: what the script looked at in the appointment need not cross again. */
  const unchanged = (field) => {
    if (!(field.shown in known) || field.shown in first) return before(field);
    const of = host.draft(field.name);
    return of === undefined ? known[field.shown] : readable(of, field);
  };
  const customBefore = () => {
    const custom = host.customs(false);
    for (const [name, value] of Object.entries(host.customs(true))) {
      if (value === null) delete custom[name];
      else custom[name] = value;
    }
    return custom;
  };

  const now = { __proto__: null };
  const draft = Object.create(strict("draft", [...fields.map((field) => field.shown), "custom"]));
  for (const field of fields) {
    const { shown, path } = field;
    Object.defineProperty(draft, shown, {
      enumerable: true,
      get() {
        if (shown in now) return now[shown];
        if (!field.draft) checkRead("draft", field);
        return (now[shown] = before(field));
      },
      set(value) {
        if (field.reading) throw new Error(`${path} is for reading`);
        crossing(path, value, field);
        now[shown] = value === null ? nothing(field) : value;
        if (field.name === "mail-allowed" && value && !before(field)) {
          throw new Error("draft.mailAllowed can only be set to false");
        }
      },
    });
  }
  let custom = null;
  /** Custom fields that were set without being read. */
  const unseen = new Set();
  Object.defineProperty(draft, "custom", {
    enumerable: true,
    get() {
      custom ??= new Proxy(customBefore(), {
        set(target, name, value) {
          scalar(`draft.custom.${String(name)}`, value);
          if (!isShown(`custom.${String(name)}`)) unseen.add(name);
          if (value === null) delete target[name];
          else target[name] = value;
          return true;
        },
      });
      return custom;
    },
    set(value) {
      if (!isObject(value)) mistake("draft.custom", "an object", value);
      for (const name of Object.keys(draft.custom)) if (!has(value, name)) delete custom[name];
      Object.assign(custom, value);
    },
  });
  Object.preventExtensions(draft);

  /** The fields in which the draft differs from what it was. Checks again what may have been changed from within. */
  function edits() {
    const found = [];
    for (let at = 0; at < writable.length; at++) {
      const field = writable[at];
      const { shown, path } = field;
      if (!(shown in now)) continue;
      const was = unchanged(field);
      // What is not shown may hold anything: there the author's word counts, whatever it is.
      const known = field.draft || isShown(field.name);
      if (known && same(was, now[shown])) continue;
      const [kind, value] = crossing(path, now[shown], field);
      if (!known || !same(value, was)) found.push([field.name, kind, value]);
    }
    if (custom === null) return found;
    const was = customBefore();
    for (const name of [...Object.keys(was), ...unseen]) {
      if (!has(custom, name)) found.push([`custom.${name}`, "empty", null]);
    }
    for (const [name, value] of Object.entries(custom)) {
      if (was[name] !== value) found.push([`custom.${name}`, ...scalar(`draft.custom.${name}`, value)]);
    }
    return found;
  }

  // ---- Verdicts.

  let hook = null;
  let verdict = null;
  const STOP = { toString: () => "the end of this rule: its verdict was given" };

  function end(name, given) {
    if (hook !== "apply") throw new Error(`${name}() can be used in apply only`);
    verdict ??= { kind: name, ...given };
    throw STOP;
  }

  function words(name, what, value) {
    if (typeof value !== "string" || value.trim() === "") {
      throw new Error(`${name}() needs ${what}, not ${kindOf(value)}`);
    }
    return value;
  }

  const verdicts = {
    skip(reason) {
      end("skip", { reason: words("skip", 'a reason: skip("why")', reason) });
    },
    hold(seconds, reason) {
      const example = 'seconds and a reason: hold(600, "why")';
      if (!Number.isSafeInteger(seconds) || seconds < 1 || seconds > 0xffffffff) {
        throw new Error(`hold() needs ${example}, not ${kindOf(seconds)}`);
      }
      end("hold", { seconds, reason: words("hold", example, reason) });
    },
    refuse(code, message, more = {}) {
      const example = 'a code and words for people: refuse("no-case", "Choose a case")';
      words("refuse", example, code);
      words("refuse", example, message);
      record("refuse()'s third argument", more, "{ field, retry }", ["field", "retry"]);
      const field = blank(more.field) ? null : contractName(text("refuse()'s field", more.field));
      end("refuse", { code, message, field, retry: more.retry === true });
    },
  };

  // ---- Context.

  const show = (value) => {
    if (typeof value === "string") return value;
    if (value instanceof Error) return value.stack ? `${value}\n${value.stack}` : String(value);
    try {
      return JSON.stringify(value) ?? String(value);
    } catch {
      return String(value);
    }
  };
  const writer = (level) => (...parts) => host.log(level, parts.map(show).join(" "));
  const console = {
    debug: writer("debug"),
    log: writer("info"),
    info: writer("info"),
    warn: writer("warn"),
    error: writer("error"),
  };

  const lookup = Object.freeze({
    userById: (id) => host.user(text("userById()'s id", id), true),
    userByAddress: (address) => host.user(text("userByAddress()'s address", address), false),
    caption: (family, code) => host.caption(text("caption()'s family", family), text("caption()'s code", String(code))),
    keyValue: (name) => host.keyValue(text("keyValue()'s name", name)),
    __proto__: strict("context.lookup", ["userById", "userByAddress", "caption", "keyValue"]),
  });

  const anyContext = strict("context", ["direction", "key", "settings", "lookup"]);

  function context(direction, key) {
    let settings = null;
    return Object.freeze({
      direction,
      key,
      lookup,
      get settings() {
        if (settings === null) {
          const given = host.settings();
          settings = freeze(Object.setPrototypeOf(given, strict("context.settings", Object.keys(given))));
        }
        return settings;
      },
      __proto__: anyContext,
    });
  }

  // ---- The rule.

  const contract = { __proto__: null };
  for (const { shown, name } of fields) contract[shown] = name;
  const contractName = (name) => contract[name] ?? name;
  const shownName = (name) => (name.startsWith("custom.") ? name : camel(name));

  const ruleNames = ["name", "version", "purpose", "reads", "settings", "lookups", "directions"];
  const hooks = { apply: "apply", resolve: "resolve", explain: "explain", matchUser: "match-user" };
  const directions = ["crm-to-exchange", "exchange-to-crm"];
  const lookups = ["users", "captions", "key-values"];

  function schemaOf(settings) {
    const properties = {};
    for (const [name, given] of Object.entries(settings)) {
      const path = `settings.${name}`;
      if (isObject(given)) {
        record(path, given, "an object", ["type", "default", "description", "enum", "items", "minimum", "maximum"]);
        const type = given.type ?? typeName(path, given.default);
        properties[name] = { description: "", ...given, type, ...(type === "array" ? { items: { type: "string" } } : {}) };
      } else {
        properties[name] = { type: typeName(path, given), default: given, description: "" };
        if (Array.isArray(given)) properties[name].items = { type: "string" };
      }
    }
    return JSON.stringify({ type: "object", additionalProperties: false, properties });
  }

  function typeName(path, value) {
    if (typeof value === "string" || typeof value === "boolean") return typeof value;
    if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
    if (Array.isArray(value)) return "array";
    return mistake(path, "a default (a text, a number, true, false or a list of texts) or { type, default, description }", value);
  }

  /** A function of the rule, for errors about the whole of it. */
  const within = (rule) => Object.values(rule).find((value) => typeof value === "function");

  /** Once, when the rule is loaded; calls only look at what it reads. */
  function checkRule(rule) {
    if (!isObject(rule)) throw new Error("the script must export the rule: export default { apply(appointment, draft) { ... } }");
    const names = [...ruleNames, ...Object.keys(hooks)];
    const strange = Object.keys(rule).find((name) => !names.includes(name));
    if (strange !== undefined) {
      at(typeof rule[strange] === "function" ? rule[strange] : within(rule), () => checkNames("the rule", rule, names));
    }
    at(within(rule), () => checkParts(rule));
  }

  function checkParts(rule) {
    for (const name of Object.keys(hooks)) {
      if (has(rule, name) && typeof rule[name] !== "function") mistake(name, "a function", rule[name]);
    }
    if (!Object.keys(hooks).some((name) => has(rule, name))) {
      throw new Error(`the rule does nothing: give it one of ${Object.keys(hooks).join(", ")}`);
    }
    if (!blank(rule.reads)) each("reads", rule.reads, text);
  }

  /** The fields the rule is shown, by their names in the contract; null: all. */
  const readsOf = (rule) => (blank(rule.reads) || rule.reads.length === 0 ? null : rule.reads.map(contractName));

  function description(rule, file) {
    const schema = blank(rule.settings) ? "" : schemaOf(record("settings", rule.settings, "an object", Object.keys(rule.settings ?? {})));
    const reads = readsOf(rule) ?? [];
    for (const name of reads) {
      const field = name.startsWith("custom.") || both.some((known) => known.name === name);
      if (!field) throw new Error(`reads has no field ${name}${meant(name, both.map((known) => camel(known.name)))}`);
    }
    return {
      name: text("name", rule.name ?? file.replace(/\.js$/, "").replace(/[^A-Za-z0-9_-]/g, "-").slice(0, 64)),
      version: text("version", rule.version ?? "1.0.0"),
      purpose: text("purpose", rule.purpose ?? ""),
      hooks: Object.keys(hooks).filter((name) => has(rule, name)).map((name) => hooks[name]),
      directions: each("directions", rule.directions ?? directions, (path, way) => choice(path, way, directions)),
      reads,
      schema,
      lookups: each("lookups", rule.lookups ?? [], (path, kind) => choice(path, kind, lookups)),
    };
  }

  /** Calls a hook. Promises would never be kept: there is nothing to wait for and the instance ends with the call. */
  function call(rule, name, ...given) {
    hook = name;
    const answer = rule[name](...given);
    if (isObject(answer) && typeof answer.then === "function") {
      throw new Error(`${name} must not be async: a rule has nothing to wait for`);
    }
    return answer;
  }

  function apply(rule, direction, key) {
    reads = readsOf(rule);
    try {
      call(rule, "apply", appointment, draft, context(direction, key));
    } catch (error) {
      if (error !== STOP) throw error;
    }
    return verdict ?? { kind: "pass", edits: edits() };
  }

  function resolve(rule, direction, key, conflicts) {
    reads = readsOf(rule);
    const decided = [];
    for (const { field, base, crm, exchange } of conflicts) {
      const asked = freeze({ field: shownName(field), base, crm, exchange });
      const answer = call(rule, "resolve", asked, appointment, context(direction, key));
      if (blank(answer)) continue;
      if (isObject(answer)) {
        record("resolve's answer", answer, '"crm", "exchange" or { value }', ["value"]);
        const path = "resolve's value";
        const known = fields.find((one) => one.name === field);
        decided.push([field, "other", ...(known ? crossing(path, answer.value, known) : scalar(path, answer.value ?? null))]);
      } else if (answer === "crm" || answer === "exchange") {
        decided.push([field, answer]);
      } else {
        mistake("resolve's answer", '"crm", "exchange", { value } or nothing', answer);
      }
    }
    return decided;
  }

  function explain(rule, failure) {
    const answer = call(rule, "explain", freeze(failure), context(null, failure.appointment));
    if (blank(answer)) return null;
    const given = record("explain's answer", answer, "{ title, text, hint }", ["title", "text", "hint", "next"]);
    return {
      title: text("explain's title", given.title),
      text: text("explain's text", given.text ?? ""),
      hint: text("explain's hint", given.hint ?? ""),
      next: blank(given.next) ? null : choice("explain's next", given.next, ["retry", "park"]),
    };
  }

  function matchUser(rule, who, candidates) {
    const answer = call(rule, "matchUser", freeze(who), freeze(candidates), context(null, ""));
    if (blank(answer)) return null;
    return isObject(answer) && typeof answer.id === "string" ? answer.id : text("matchUser's answer", answer);
  }

  for (const [name, value] of Object.entries({ ...verdicts, console })) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
  }
  delete globalThis.performance;
  return {
    describe(rule, file) {
      checkRule(rule);
      return at(within(rule), () => description(rule, file));
    },
    apply: (rule, ...given) => at(rule.apply, () => apply(rule, ...given)),
    resolve: (rule, ...given) => at(rule.resolve, () => resolve(rule, ...given)),
    explain: (rule, ...given) => at(rule.explain, () => explain(rule, ...given)),
    matchUser: (rule, ...given) => at(rule.matchUser, () => matchUser(rule, ...given)),
  };
})
