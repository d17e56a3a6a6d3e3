"""A person at work in Exchange, through exchangelib: acts as told, one JSON object in, one out.

Usage: exchangelib_person.py < {"ews": URL, "users": [...], "login": NAME, "act": "create"|"move"|"delete"|"list",
"subject": TEXT, "start": ISO, "end": ISO, "body": TEXT, "attendees": [ADDRESS]}
Prints {"items": [{subject, body, start, end}]} of the person's calendar afterwards.
"""

import datetime
import json
import sys

from exchangelib import DELEGATE, Account, Attendee, CalendarItem, Configuration, Credentials, EWSDateTime, EWSTimeZone, Mailbox
from exchangelib.items import SEND_TO_ALL_AND_SAVE_COPY, SEND_TO_NONE

UTC = EWSTimeZone("UTC")


def instant(text):
    return EWSDateTime.from_datetime(datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))).astimezone(UTC)


def main(order):
    [user] = [user for user in order["users"] if user["login"] == order["login"]]
    config = Configuration(service_endpoint=order["ews"], credentials=Credentials(user["login"], user["password"]))
    account = Account(user["address"], config=config, autodiscover=False, access_type=DELEGATE, default_timezone=UTC)
    attendees = [Attendee(mailbox=Mailbox(email_address=address)) for address in order.get("attendees", [])]
    send = SEND_TO_ALL_AND_SAVE_COPY if attendees else SEND_TO_NONE
    if order["act"] == "create":
        CalendarItem(
            account=account, folder=account.calendar, subject=order["subject"], body=order.get("body", ""),
            start=instant(order["start"]), end=instant(order["end"]), required_attendees=attendees or None,
        ).save(send_meeting_invitations=send)
    elif order["act"] in ("move", "delete"):
        [item] = account.calendar.filter(subject=order["subject"])
        if order["act"] == "delete":
            item.delete(send_meeting_cancellations=SEND_TO_NONE)
        else:
            item.start, item.end = instant(order["start"]), instant(order["end"])
            item.save(update_fields=["start", "end"], send_meeting_invitations=send)
    items = [
        {
            "subject": item.subject,
            "body": item.text_body or "",
            "start": item.start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "end": item.end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for item in account.calendar.all()
    ]
    print(json.dumps({"items": items}))


main(json.load(sys.stdin))
