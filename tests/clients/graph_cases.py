"""Drives a Graph server with O365 and msgraph-sdk as their users do, with tokens by MSAL.

Usage: graph_cases.py CASE < {"graph": URL, "tenant": ..., "client_id": ..., "client_secret": ..., "front": PORT,
                              "sim": URL, "ews": URL, "users": [{name, address, login, password, role}], "day": DATE}
The names of Microsoft's hosts lead to the port "front", which speaks TLS with a certificate that REQUESTS_CA_BUNDLE
trusts: no client is changed. Ends with 0 if the server did what the case says. Progress goes to stderr.
"""

import asyncio
import datetime
import http.server
import json
import queue
import socket
import sys
import tempfile
import threading
import urllib.parse
import urllib.request
import zoneinfo

import msal
import O365
from kiota_abstractions.authentication import AccessTokenProvider, AllowedHostsValidator, BaseBearerTokenAuthenticationProvider
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.models.attendee import Attendee
from msgraph.generated.models.date_time_time_zone import DateTimeTimeZone
from msgraph.generated.models.day_of_week import DayOfWeek
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.event import Event
from msgraph.generated.models.location import Location
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.patterned_recurrence import PatternedRecurrence
from msgraph.generated.models.recurrence_pattern import RecurrencePattern
from msgraph.generated.models.recurrence_pattern_type import RecurrencePatternType
from msgraph.generated.models.recurrence_range import RecurrenceRange
from msgraph.generated.models.recurrence_range_type import RecurrenceRangeType
from msgraph.generated.models.single_value_legacy_extended_property import SingleValueLegacyExtendedProperty
from msgraph.generated.models.subscription import Subscription
from msgraph.generated.users.item.calendar_view.calendar_view_request_builder import CalendarViewRequestBuilder
from msgraph.generated.users.item.calendar_view.delta.delta_request_builder import DeltaRequestBuilder
from msgraph.generated.users.item.events.events_request_builder import EventsRequestBuilder
from msgraph.generated.users.item.events.item.accept.accept_post_request_body import AcceptPostRequestBody
from msgraph.generated.users.item.events.item.cancel.cancel_post_request_body import CancelPostRequestBody
from msgraph.generated.users.item.events.item.event_item_request_builder import EventItemRequestBuilder
from msgraph.generated.users.users_request_builder import UsersRequestBuilder
from msgraph_core.requests.batch_request_builder import BatchRequestBuilder
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_item import BatchRequestItem

PARIS = zoneinfo.ZoneInfo("Europe/Paris")
SCOPE = "https://graph.microsoft.com/.default"
HOSTS = ("graph.microsoft.com", "login.microsoftonline.com")
PROPERTY = "String {66f5a359-4659-4638-81a3-d1d2b2f5c5b4} Name CrmId"
SUSAN, TERRY, MARY = (f"{name}@example.test" for name in ("susan.maye", "terry.smith", "mary.jones"))


def at(day, hour, minute=0):
    return datetime.datetime(2027, 2, day, hour, minute, tzinfo=PARIS)


class World:
    def __init__(self, given):
        self.given = given
        self.users = {user["address"]: user for user in given["users"]}
        resolve = socket.getaddrinfo

        def lead(host, port, *more, **named):
            if host in HOSTS:
                return resolve("127.0.0.1", given["front"], *more, **named)
            return resolve(host, port, *more, **named)

        socket.getaddrinfo = lead

    def account(self, **named):
        folder = tempfile.mkdtemp()
        account = O365.Account(
            (self.given["client_id"], self.given["client_secret"]),
            auth_flow_type="credentials",
            tenant_id=self.given["tenant"],
            token_backend=O365.FileSystemTokenBackend(token_path=folder),
            requests_delay=0,
            timezone=PARIS,
            **named,
        )
        assert account.authenticate(), "no token"
        return account

    def msal(self, credential):
        authority = f"https://login.microsoftonline.com/{self.given['tenant']}"
        return msal.ConfidentialClientApplication(self.given["client_id"], client_credential=credential, authority=authority)

    def sdk(self):
        tokens = Tokens(self.msal(self.given["client_secret"]))
        # The token comes through the front, all else directly, and so must links lead.
        self.sim("POST", "graph", {"scheme": "http"})
        adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(tokens))
        adapter.base_url = self.given["graph"]
        return GraphServiceClient(request_adapter=adapter)

    def sim(self, method, path, body=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/octet-stream" if isinstance(body, bytes) else "application/json"}
        request = urllib.request.Request(self.given["sim"] + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
            return json.loads(text) if text else None


class Tokens(AccessTokenProvider):
    def __init__(self, app):
        self.app = app

    async def get_authorization_token(self, uri, additional_authentication_context={}):
        answer = await asyncio.to_thread(self.app.acquire_token_for_client, [SCOPE])
        assert "access_token" in answer, answer
        return answer["access_token"]

    def get_allowed_hosts_validator(self):
        return AllowedHostsValidator([])


class Listener:
    """Takes notifications, and shakes hands."""

    def __init__(self):
        self.posts = posts = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                token = query.get("validationToken", [""])[0]
                if not token:
                    for one in json.loads(body)["value"]:
                        posts.put((self.path, one))
                self.send_response(200 if token else 202)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(token.encode())))
                self.end_headers()
                self.wfile.write(token.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def take(self):
        return self.posts.get(timeout=30)


def o365_event(calendar, subject="Site visit", start=at(8, 9), end=at(8, 10), attendees=()):
    event = calendar.new_event(subject)
    event.start, event.end = start, end
    for address in attendees:
        event.attendees.add(address)
    return event


def o365_crud(world):
    account = world.account()
    calendar = account.schedule(resource=SUSAN).get_default_calendar()
    assert calendar.name == "Calendar", calendar.name
    event = o365_event(calendar)
    event.body, event.location, event.categories = "<p>Bring <b>samples</b></p>", "Plant 2", ["Red"]
    event.sensitivity, event.show_as, event.importance = "private", "oof", "high"
    event.remind_before_minutes = 45
    assert event.save() and event.object_id
    read = calendar.get_event(event.object_id)
    assert (read.subject, read.location["displayName"], read.categories) == ("Site visit", "Plant 2", ["Red"]), read
    assert (read.start, read.end) == (at(8, 9), at(8, 10)), (read.start, read.end)
    assert read.remind_before_minutes == 45 and "<b>samples</b>" in read.body, read.body
    assert (read.sensitivity.value, read.show_as.value, read.importance.value) == ("private", "oof", "high")
    assert read.ical_uid and read.created and read.modified
    read.subject, read.start, read.end = "Moved", at(8, 14), at(8, 15)
    assert read.save()
    found = list(calendar.get_events(include_recurring=False, query="subject eq 'Moved'"))
    assert [one.object_id for one in found] == [event.object_id] and found[0].start == at(8, 14)
    day = calendar.new_event("Fair")
    day.start, day.is_all_day = datetime.date(2027, 3, 1), True
    assert day.save()
    shown = list(calendar.get_events(limit=5, start_recurring="2027-02-01", end_recurring="2027-04-01"))
    assert [one.subject for one in shown] == ["Moved", "Fair"] and shown[1].is_all_day, shown
    for number in range(30):
        assert o365_event(calendar, f"Filler {number}", at(10, 9), at(10, 10)).save()
    every = list(calendar.get_events(limit=None, batch=7, include_recurring=False))
    assert len(every) == 32, len(every)
    assert found[0].delete() and calendar.get_event(day.object_id).delete()
    projects = account.schedule(resource=SUSAN).new_calendar("Projects")
    assert o365_event(projects, "Plan").save()
    assert [one.subject for one in projects.get_events(include_recurring=False)] == ["Plan"]


def o365_meeting(world):
    schedule = world.account().schedule(resource=SUSAN)
    event = o365_event(schedule.get_default_calendar(), "Board", attendees=[TERRY, MARY])
    assert event.save()  # two are invited
    terry = world.account().schedule(resource=TERRY).get_default_calendar()
    window = {"start_recurring": "2027-02-01", "end_recurring": "2027-03-01"}
    [copy] = terry.get_events(**window)
    assert copy.ical_uid, copy
    assert copy.response_status.status.name == "NotResponded", copy.response_status
    assert copy.accept_event("Yes")
    mary = world.account().schedule(resource=MARY).get_default_calendar()
    [copy] = mary.get_events(**window)
    assert copy.decline_event(send_response=False)
    assert list(mary.get_events(**window)) == []
    read = schedule.get_default_calendar().get_event(event.object_id)
    answers = {one.address: one.response_status.status for one in read.attendees}
    assert answers[TERRY].name == "Accepted" and answers[MARY] is None, answers
    read.location = "Hall"
    assert read.save()  # two are told
    assert read.cancel_event("Off")  # two are told
    assert list(terry.get_events(**window)) == []


def o365_series(world):
    calendar = world.account().schedule(resource=SUSAN).get_default_calendar()
    event = o365_event(calendar, "Weekly")
    event.recurrence.set_weekly(
        1, days_of_week=["monday"], first_day_of_week="monday", start=datetime.date(2027, 2, 8), occurrences=4
    )
    assert event.save()
    master = calendar.get_event(event.object_id)
    assert master.event_type.name == "SeriesMaster" and master.recurrence.occurrences == 4, master.recurrence
    instances = list(master.get_occurrences(at(1, 0), datetime.datetime(2027, 4, 1, tzinfo=PARIS)))
    assert [one.start.date().day for one in instances] == [8, 15, 22, 1], instances
    instances[1].subject = "Special"
    assert instances[1].save() and instances[2].delete()
    shown = list(calendar.get_events(start_recurring="2027-02-01", end_recurring="2027-04-01"))
    assert [one.subject for one in shown] == ["Weekly", "Special", "Weekly"], shown
    assert [one.event_type.name for one in shown] == ["Occurrence", "Exception", "Occurrence"]


def o365_keeps_a_meeting_going(world):
    """A daily series from the day that is told on, in Susan's calendar: one occurrence renamed, one deleted."""
    day = datetime.date.fromisoformat(world.given["day"])
    start, end = (datetime.datetime.combine(day, datetime.time(hour), PARIS) for hour in (9, 10))
    calendar = world.account().schedule(resource=SUSAN).get_default_calendar()
    event = o365_event(calendar, "Daily", start, end)
    event.recurrence.set_daily(1, start=day, occurrences=4)
    assert event.save()
    instances = list(calendar.get_event(event.object_id).get_occurrences(start, start + datetime.timedelta(days=9)))
    assert len(instances) == 4, instances
    instances[1].subject = "Special"
    assert instances[1].save() and instances[2].delete()


def o365_subscription(world):
    account, listener = world.account(), Listener()
    subscriptions = account.subscriptions()
    made = subscriptions.create_subscription(
        listener.url("/changes"),
        f"/users/{SUSAN}/events",
        ["created", "updated", "deleted"],
        expiration_minutes=60,
        client_state="known to us",
        lifecycle_notification_url=listener.url("/life"),
    )
    calendar = account.schedule(resource=SUSAN).get_default_calendar()
    event = o365_event(calendar)
    assert event.save()
    path, told = listener.take()
    assert (path, told["changeType"], told["clientState"]) == ("/changes", "created", "known to us"), told
    assert told["resourceData"]["id"] == event.object_id and told["subscriptionId"] == made["id"]
    event.subject = "Changed"
    assert event.save() and listener.take()[1]["changeType"] == "updated"
    assert event.delete() and listener.take()[1]["changeType"] == "deleted"
    assert subscriptions.renew_subscription(made["id"], expiration_minutes=120)
    world.sim("POST", "graph/lifecycle", {"event": "reauthorizationRequired"})
    path, told = listener.take()
    assert (path, told["lifecycleEvent"]) == ("/life", "reauthorizationRequired"), told
    assert subscriptions.delete_subscription(made["id"])
    assert o365_event(calendar).save()
    try:
        subscriptions.create_subscription(listener.url("/x").replace("http:", "ftp:"), f"/users/{SUSAN}/events")
        raise AssertionError("taken")
    except Exception as refused:
        assert "400" in str(refused), refused
    assert listener.posts.empty()


def o365_and_exchangelib(world):
    import exchangelib

    user = world.users[SUSAN]
    config = exchangelib.Configuration(
        service_endpoint=world.given["ews"], credentials=exchangelib.Credentials(user["login"], user["password"])
    )
    zone = exchangelib.EWSTimeZone("Europe/Paris")
    mailbox = exchangelib.Account(SUSAN, autodiscover=False, config=config, default_timezone=zone, access_type=exchangelib.DELEGATE)

    class CrmId(exchangelib.ExtendedProperty):
        property_set_id = "66f5a359-4659-4638-81a3-d1d2b2f5c5b4"
        property_name = "CrmId"
        property_type = "String"

    exchangelib.CalendarItem.register("crm_id", CrmId)
    when = lambda hour: exchangelib.EWSDateTime(2027, 2, 8, hour, tzinfo=zone)
    item = exchangelib.CalendarItem(
        folder=mailbox.calendar, account=mailbox, subject="By EWS", start=when(9), end=when(10), location="Plant 2",
        body=exchangelib.HTMLBody("<p>From <i>EWS</i></p>"), crm_id="70412", legacy_free_busy_status="OOF",
        required_attendees=[exchangelib.Attendee(mailbox=exchangelib.Mailbox(email_address=TERRY))],
    ).save(send_meeting_invitations="SendToNone")
    calendar = world.account().schedule(resource=SUSAN).get_default_calendar()
    query = f"singleValueExtendedProperties/Any(ep: ep/id eq '{PROPERTY}' and ep/value eq '70412')"
    [read] = calendar.get_events(include_recurring=False, query=query)
    assert (read.subject, read.location["displayName"], read.show_as.value) == ("By EWS", "Plant 2", "oof")
    assert (read.start, read.end) == (at(8, 9), at(8, 10)) and "<i>EWS</i>" in read.body
    uid = mailbox.calendar.get(id=item.id).uid
    assert read.ical_uid == uid, (read.ical_uid, uid)
    assert [one.address for one in read.attendees] == [TERRY]
    read.subject, read.start, read.end = "By Graph", at(8, 11), at(8, 12)
    assert read.save()  # Terry, who was never invited, is
    again = mailbox.calendar.get(id=item.id)
    assert (again.subject, again.start, again.crm_id) == ("By Graph", when(11), "70412"), again
    assert again.changekey != item.changekey
    event = o365_event(calendar, "Born in Graph", at(9, 9), at(9, 10))
    assert event.save()
    born = mailbox.calendar.get(subject="Born in Graph")
    assert born.start == exchangelib.EWSDateTime(2027, 2, 9, 9, tzinfo=zone) and born._start_timezone == zone
    born.body = exchangelib.HTMLBody("<p>Back</p>")
    born.save(update_fields=["body"])
    assert "Back" in calendar.get_event(event.object_id).body
    born.move_to_trash()
    try:
        calendar.get_event(event.object_id)
        raise AssertionError("found in Deleted Items")
    except Exception as missing:
        assert "404" in str(missing), missing
    translated = world.account().con.post(
        f"https://graph.microsoft.com/v1.0/users/{SUSAN}/translateExchangeIds",
        data={"inputIds": [item.id], "sourceIdType": "ewsId", "targetIdType": "restImmutableEntryId"},
    ).json()["value"]
    immutable = world.account(default_headers={"Prefer": 'IdType="ImmutableId"'})
    kept = immutable.schedule(resource=SUSAN).get_default_calendar().get_event(translated[0]["targetId"])
    assert kept.subject == "By Graph" and kept.object_id == translated[0]["targetId"]


def sdk_time(moment):
    return DateTimeTimeZone(date_time=moment.strftime("%Y-%m-%dT%H:%M:%S"), time_zone="Romance Standard Time")


def sdk_event(subject="Site visit", start=at(8, 9), end=at(8, 10), **more):
    return Event(subject=subject, start=sdk_time(start), end=sdk_time(end), **more)


async def sdk_crud(world):
    client = world.sdk()
    parameters = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(
        select=["id", "mail", "userPrincipalName"], filter=f"mail eq '{SUSAN}'"
    )
    [user] = (await client.users.get(RequestConfiguration(query_parameters=parameters))).value
    events = client.users.by_user_id(user.id).events
    prefer = RequestConfiguration()
    prefer.headers.add("Prefer", 'IdType="ImmutableId"')
    prefer.headers.add("Prefer", 'outlook.timezone="Romance Standard Time"')
    own = SingleValueLegacyExtendedProperty(id=PROPERTY, value="4711")
    made = await events.post(
        sdk_event(location=Location(display_name="Plant 2"), transaction_id="crm-1", single_value_extended_properties=[own]),
        request_configuration=prefer,
    )
    assert made.id and made.transaction_id == "crm-1" and made.start.date_time.startswith("2027-02-08T09:00"), made.start
    query = EventItemRequestBuilder.EventItemRequestBuilderGetQueryParameters(
        expand=[f"singleValueExtendedProperties($filter=id eq '{PROPERTY}')"], select=["subject", "location"]
    )
    read = await events.by_event_id(made.id).get(RequestConfiguration(query_parameters=query, headers=prefer.headers))
    assert (read.subject, read.location.display_name) == ("Site visit", "Plant 2") and read.start is None
    assert [(one.id, one.value) for one in read.single_value_extended_properties] == [(PROPERTY, "4711")]
    filtered = EventsRequestBuilder.EventsRequestBuilderGetQueryParameters(
        filter=f"singleValueExtendedProperties/Any(ep: ep/id eq '{PROPERTY}' and ep/value eq '4711')", count=True
    )
    found = await events.get(RequestConfiguration(query_parameters=filtered, headers=prefer.headers))
    assert [one.id for one in found.value] == [made.id] and found.odata_count == 1
    try:
        await events.post(sdk_event(transaction_id="crm-1"))
        raise AssertionError("doubled")
    except ODataError as refused:
        assert refused.error.code == "ErrorDuplicateTransactionId", refused
        assert refused.error.inner_error.request_id, refused
    changed = await events.by_event_id(made.id).patch(Event(subject="Changed"), request_configuration=prefer)
    assert (changed.subject, changed.id) == ("Changed", made.id) and changed.change_key != made.change_key
    settings = await client.users.by_user_id(SUSAN).mailbox_settings.get()
    assert settings.time_zone == "Romance Standard Time", settings
    zones = await client.users.by_user_id(SUSAN).outlook.supported_time_zones.get()
    assert any(zone.alias == "Romance Standard Time" for zone in zones.value)
    await events.by_event_id(made.id).delete()
    try:
        await events.by_event_id(made.id).get()
        raise AssertionError("still there")
    except ODataError as refused:
        assert (refused.response_status_code, refused.error.code) == (404, "ErrorItemNotFound"), refused


async def sdk_delta(world):
    user = world.sdk().users.by_user_id(SUSAN)
    made = [await user.events.post(sdk_event(f"Day {day}", at(day, 9), at(day, 10))) for day in range(1, 8)]
    parameters = DeltaRequestBuilder.DeltaRequestBuilderGetQueryParameters(
        start_date_time="2027-02-01T00:00:00Z", end_date_time="2027-03-01T00:00:00Z"
    )
    prefer = RequestConfiguration(query_parameters=parameters)
    prefer.headers.add("Prefer", "odata.maxpagesize=3")

    async def follow(builder, configuration):
        rows, pages = {}, 0
        while True:
            page = await builder.get(configuration)
            pages += 1
            rows.update({row.id: row for row in page.value})
            if page.odata_delta_link:
                return rows, pages, page.odata_delta_link
            builder = user.calendar_view.delta.with_url(page.odata_next_link)
            configuration = RequestConfiguration()
            configuration.headers.add("Prefer", "odata.maxpagesize=3")

    rows, pages, link = await follow(user.calendar_view.delta, prefer)
    assert len(rows) == 7 and pages == 3, (len(rows), pages)
    await user.events.by_event_id(made[0].id).delete()
    await user.events.by_event_id(made[1].id).patch(Event(subject="Changed"))
    rows, _, _ = await follow(user.calendar_view.delta.with_url(link), RequestConfiguration())
    assert set(rows) == {made[0].id, made[1].id}, rows
    assert "@removed" in rows[made[0].id].additional_data and rows[made[1].id].subject == "Changed"
    window = CalendarViewRequestBuilder.CalendarViewRequestBuilderGetQueryParameters(
        start_date_time="2027-02-03T00:00:00", end_date_time="2027-02-05T00:00:00", orderby=["start/dateTime desc"], top=5
    )
    shown = await user.calendar_view.get(RequestConfiguration(query_parameters=window))
    assert [event.subject for event in shown.value] == ["Day 4", "Day 3"], shown.value


async def sdk_batch(world):
    client = world.sdk()
    events = client.users.by_user_id(SUSAN).events
    parts = [BatchRequestItem(events.to_post_request_information(sdk_event(f"Part {number}"))) for number in range(19)]
    last = BatchRequestItem(events.to_get_request_information(), depends_on=[parts[0]])
    content = BatchRequestContent({part.id: part for part in [*parts, last]})
    answer = await BatchRequestBuilder(client.request_adapter).post(content)
    codes = codes_of(answer)
    assert sorted(codes.values()) == [200] + [201] * 19, codes
    world.sim("POST", "graph", {"requests_max": 5})
    content = BatchRequestContent({part.id: part for part in parts})
    answer = await BatchRequestBuilder(client.request_adapter).post(content)
    codes = list(codes_of(answer).values())
    assert (codes.count(201), codes.count(429)) == (5, 14), codes


def codes_of(answer):
    return {id: response.status for id, response in answer.responses.items()}


async def sdk_meeting(world):
    client = world.sdk()
    susan, terry = client.users.by_user_id(SUSAN), client.users.by_user_id(TERRY)
    invited = [Attendee(email_address=EmailAddress(address=address)) for address in (TERRY, MARY, "ann@client.test")]
    weekly = PatternedRecurrence(
        pattern=RecurrencePattern(type=RecurrencePatternType.Weekly, interval=1, days_of_week=[DayOfWeek.Monday]),
        range=RecurrenceRange(type=RecurrenceRangeType.Numbered, start_date=datetime.date(2027, 2, 8), number_of_occurrences=3),
    )
    made = await susan.events.post(sdk_event("Weekly", attendees=invited, recurrence=weekly, is_online_meeting=True))
    assert made.recurrence.range.number_of_occurrences == 3 and made.online_meeting.join_url in made.body.content
    [copy] = (await terry.events.get()).value
    await terry.events.by_event_id(copy.id).accept.post(AcceptPostRequestBody(comment="Yes", send_response=True))
    read = await susan.events.by_event_id(made.id).get()
    assert [one.status.response.value for one in read.attendees] == ["accepted", "none", "none"], read.attendees
    window = CalendarViewRequestBuilder.CalendarViewRequestBuilderGetQueryParameters(
        start_date_time="2027-02-01T00:00:00Z", end_date_time="2027-03-01T00:00:00Z"
    )
    shown = await terry.calendar_view.get(RequestConfiguration(query_parameters=window))
    assert [event.series_master_id for event in shown.value] == [copy.id] * 3
    await susan.events.by_event_id(made.id).cancel.post(CancelPostRequestBody(comment="Off"))
    assert (await terry.events.get()).value == []


async def sdk_subscription(world):
    client, listener = world.sdk(), Listener()
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=2)
    made = await client.subscriptions.post(
        Subscription(
            change_type="created,deleted", notification_url=listener.url("/changes"), resource=f"/users/{SUSAN}/events",
            expiration_date_time=until, client_state="ours",
        )
    )
    event = await client.users.by_user_id(SUSAN).events.post(sdk_event())
    assert listener.take()[1]["resourceData"]["id"] == event.id
    later = await client.subscriptions.by_subscription_id(made.id).patch(
        Subscription(expiration_date_time=until + datetime.timedelta(hours=1))
    )
    assert later.expiration_date_time > made.expiration_date_time
    await client.subscriptions.by_subscription_id(made.id).delete()
    assert (await client.subscriptions.get()).value == []


def certificate(world):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    def make():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "daybridge")])
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        made = builder.not_valid_after(now + datetime.timedelta(days=9)).sign(key, hashes.SHA256())
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return pem.decode(), made

    def sign_in(pem, made, **thumbprint):
        public = made.public_bytes(serialization.Encoding.PEM).decode()
        return world.msal({"private_key": pem, "public_certificate": public, **thumbprint}).acquire_token_for_client([SCOPE])

    (pem, made), (stranger, other) = make(), make()
    assert "access_token" not in sign_in(pem, made), "an unknown certificate signed in"
    world.sim("POST", "graph/certificates", made.public_bytes(serialization.Encoding.DER))
    answer = sign_in(pem, made)  # PS256 with a SHA-256 thumbprint
    assert "access_token" in answer, answer
    answer = sign_in(pem, made, thumbprint=made.fingerprint(hashes.SHA1()).hex())  # RS256 with a SHA-1 one
    assert "access_token" in answer, answer
    answer = sign_in(stranger, made)
    assert answer.get("error") == "invalid_client", answer
    answer = world.msal("wrong").acquire_token_for_client([SCOPE])
    assert answer["error"] == "invalid_client" and 7000215 in answer["error_codes"], answer


CASES = {case.__name__: case for case in (
    o365_crud, o365_meeting, o365_series, o365_keeps_a_meeting_going, o365_subscription, o365_and_exchangelib, sdk_crud, sdk_delta, sdk_batch,
    sdk_meeting, sdk_subscription, certificate,
)}


def main():
    case, given = sys.argv[1], json.load(sys.stdin)
    ran = CASES[case](World(given))
    if asyncio.iscoroutine(ran):
        asyncio.run(ran)


main()
