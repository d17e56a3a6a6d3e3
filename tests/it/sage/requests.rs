//! Addresses, conditions, settings.

use daybridge::connector::http::Url;
use daybridge::connector::sage::client::{Query, date, entry_url, equal, feed_url, one_of};
use daybridge::connector::sage::config::{QueryDates, Removal, SageConfig, UpdateVerb};
use daybridge::connector::sage::wall::DateFormat;
use daybridge::connector::sage::wire::{Diagnosis, Feed, clean};
use serde_json::json;

fn base() -> Url {
    Url::parse("http://crm.test/sdata/crmj/sagecrm2/-/").unwrap()
}

#[test]
fn addresses_are_those_of_the_rest_service() {
    let query = Query { entity: "Communication", count: 200, index: 1, ..Query::default() };
    assert_eq!(
        feed_url(&base(), &query).as_str(),
        "http://crm.test/sdata/crmj/sagecrm2/-/Communication?count=200&startIndex=1"
    );
    let query = Query {
        filter: "Comm_Subject eq 'a''b & 50% + #1 = ä' and Comm_UpdatedDate ge @2027-02-01T08:15:30@".into(),
        order: Some("Comm_UpdatedDate asc"),
        ..query
    };
    let url = feed_url(&base(), &query);
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    assert_eq!(pairs[0], ("where".into(), query.filter.clone()), "nothing of it is lost on the way");
    assert_eq!(pairs[1], ("orderBy".into(), "Comm_UpdatedDate asc".into()));
    assert!(!url.as_str().contains('+') && url.as_str().contains("%2B"), "a plus would be read as a blank: {url}");
    for (id, path) in [
        ("4711", "Communication('4711')"),
        ("a'b", "Communication('a''b')"),
        ("../x?y#z", "Communication('..%2Fx%3Fy%23z')"),
    ] {
        // The `url` crate writes a quote in a path as it is.
        assert_eq!(entry_url(&base(), "Communication", id).as_str(), format!("{}{path}", base()));
    }
}

#[test]
fn conditions_quote_what_they_are_given() {
    assert_eq!(equal("Comm_MeetingId", "O'Neil"), "Comm_MeetingId eq 'O''Neil'");
    assert_eq!(one_of("Id", &["1".into()]), "Id eq '1'");
    assert_eq!(one_of("Id", &["1".into(), "2".into()]), "Id in ('1','2')");
    let wall = "2027-02-01T08:15:30".parse().unwrap();
    assert_eq!(date(wall, QueryDates::Second), "@2027-02-01T08:15:30@");
    assert_eq!(date(wall, QueryDates::Day), "@2027-02-01@");
}

#[test]
fn settings_have_the_usual_values() {
    let config: SageConfig = toml::from_str(
        "url = \"https://crm.test/\"\nlogin = \"sync\"\npassword = \"geheim\"\ntime_zone = \"Europe/Berlin\"",
    )
    .unwrap();
    config.check().unwrap();
    assert_eq!(
        config,
        SageConfig::new("https://crm.test/", "sync", config.password.clone(), chrono_tz::Europe::Berlin)
    );
    assert_eq!(config.base().unwrap().as_str(), "https://crm.test/sdata/crmj/sagecrm2/-/");
    assert!(!format!("{config:?}").contains("geheim"));
    let all: SageConfig = toml::from_str(
        r#"
        name = "CRM of the north"
        url = "http://10.0.0.5:8080"
        install = "north"
        contract = "sagecrm3"
        login = "sync"
        password = "geheim"
        time_zone = "America/New_York"
        date_format = "utc"
        query_dates = "day"
        sort = false
        update_verb = "put"
        page_size = 50
        overlap_s = 300
        type = "Visit"
        actions = ["Meeting", "Demo"]
        stamp_column = "comm_outlookEntryID"
        responses_column = "comm_responses"
        columns = ["comm_room"]
        delete = "delete"
        default_action = "Demo"
        default_status = "Planned"
        default_channel = 5
        default_territory = -2147483640
        [http]
        request_timeout = 5
        "#,
    )
    .unwrap();
    all.check().unwrap();
    assert_eq!(all.base().unwrap().as_str(), "http://10.0.0.5:8080/sdata/northj/sagecrm3/-/");
    assert_eq!((all.date_format, all.query_dates), (DateFormat::Utc, QueryDates::Day));
    assert_eq!((all.update_verb, all.delete, all.sort), (UpdateVerb::Put, Removal::Delete, false));
    assert!(all.takes("visit", "DEMO") && !all.takes("Visit", "ToDo") && !all.takes("Task", "Demo"));
    for (url, base) in [
        ("https://crm.test/sdata/xj/sagecrm2/-/", "https://crm.test/sdata/xj/sagecrm2/-/"),
        ("https://crm.test/sdata/xj/sagecrm2/-", "https://crm.test/sdata/xj/sagecrm2/-/"),
    ] {
        assert_eq!(SageConfig { url: url.into(), ..config.clone() }.base().unwrap().as_str(), base);
    }
}

#[test]
fn settings_that_cannot_work_say_why() {
    let head = "url = \"https://crm.test/\"\nlogin = \"sync\"\npassword = \"geheim\"\n";
    for (more, part) in [
        ("", "missing field `time_zone`"),
        ("time_zone = \"W. Europe Standard Time\"", "is no IANA zone name (such as Europe/Berlin)"),
        ("time_zone = \"UTC\"\npagesize = 5", "unknown field `pagesize`"),
        ("time_zone = \"UTC\"\ndelete = \"maybe\"", "unknown variant `maybe`"),
    ] {
        let error = toml::from_str::<SageConfig>(&format!("{head}{more}")).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert!(!error.contains("geheim"), "{error}");
    }
    let config: SageConfig = toml::from_str(&format!("{head}time_zone = \"UTC\"")).unwrap();
    type Change = fn(&mut SageConfig);
    let cases: [(Change, &str); 8] = [
        (|config| config.url = "crm.test".into(), "crm.url: is no address"),
        (|config| config.url = "ftp://crm.test".into(), "crm.url: must begin with http:// or https://"),
        (|config| config.url = "https://a:b@crm.test".into(), "crm.url: must not hold a user or password"),
        (|config| config.login.clear(), "crm.login: is empty"),
        (|config| config.page_size = 5, "crm.page_size: must be 10 to 1000"),
        (|config| config.overlap_s = 90_000, "crm.overlap_s: must be at most 86400"),
        (|config| config.stamp_column = "a b".into(), "crm.columns: \"a b\" is no column name"),
        (|config| config.columns = vec!["x eq 1".into()], "crm.columns: \"x eq 1\" is no column name"),
    ];
    for (change, part) in cases {
        let mut config = config.clone();
        change(&mut config);
        let error = config.check().unwrap_err().to_string();
        assert!(error.starts_with(part), "{error}");
    }
}

#[test]
fn a_diagnosis_is_read_in_every_spelling_and_cleaned() {
    let one =
        json!({"$severity": "error", "$sdataCode": "BadWhereSyntax", "$message": "Invalid\n query of jo@example.test"});
    for body in [json!({"$diagnoses": [one]}), json!({"$diagnosis": [one]}), json!({"$diagnosis": one})] {
        let found = Diagnosis::from_json(&body).unwrap();
        assert_eq!((clean(&found.message).as_str(), found.transient), ("Invalid query of … (BadWhereSyntax)", false));
        assert_eq!(found.message, clean(&found.message));
    }
    let transient = json!({"$diagnoses": [{"$severity": "Transient", "$sdataCode": "ApplicationDiagnosis"}]});
    assert!(Diagnosis::from_json(&transient).unwrap().transient);
    assert_eq!(Diagnosis::from_json(&json!({"$diagnoses": []})), None);
    assert_eq!(clean(&"word ".repeat(1000)).len(), 300);
    let feed = Feed::from_json(&json!({"$totalResults": "7", "$resources": [{"$key": 1}, 5]})).unwrap();
    assert_eq!((feed.total, feed.rows.len()), (Some(7), 1));
    assert!(Feed::from_json(&json!({"$totalResults": 7})).is_none());
}
