"""Drives an EWS server with exchangelib as its users do: no hints about version or sign-in.

Usage: exchangelib_cases.py CASE < {"ews": URL, "users": [{name, address, login, password, role}]}
Ends with 0 if the server did what the case says. Progress goes to stderr.
"""

import datetime
import json
import os
import socketserver
import sys
import threading

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from exchangelib import (
    DELEGATE,
    IMPERSONATION,
    Account,
    Attendee,
    CalendarItem,
    Configuration,
    Credentials,
    EWSDate,
    EWSDateTime,
    EWSTimeZone,
    ExtendedProperty,
    FileAttachment,
    HTMLBody,
    Identity,
    Mailbox,
    OAUTH2,
    OAuth2Credentials,
)
from exchangelib.autodiscover import Autodiscovery
from exchangelib.errors import (
    ErrorAccessDenied,
    ErrorAttachmentSizeLimitExceeded,
    ErrorImpersonateUserDenied,
    ErrorItemNotFound,
    UnauthorizedError,
)
from exchangelib.items import SEND_ONLY_TO_ALL, SEND_TO_ALL_AND_SAVE_COPY, MeetingRequest
from exchangelib.properties import CreatedEvent, DeletedEvent, ModifiedEvent, StatusEvent
from exchangelib.recurrence import Recurrence, WeeklyPattern

ZONE = EWSTimeZone("Europe/Paris")


class CrmId(ExtendedProperty):
    property_set_id = "66f5a359-4659-4638-81a3-d1d2b2f5c5b4"
    property_name = "CrmId"
    property_type = "String"


CalendarItem.register("crm_id", CrmId)


class World:
    def __init__(self, given):
        self.endpoint = given["ews"]
        self.users = {user["login"]: user for user in given["users"]}
        self.app = given["app"]

    def config(self, login, password=None):
        user = self.users[login]
        credentials = Credentials(user["login"], password or user["password"])
        # One of them may be held by a stream.
        return Configuration(service_endpoint=self.endpoint, credentials=credentials, max_connections=2)

    def account(self, login, **kwargs):
        user = self.users[login]
        kwargs.setdefault("config", self.config(login))
        kwargs.setdefault("access_type", DELEGATE)
        return Account(user["address"], autodiscover=False, default_timezone=ZONE, **kwargs)

    def address(self, login):
        return self.users[login]["address"]


def at(day, hour, minute=0):
    return EWSDateTime(2027, 2, day, hour, minute, tzinfo=ZONE)


def appointment(account, **kwargs):
    values = dict(folder=account.calendar, account=account, subject="Site visit", start=at(8, 9), end=at(8, 10))
    return CalendarItem(**(values | kwargs))


def crud(world):
    susan = world.account("susan.maye")
    assert susan.version.build.major_version == 15, susan.version
    item = appointment(
        susan,
        body="Bring samples\r\nand a hat",
        location="Plant 2",
        categories=["Red", "Blue & green <b>"],
        sensitivity="Private",
        importance="High",
        reminder_is_set=True,
        reminder_minutes_before_start=45,
        legacy_free_busy_status="OOF",
        crm_id="70412",
    ).save()
    assert item.id and item.changekey
    read = susan.calendar.get(id=item.id, changekey=item.changekey)
    assert read.subject == "Site visit" and read.body == "Bring samples\r\nand a hat", (read.subject, read.body)
    assert read.location == "Plant 2" and read.categories == ["Red", "Blue & green <b>"]
    assert read.sensitivity == "Private" and read.importance == "High"
    assert read.reminder_is_set and read.reminder_minutes_before_start == 45
    assert read.legacy_free_busy_status == "OOF" and read.crm_id == "70412"
    assert (read.start, read.end) == (at(8, 9), at(8, 10)), (read.start, read.end)
    assert read._start_timezone == ZONE, read._start_timezone
    assert read.uid.startswith("040000008200E00074C5B7101A82E008"), read.uid
    assert read.type == "Single" and read.my_response_type == "Unknown" and not read.is_meeting
    before = read.changekey
    read.subject = "Site visit moved"
    read.start, read.end = at(8, 14), at(8, 15, 30)
    read.body = HTMLBody("<p>Bring <b>more</b> samples</p>")
    read.save(update_fields=["subject", "start", "end", "body"])
    assert read.changekey != before
    again = susan.calendar.get(id=item.id)
    assert again.subject == "Site visit moved" and again.start == at(8, 14) and again.duration == "PT1H30M"
    assert "<b>more</b>" in again.body and again.text_body.strip() == "Bring more samples", again.text_body
    assert again.location == "Plant 2"
    again.categories = None
    again.save()  # every writable field
    assert susan.calendar.get(id=item.id).categories is None
    day = appointment(susan, subject="Fair", start=EWSDate(2027, 3, 1), end=EWSDate(2027, 3, 2), is_all_day=True).save()
    day = susan.calendar.get(id=day.id)
    assert day.is_all_day and (day.start, day.end) == (EWSDate(2027, 3, 1), EWSDate(2027, 3, 2)), (day.start, day.end)
    again.refresh()
    again.delete()
    day.move_to_trash()
    assert susan.calendar.all().count() == 0 and susan.trash.all().count() == 1


def meeting(world):
    susan, terry = world.account("susan.maye"), world.account("terry.smith")
    invited = [world.address("terry.smith"), "customer@elsewhere.test"]
    item = appointment(
        susan,
        body="Agenda",
        required_attendees=[Attendee(mailbox=Mailbox(email_address=address)) for address in invited],
        optional_attendees=[Attendee(mailbox=Mailbox(email_address=world.address("mary.jones")))],
    )
    item.save(send_meeting_invitations=SEND_TO_ALL_AND_SAVE_COPY)
    mine = susan.calendar.get(id=item.id)
    assert mine.my_response_type == "Organizer" and mine.meeting_request_was_sent and mine.is_meeting
    copy = terry.calendar.get(subject="Site visit")
    assert copy.uid == mine.uid and copy.id != mine.id
    assert copy.my_response_type == "NoResponseReceived" and copy.legacy_free_busy_status == "Tentative"
    assert copy.organizer.email_address == world.address("susan.maye") and copy.body == "Agenda"
    request = terry.inbox.get(subject="Site visit")
    assert isinstance(request, MeetingRequest), request
    assert request.associated_calendar_item_id.id == copy.id
    before = mine.changekey
    copy.accept()
    mine = susan.calendar.get(id=item.id)
    assert mine.changekey != before
    answers = {attendee.mailbox.email_address: attendee for attendee in mine.required_attendees}
    assert answers[invited[0]].response_type == "Accept" and answers[invited[0]].last_response_time
    assert answers[invited[1]].response_type == "Unknown"
    assert terry.calendar.get(subject="Site visit").my_response_type == "Accept"
    assert susan.inbox.get(subject="Accepted: Site visit").response_type == "Accept"
    # Answering from the inbox, as an Outlook user does.
    mary = world.account("mary.jones")
    mary.inbox.get(subject="Site visit").tentatively_accept()
    mine = susan.calendar.get(id=item.id)
    assert mine.optional_attendees[0].response_type == "Tentative"
    # A new time asks everybody again.
    mine.start, mine.end = at(9, 9), at(9, 10)
    mine.save(update_fields=["start", "end"], send_meeting_invitations=SEND_TO_ALL_AND_SAVE_COPY)
    moved = terry.calendar.get(subject="Site visit")
    assert moved.start == at(9, 9) and moved.my_response_type == "NoResponseReceived"
    moved.decline()
    assert terry.calendar.all().count() == 0
    mine = susan.calendar.get(id=item.id)
    assert [a.response_type for a in mine.required_attendees] == ["Decline", "Unknown"]
    mine.cancel()
    assert susan.calendar.all().count() == 0 and mary.calendar.all().count() == 0
    assert mary.inbox.filter(subject="Canceled: Site visit").count() == 1
    second = appointment(
        susan, subject="Short", required_attendees=[Attendee(mailbox=Mailbox(email_address=invited[0]))]
    ).save(send_meeting_invitations=SEND_ONLY_TO_ALL)
    assert terry.calendar.filter(subject="Short").count() == 1
    second.delete(send_meeting_cancellations=SEND_TO_ALL_AND_SAVE_COPY)
    assert terry.calendar.filter(subject="Short").count() == 0


def sync(world):
    calendar = world.account("susan.maye").calendar
    items = [appointment(calendar.account, subject=f"Visit {n}").save() for n in range(5)]

    def changes():
        return [(kind, item.id) for kind, item in calendar.sync_items(max_changes_returned=2)]

    assert changes() == [("create", item.id) for item in reversed(items)]
    state = calendar.item_sync_state
    assert changes() == [], "nothing changed"
    items[1].subject = "Visit one"
    items[1].save(update_fields=["subject"])
    gone = items[2].id  # exchangelib forgets the id of what it deletes
    items[2].delete()
    new = appointment(calendar.account, subject="New").save()
    expected = {("update", items[1].id), ("delete", gone), ("create", new.id)}
    assert set(changes()) == expected
    # An old state tells the same again.
    assert {(kind, item.id) for kind, item in calendar.sync_items(sync_state=state)} == expected
    calendar.item_sync_state = None
    assert len(changes()) == 5
    new_id = new.id
    new.move_to_trash()
    assert changes() == [("delete", new_id)]


def view(world):
    calendar = world.account("susan.maye").calendar
    for day in (1, 2, 3):
        appointment(calendar.account, subject=f"Day {day}", start=at(day, 9), end=at(day, 10)).save()
    found = [item.subject for item in calendar.view(start=at(1, 9, 30), end=at(3, 9))]
    assert found == ["Day 1", "Day 2"], found
    only = [item.start for item in calendar.view(start=at(1, 0), end=at(4, 0)).only("start")]
    assert only == [at(1, 9), at(2, 9), at(3, 9)], only
    assert len(list(calendar.view(start=at(1, 0), end=at(4, 0), max_items=2))) == 2


def search(world):
    calendar = world.account("susan.maye").calendar
    appointment(calendar.account, crm_id="70412").save()
    appointment(calendar.account, crm_id="70413", subject="Other", location="Plant 9").save()
    appointment(calendar.account, subject="Neither", start=at(20, 9), end=at(20, 10)).save()
    assert [item.subject for item in calendar.filter(crm_id="70412")] == ["Site visit"]
    assert calendar.filter(crm_id="1").count() == 0
    assert calendar.filter(crm_id__exists=True).count() == 2
    assert calendar.filter(subject__contains="th").count() == 2
    assert calendar.filter(subject__istartswith="OTH").count() == 1
    assert [item.subject for item in calendar.filter(start__gte=at(19, 0))] == ["Neither"]
    assert calendar.exclude(location="Plant 9").count() == 2
    assert calendar.filter(start__range=(at(8, 0), at(9, 0))).filter(crm_id__in=["70413", "5"]).count() == 1
    names = [item.subject for item in calendar.all().order_by("-subject").only("subject")]
    assert names == ["Site visit", "Other", "Neither"], names


def weekly(world):
    susan, terry = world.account("susan.maye"), world.account("terry.smith")
    recurrence = Recurrence(pattern=WeeklyPattern(interval=1, weekdays=["Monday", "Thursday"]), start=EWSDate(2027, 3, 15), number=6)
    start, end = EWSDateTime(2027, 3, 15, 9, tzinfo=ZONE), EWSDateTime(2027, 3, 15, 10, tzinfo=ZONE)
    guests = [Attendee(mailbox=Mailbox(email_address=world.address("terry.smith")))]
    master = appointment(
        susan, subject="Weekly", start=start, end=end, recurrence=recurrence, required_attendees=guests
    ).save(send_meeting_invitations=SEND_ONLY_TO_ALL)
    master = susan.calendar.get(id=master.id)
    assert master.type == "RecurringMaster" and master.recurrence.boundary.number == 6
    assert master.recurrence.pattern.weekdays == [1, 4] or master.recurrence.pattern.weekdays == ["Monday", "Thursday"]
    assert master.first_occurrence.start == start
    assert susan.calendar.all().count() == 1

    def seen(account):
        window = dict(start=EWSDateTime(2027, 3, 1, tzinfo=ZONE), end=EWSDateTime(2027, 5, 1, tzinfo=ZONE))
        found = [(item.start.astimezone(ZONE), item) for item in account.calendar.view(**window)]
        return [(start.day, start.hour, item.subject, item.type) for start, item in found]

    # Summer time begins on 28 March; the local hour stays.
    expected = [(day, 9, "Weekly", "Occurrence") for day in (15, 18, 22, 25, 29, 1)]
    assert seen(susan) == expected, seen(susan)
    assert seen(terry) == expected, seen(terry)
    second = master.occurrence(index=2)
    second.refresh()
    assert second.type == "Occurrence" and second.start.astimezone(ZONE).day == 18
    climbed = second.recurring_master()
    climbed.refresh()
    assert climbed.id == master.id and climbed.type == "RecurringMaster"
    second.subject = "Weekly, special"
    second.start, second.end = second.start + datetime.timedelta(hours=2), second.end + datetime.timedelta(hours=2)
    second.save(update_fields=["subject", "start", "end"], send_meeting_invitations=SEND_ONLY_TO_ALL)
    third = master.occurrence(index=3)
    third.refresh()
    third.delete(send_meeting_cancellations=SEND_ONLY_TO_ALL)
    expected[1] = (18, 11, "Weekly, special", "Exception")
    del expected[2]
    assert seen(susan) == expected, seen(susan)
    assert seen(terry) == expected, seen(terry)
    master.refresh()
    assert [change.start.astimezone(ZONE).hour for change in master.modified_occurrences] == [11]
    assert [gone.start.astimezone(ZONE).day for gone in master.deleted_occurrences] == [22]
    master.delete(send_meeting_cancellations=SEND_ONLY_TO_ALL)
    assert seen(susan) == [] and seen(terry) == []


def impersonation(world):
    config = world.config("svc-daybridge")
    for login in ("susan.maye", "terry.smith"):
        account = Account(world.address(login), autodiscover=False, config=config, access_type=IMPERSONATION)
        appointment(account, subject=f"For {login}").save()
        own = world.account(login)
        assert [item.subject for item in own.calendar.all()] == [f"For {login}"]
    # Without impersonation the service account reaches no one.
    try:
        Account(world.address("susan.maye"), autodiscover=False, config=config, access_type=DELEGATE).calendar.all().count()
    except ErrorAccessDenied:
        pass
    else:
        raise AssertionError("the service account read a mailbox as itself")
    # A user may not impersonate.
    config = world.config("terry.smith")
    try:
        susan = Account(world.address("susan.maye"), autodiscover=False, config=config, access_type=IMPERSONATION)
        susan.calendar.all().count()
    except ErrorImpersonateUserDenied:
        pass
    else:
        raise AssertionError("a user impersonated another one")


def pull(world):
    calendar = world.account("susan.maye").calendar
    subscription, watermark = calendar.subscribe_to_pull()
    item = appointment(calendar.account).save()
    item.subject = "Other"
    item.save(update_fields=["subject"])
    item_id = item.id
    item.delete()
    events = []
    for notification in calendar.get_events(subscription, watermark):
        events.extend(notification.events)
    assert [type(event) for event in events] == [CreatedEvent, ModifiedEvent, DeletedEvent], events
    assert all(event.item_id.id == item_id for event in events)
    watermark = events[-1].watermark
    [quiet] = list(calendar.get_events(subscription, watermark))
    assert [event.ELEMENT_NAME for event in quiet.events] == ["StatusEvent"]
    calendar.unsubscribe(subscription)


def streaming(world):
    calendar = world.account("susan.maye").calendar
    subscription = calendar.subscribe_to_streaming()
    other = world.account("susan.maye")
    other.calendar  # found before the stream opens
    # The event may come before or after the stream opens: neither is lost.
    thread = threading.Thread(target=lambda: appointment(other).save())
    thread.start()
    events = []
    for notification in calendar.get_streaming_events(subscription, connection_timeout=1):
        # A sign of life may come first.
        events += [event for event in notification.events if not isinstance(event, StatusEvent)]
        if events:
            break
    thread.join()
    assert [type(event) for event in events] == [CreatedEvent], events
    calendar.unsubscribe(subscription)


def denied(world):
    try:
        world.account("susan.maye", config=world.config("susan.maye", password="wrong")).calendar.all().count()
    except UnauthorizedError:
        pass
    else:
        raise AssertionError("a wrong password was taken")
    susan, terry = world.account("susan.maye"), world.account("terry.smith")
    foreign = Account(world.address("susan.maye"), autodiscover=False, config=world.config("terry.smith"), access_type=DELEGATE)
    try:
        foreign.calendar.all().count()
    except ErrorAccessDenied:
        pass
    else:
        raise AssertionError("a user read a foreign calendar")
    item = appointment(susan).save()
    [found] = list(terry.fetch(ids=[(item.id, item.changekey)]))
    assert isinstance(found, ErrorItemNotFound), found


def folders(world):
    susan = world.account("susan.maye")
    names = {folder.name for folder in susan.root.walk()}
    assert {"Calendar", "Inbox", "Sent Items", "Deleted Items", "Contacts", "Tasks"} <= names, names
    assert susan.calendar.parent.name == "Top of Information Store"
    [found] = susan.protocol.resolve_names(["mary"])
    assert found.email_address == world.address("mary.jones")
    [(mailbox, contact)] = susan.protocol.resolve_names(["terry.smith@example.test"], return_full_contact_data=True)
    assert contact.display_name == "Terry Smith" and mailbox.mailbox_type == "Mailbox"


def attachments(world):
    susan = world.account("susan.maye")
    item = appointment(susan).save()
    try:
        item.attach(FileAttachment(name="plan.txt", content=b"to the plant"))
    except ErrorAttachmentSizeLimitExceeded:
        pass
    else:
        raise AssertionError("an attachment was taken")
    # The appointment itself is whole, and can be worked on.
    [kept] = list(susan.calendar.all())
    assert not kept.has_attachments
    kept.subject = "Without it"
    kept.save(update_fields=["subject"])
    kept.delete()


class LocalApplication(OAuth2Credentials):
    """An application whose directory is the simulator."""

    authority = None

    @property
    def token_url(self):
        return f"{self.authority}{self.tenant_id}/oauth2/v2.0/token"


def oauth(world):
    # The client insists on TLS for tokens; on loopback there is none.
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    app, address = world.app, world.address("susan.maye")
    LocalApplication.authority = app["authority"]
    credentials = LocalApplication(
        client_id=app["client_id"],
        client_secret=app["secret"],
        tenant_id=app["tenant"],
        identity=Identity(primary_smtp_address=address),
    )
    config = Configuration(service_endpoint=world.endpoint, credentials=credentials, auth_type=OAUTH2)
    account = Account(address, autodiscover=False, config=config, access_type=IMPERSONATION, default_timezone=ZONE)
    appointment(account, subject="By token").save()
    assert [item.subject for item in world.account("susan.maye").calendar.all()] == ["By token"]


def mime(world):
    susan = world.account("susan.maye")
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "BEGIN:VEVENT", "UID:mime@client.test", "SUMMARY:A long subject\\, folded",
        " over two lines", "DESCRIPTION:First\\nSecond", "DTSTART:20270208T080000Z", "DTEND:20270208T090000Z",
        "LOCATION:Plant 2", "END:VEVENT", "END:VCALENDAR", "",
    ]
    # The client adds times, privacy and a reminder of its own, which win.
    appointment(susan, subject=None, mime_content="\r\n".join(lines).encode()).save()
    [item] = list(susan.calendar.all())
    assert item.subject == "A long subject, foldedover two lines", item.subject
    assert item.body.strip() == "First\nSecond" or item.body.strip() == "First\r\nSecond", repr(item.body)
    assert (item.start, item.end) == (at(8, 9), at(8, 10)), (item.start, item.end)
    assert item.location == "Plant 2", item.location
    [shown] = list(susan.calendar.all().only("mime_content"))
    text = shown.mime_content.decode()
    for part in ("BEGIN:VTIMEZONE", f"UID:{item.uid}", "LOCATION;LANGUAGE=en-US:Plant 2"):
        assert part in text, text


class Names(socketserver.BaseRequestHandler):
    """A name server that knows one name."""

    def handle(self):
        data, socket = self.request
        asked = dns.message.from_wire(data)
        said = dns.message.make_response(asked)
        [question] = asked.question
        if question.name.to_text() != "autodiscover.example.test.":
            said.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            said.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", "127.0.0.1"))
        socket.sendto(said.to_wire(), self.client_address)


def autodiscover(world):
    user = world.users["susan.maye"]
    with socketserver.UDPServer(("127.0.0.1", 0), Names) as names:
        threading.Thread(target=names.serve_forever, daemon=True).start()
        # Its own switches for where names are asked for; the way to the server is in the environment.
        Autodiscovery.DNS_RESOLVER_KWARGS = {"configure": False}
        place, port = names.server_address
        Autodiscovery.DNS_RESOLVER_ATTRS = {"nameservers": [place], "port": port, "timeout": 5}
        credentials = Credentials(user["login"], user["password"])
        account = Account(user["address"], autodiscover=True, credentials=credentials, default_timezone=ZONE)
        names.shutdown()
    found = account.protocol.service_endpoint
    assert found == "https://autodiscover.example.test/EWS/Exchange.asmx", found
    appointment(account, subject="Found").save()
    assert [item.subject for item in account.calendar.all()] == ["Found"]


if __name__ == "__main__":
    cases = {
        case.__name__: case
        for case in (crud, meeting, sync, view, search, weekly, impersonation, pull, streaming, denied, folders, attachments, oauth, mime, autodiscover)
    }
    cases[sys.argv[1]](World(json.load(sys.stdin)))
