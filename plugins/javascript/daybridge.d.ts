// What a Daybridge rule in JavaScript finds and gives. Made from the rule contract: do not edit, `daybridge rules new` writes it again.
//
// An editor checks and completes a script that is written so:
//
//   // @ts-check
//   /// <reference path="./daybridge.d.ts" />
//   /** @type {Daybridge.Rule} */
//   export default { apply(appointment, draft, context) { ... } };

declare namespace Daybridge {
  /** When the appointment is: two instants, or whole days. */
  type Time = (Span & { allDay: false }) | (Days & { allDay: true });

  /** A new time: `zone` is an IANA name. The host writes the local texts itself. */
  type NewTime = { start: number; end: number; zone: string } | Days | Time;

  /** An attendee in a draft: who is not said to be anything is required and has not answered. */
  type NewAttendee = Partial<Attendee> & { address: string };

  /** The value of a custom field. */
  type Scalar = string | number | boolean | null;

  /** A kind of look-up. The operator must grant it, too. */
  type Lookup = "users" | "captions" | "key-values";

  /** Which way the appointment travels. */
  type Direction = "crm-to-exchange" | "exchange-to-crm";

  /** Two instants, the end not included. */
  interface Span {
    /** Seconds since 1970-01-01T00:00:00Z. */
    start: number;
    end: number;
    /** IANA name of the zone people think in, for example `Europe/Berlin`. */
    zone: string;
    /** Start as people there read it, for example `2026-11-24T10:00:00+01:00`; blank where the zone is unknown. Ignored in edits. */
    localStart: string;
    /** End, likewise. Ignored in edits. */
    localEnd: string;
  }

  /** First and last day, both included, as `YYYY-MM-DD`; days of nobody's zone. */
  interface Days {
    first: string;
    last: string;
  }

  /** Somebody by name and e-mail address (blank where the CRM has none). */
  interface Person {
    name: string;
    address: string;
  }

  /** How somebody is asked to come. A resource is a room or a thing. */
  type AttendeeKind = "required" | "optional" | "resource";

  /** What an attendee answered. `organizer` marks the organizer's own entry. */
  type Response = "none" | "tentative" | "accepted" | "declined" | "organizer";

  /** Somebody who is asked to come. */
  interface Attendee {
    name: string;
    address: string;
    /** Id of the CRM user with this address, where known. */
    user: string | null;
    kind: AttendeeKind;
    response: Response;
    /** When the answer was given, in seconds since 1970 UTC by the server's clock; for display only. */
    responded: number | null;
  }

  /** Another CRM record the appointment is about. */
  interface Link {
    /** `company`, `person`, `case`, `opportunity`, `lead`, `account`, `quote`, `order` or `solution`. */
    entity: string;
    id: string;
    name: string;
  }

  /** A user of the CRM. */
  interface User {
    readonly id: string;
    readonly logon: string;
    readonly firstName: string;
    readonly lastName: string;
    readonly address: string;
    /** Neither disabled nor deleted. */
    readonly active: boolean;
    /** A room, a car, or a user without a licence. */
    readonly resource: boolean;
  }

  /** A failure about to be told to people. */
  interface Failure {
    /** Stable code, for example `sign-in-refused`, `rule-deadline`, or a rule author's own. */
    readonly code: string;
    /** What will happen: `retry`, `down` (the server is away; everything waits), `conflict`, `auth` (waits for a person to mend the sign-in) or `park` (waits for a person). */
    readonly class: string;
    /** Which side (`crm`, `exchange`) or rule it came from. */
    readonly origin: string;
    readonly message: string;
    readonly hint: string;
    /** Key of the appointment, or blank. */
    readonly appointment: string;
    /** How often it was tried. */
    readonly attempts: number;
  }

  /** What becomes of an entry that failed. */
  type NextStep = "retry" | "park";

  /** What the sending side shows. For reading. */
  interface Appointment {
    /** The subject. */
    readonly subject: string;
    /** The description as plain text. */
    readonly body: string;
    /** The HTML the body came from, where its side has one. For reading: a new `body` replaces both. */
    readonly bodyHtml: string | null;
    /** Where it is. */
    readonly location: string;
    /** When it is. */
    readonly time: Time;
    /** Who invites. */
    readonly organizer: Person | null;
    /** Who is asked to come. */
    readonly attendees: readonly Attendee[];
    /** Whole minutes before the start, or null: no reminder. */
    readonly reminder: number | null;
    /** Who may see it. */
    readonly sensitivity: "normal" | "personal" | "private" | "confidential";
    /** How the time appears in the calendar. */
    readonly showAs: "busy" | "free" | "tentative" | "out-of-office" | "working-elsewhere";
    /** How much it matters. */
    readonly importance: "normal" | "low" | "high";
    /** How far the CRM's communication is. */
    readonly status: "pending" | "in-progress" | "complete" | "cancelled";
    /** The categories' names. */
    readonly categories: readonly string[];
    /** Join address of an online meeting. */
    readonly onlineMeeting: string | null;
    /** An RFC 5545 RRULE value; present on the master of a series. */
    readonly recurrence: string | null;
    /** What the appointment is about in the CRM. */
    readonly regarding: readonly Link[];
    /** Text of the CRM's column "Responses From Exchange". */
    readonly responses: string;
    /** CRM columns and Exchange named properties, by name. */
    readonly custom: { readonly [name: string]: Scalar | undefined };
  }

  /** What the other side will hold. Change it; null clears a field. */
  interface Draft {
    /** The subject. */
    get subject(): string;
    set subject(to: string | null);
    /** The description as plain text. */
    get body(): string;
    set body(to: string | null);
    /** The HTML the body came from, where its side has one. For reading: a new `body` replaces both. */
    readonly bodyHtml: string | null;
    /** Where it is. */
    get location(): string;
    set location(to: string | null);
    /** When it is. */
    get time(): Time;
    set time(to: NewTime);
    /** Who invites. */
    organizer: Person | null;
    /** Who is asked to come. */
    get attendees(): NewAttendee[];
    set attendees(to: readonly NewAttendee[] | null);
    /** Whole minutes before the start, or null: no reminder. */
    reminder: number | null;
    /** Who may see it. */
    sensitivity: "normal" | "personal" | "private" | "confidential";
    /** How the time appears in the calendar. */
    showAs: "busy" | "free" | "tentative" | "out-of-office" | "working-elsewhere";
    /** How much it matters. */
    importance: "normal" | "low" | "high";
    /** How far the CRM's communication is. */
    status: "pending" | "in-progress" | "complete" | "cancelled";
    /** The categories' names. */
    get categories(): string[];
    set categories(to: readonly string[] | null);
    /** Join address of an online meeting. */
    onlineMeeting: string | null;
    /** An RFC 5545 RRULE value; present on the master of a series. */
    recurrence: string | null;
    /** What the appointment is about in the CRM. */
    get regarding(): Link[];
    set regarding(to: readonly Link[] | null);
    /** Text of the CRM's column "Responses From Exchange". */
    get responses(): string;
    set responses(to: string | null);
    /** Whether the other side's copy should not exist. */
    removed: boolean;
    /** Whether the write may make Exchange send mail. A rule can only set it to false. */
    mailAllowed: boolean;
    /** CRM columns and Exchange named properties, by name; null or `delete` clears one. */
    custom: { [name: string]: Scalar | undefined };
  }

  /** A field that both sides changed to different values since they last agreed. */
  interface Conflict {
    /** The field's name as in `Appointment`, or `custom.NAME`. */
    readonly field: string;
    /** What both last agreed on. */
    readonly base: any;
    readonly crm: any;
    readonly exchange: any;
  }

  /** A rule's wording of a failure. */
  interface Explanation {
    /** One line: what happened. */
    title: string;
    /** Probable causes, for people. */
    text?: string;
    /** What to do. */
    hint?: string;
    /** What becomes of the entry, where the rule knows better than the host. */
    next?: NextStep;
  }

  /** What is known of the call besides the appointment. */
  interface Context {
    /** Which way the appointment travels; null in `explain` and `matchUser`. */
    readonly direction: Direction;
    /** The appointment's lasting key, for messages. */
    readonly key: string;
    /** The settings as the operator gave them, or their defaults. */
    readonly settings: { readonly [name: string]: any };
    readonly lookup: {
      /** The CRM user with that id. Needs `lookups: ["users"]`. */
      userById(id: string): User | null;
      /** The CRM user with that address, whatever its letter case. Needs `lookups: ["users"]`. */
      userByAddress(address: string): User | null;
      /** The text people see for a code of a CRM option list. Needs `lookups: ["captions"]`. */
      caption(family: string, code: string): string | null;
      /** A value kept with this appointment's pair. Needs `lookups: ["key-values"]`. */
      keyValue(name: string): string | null;
    };
  }

  /** A setting the operator can change: its default, or more about it. */
  type Setting =
    | string
    | number
    | boolean
    | string[]
    | {
        type?: "string" | "boolean" | "integer" | "number" | "array";
        default?: string | number | boolean | string[];
        description?: string;
        /** The words it can be, for a text. */
        enum?: string[];
      };

  /** What a script exports: `export default { ... }`. It needs one function; all else has a default. */
  interface Rule {
    /** Letters, digits, `-` and `_`; else the file's name. */
    name?: string;
    version?: string;
    /** One sentence for people. */
    purpose?: string;
    /** Names of the fields it looks at; else all. It is shown no others, which is what makes a call cheap. */
    reads?: string[];
    settings?: { [name: string]: Setting };
    lookups?: Lookup[];
    /** Else both. */
    directions?: Direction[];
    /** Judges an appointment: change the draft, or call `skip`, `hold` or `refuse`. */
    apply?(appointment: Appointment, draft: Draft, context: Context): void;
    /** Says who wins where both sides changed a field; nothing leaves it to the next rule. */
    resolve?(conflict: Conflict, appointment: Appointment, context: Context): "crm" | "exchange" | { value: any } | null | void;
    /** Puts a failure into words for people; nothing leaves it to the next rule. */
    explain?(failure: Failure, context: Context): Explanation | null | void;
    /** Chooses the CRM user for somebody of the Exchange directory: a candidate or its id, or nobody. */
    matchUser?(person: Person, candidates: readonly User[], context: Context): User | string | null | void;
  }
}

/** Ends the rule: none of the sync's business. Nothing is written, a copy that exists is left alone. */
declare function skip(reason: string): never;

/** Ends the rule: look again after so many seconds. */
declare function hold(seconds: number, reason: string): never;

/** Ends the rule: not to be synchronized as it is, with a stable code of your own and words for people. */
declare function refuse(code: string, message: string, more?: { field?: string; retry?: boolean }): never;

/** Lines for the operator. */
interface Console {
  debug(...parts: any[]): void;
  log(...parts: any[]): void;
  info(...parts: any[]): void;
  warn(...parts: any[]): void;
  error(...parts: any[]): void;
}
declare var console: Console;
