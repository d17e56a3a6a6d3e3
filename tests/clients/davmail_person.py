"""Acts as a person whose calendar program speaks CalDAV to DavMail.

Usage: davmail_person.py < {"base": URL of the calendar, "login", "password", "acts": [...]}
Each act is one of
  {"act": "put", "name", "uid", "subject", "body", "location", "start", "end"}   times as 20270208T090000, Europe/Berlin
  {"act": "delete", "name"}
  {"act": "list"}
Prints {"items": [...]} with what the last list showed: uid, subject, body, location, start.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree

import requests

ZONE = """BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19701025T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19700329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
END:VTIMEZONE
"""


def event(act):
    escape = lambda text: text.replace("\\", "\\\\").replace(",", "\\,").replace(";", "\\;").replace("\n", "\\n")
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Example//Calendar//EN", *ZONE.strip().split("\n")]
    lines += ["BEGIN:VEVENT", f"UID:{act['uid']}", "DTSTAMP:20270101T000000Z", f"SUMMARY:{escape(act['subject'])}"]
    lines += [f"DESCRIPTION:{escape(act.get('body', ''))}", f"LOCATION:{escape(act.get('location', ''))}"]
    lines += [f"DTSTART;TZID=Europe/Berlin:{act['start']}", f"DTEND;TZID=Europe/Berlin:{act['end']}"]
    lines += ["X-MICROSOFT-CDO-BUSYSTATUS:BUSY", "END:VEVENT", "END:VCALENDAR", ""]
    return "\r\n".join(lines).encode()


def properties(text):
    """The properties of the first event, by name."""
    text = text.replace("\r\n ", "").replace("\r\n\t", "")
    inside = text.split("BEGIN:VEVENT", 1)[1].split("END:VEVENT", 1)[0]
    found = {}
    for line in inside.splitlines():
        head, _, value = line.partition(":")
        plain = value.replace("\\n", "\n").replace("\\,", ",").replace("\\;", ";").replace("\\\\", "\\")
        found.setdefault(head.split(";")[0], plain)
    return found


def main(order):
    session = requests.Session()
    session.trust_env = False
    session.auth = (order["login"], order["password"])
    base, items = order["base"], []

    def ask(method, place, body=None, **headers):
        answer = session.request(method, place, data=body, headers=headers, timeout=120)
        assert answer.status_code < 300, f"{method} {place}: {answer.status_code} {answer.text}"
        return answer

    for act in order["acts"]:
        if act["act"] == "put":
            ask("PUT", base + act["name"], event(act), **{"Content-Type": "text/calendar; charset=utf-8"})
        elif act["act"] == "delete":
            ask("DELETE", base + act["name"])
        else:
            query = '<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/><C:calendar-data/></D:prop><C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"/></C:comp-filter></C:filter></C:calendar-query>'
            answer = ask("REPORT", base, query, Depth="1", **{"Content-Type": "text/xml"})
            items = []
            for data in ElementTree.fromstring(answer.content).iter("{urn:ietf:params:xml:ns:caldav}calendar-data"):
                of = properties(data.text)
                keys = {"uid": "UID", "subject": "SUMMARY", "body": "DESCRIPTION", "location": "LOCATION", "start": "DTSTART"}
                items.append({key: of.get(name, "").strip() for key, name in keys.items()})
    print(json.dumps({"items": items}))


if __name__ == "__main__":
    main(json.load(sys.stdin))
