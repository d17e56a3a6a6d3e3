//! Windows zone names to IANA and back.

use chrono_tz::{TZ_VARIANTS, Tz};
use daybridge::connector::zones::{from_any, from_windows, to_windows};
use daybridge::model::Zone;

#[test]
fn windows_names_are_known_in_any_letter_case() {
    for (name, iana) in [
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("w. europe standard time", "Europe/Berlin"),
        ("Eastern Standard Time", "America/New_York"),
        ("GMT STANDARD TIME", "Europe/London"),
        ("India Standard Time", "Asia/Calcutta"),
        ("UTC", "UTC"),
        ("utc", "UTC"),
        ("tzone://Microsoft/Utc", "UTC"),
        ("TZONE://microsoft/utc", "UTC"),
        ("UTC-11", "Etc/GMT+11"),
    ] {
        assert_eq!(from_windows(name), Zone::named(iana), "{name}");
        assert_eq!(from_windows(name).name(), iana, "{name}");
    }
}

#[test]
fn a_name_no_table_knows_is_kept() {
    for name in ["Customized Time Zone", "tzone://Microsoft/Custom", "", "W. Europe", "Mars Standard Time", "Ünknown"]
    {
        let zone = from_windows(name);
        assert_eq!(zone, Zone::Unknown(name.into()));
        assert_eq!(to_windows(&zone), Some(name), "it goes back as it came");
        assert_eq!(from_any(name), Zone::Unknown(name.into()));
    }
    assert_eq!(from_any("Europe/Vienna"), Zone::Iana(Tz::Europe__Vienna));
    assert_eq!(from_any("Tokyo Standard Time"), Zone::Iana(Tz::Asia__Tokyo));
}

#[test]
fn iana_names_have_windows_names_also_after_they_were_renamed() {
    for (iana, windows) in [
        ("Europe/Vienna", "W. Europe Standard Time"),
        ("UTC", "UTC"),
        ("Etc/UTC", "UTC"),
        ("Asia/Kolkata", "India Standard Time"),
        ("Europe/Kyiv", "FLE Standard Time"),
        ("America/Argentina/Buenos_Aires", "Argentina Standard Time"),
        ("Asia/Ho_Chi_Minh", "SE Asia Standard Time"),
        ("US/Eastern", "Eastern Standard Time"),
    ] {
        assert_eq!(to_windows(&Zone::named(iana)), Some(windows), "{iana}");
    }
}

#[test]
fn every_windows_name_comes_back_as_itself() {
    let mut names: Vec<&str> = TZ_VARIANTS.iter().filter_map(|zone| to_windows_name(*zone)).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() > 130, "the table shrank to {}", names.len());
    for name in names {
        assert_eq!(to_windows(&from_windows(name)), Some(name));
    }
}

fn to_windows_name(zone: Tz) -> Option<&'static str> {
    to_windows(&Zone::Iana(zone)).map(|name| &*name.to_owned().leak())
}
