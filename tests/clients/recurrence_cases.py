"""Reckons recurrences with python-dateutil: reads one case a line (JSON) and answers, for each, how many occurrences begin
in the window and the SHA-256 over their starts, as one list; with "show", the starts themselves instead of the hash."""

import hashlib
import json
import re
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

answers = []
for line in sys.stdin:
    case = json.loads(line)
    zone = ZoneInfo(case["zone"])
    begin, end = case["from"], case["until"]
    last = datetime.fromtimestamp(end, timezone.utc).replace(tzinfo=None) + timedelta(days=2)
    starts = []
    # A last day is a whole day; dateutil takes it for the day's midnight.
    rule = re.sub(r"UNTIL=(\d{8})$", r"UNTIL=\1T235959", case["rule"])
    for wall in rrulestr(rule, dtstart=datetime.fromisoformat(case["first"])):
        if wall > last:
            break
        start = int(wall.replace(tzinfo=zone).timestamp())
        if start >= end:
            break
        if start >= begin:
            starts.append(start)
    hashed = hashlib.sha256(",".join(map(str, starts)).encode()).hexdigest()
    answers.append([len(starts), starts if case["show"] else hashed])
json.dump(answers, sys.stdout)
