//! The `where` language: what it selects, what it refuses.

use serde_json::{Value, json};

use super::{Sim, meeting};

#[tokio::test]
async fn conditions_select_as_sql_does() {
    let sim = Sim::start().await;
    for (subject, start, organizer, percent) in [
        ("alpha", "2027-02-01T09:00:00", json!("11"), json!(10)),
        ("beta", "2027-02-02T09:00:00", json!(12), json!("20")),
        ("it's 100%", "2027-02-03T09:00:00", Value::Null, Value::Null),
    ] {
        let mut body = meeting(subject, start);
        body["Comm_Organizer"] = organizer;
        body["comm_percentcomplete"] = percent;
        sim.post("Communication", &body).await;
    }
    let all = ["alpha", "beta", "it's 100%"];
    let accepted: &[(&str, &[&str])] = &[
        ("Comm_Subject eq 'alpha'", &["alpha"]),
        ("comm_subject EQ 'ALPHA  '", &["alpha"]),
        ("Comm_Subject eq 'it''s 100%'", &["it's 100%"]),
        ("Comm_Subject ne 'alpha'", &["beta", "it's 100%"]),
        ("Comm_Subject gt 'alpha'", &["beta", "it's 100%"]),
        ("Comm_Subject le 'beta'", &["alpha", "beta"]),
        ("Comm_Subject like '%A'", &["alpha", "beta"]),
        ("Comm_Subject like '_e%'", &["beta"]),
        ("Comm_Subject like '%'", &all),
        ("Comm_Subject like 'alph'", &[]),
        ("Comm_Subject not like '%a'", &["it's 100%"]),
        ("comm_percentcomplete ge 20", &["beta"]),
        ("comm_percentcomplete lt '20'", &["alpha"]),
        ("comm_percentcomplete gt -1", &["alpha", "beta"]),
        ("comm_percentcomplete in (10, '20',30)", &["alpha", "beta"]),
        ("comm_percentcomplete not in (10)", &["beta"]),
        ("comm_percentcomplete between 10 and 19", &["alpha"]),
        ("comm_percentcomplete not between 10 and 19", &["beta"]),
        ("Comm_Organizer eq 12", &["beta"]),
        ("Comm_Organizer ne '12'", &["alpha"]),
        ("not Comm_Organizer eq '12'", &["alpha"]),
        ("not (Comm_Organizer eq '12' or Comm_Subject eq 'zz')", &["alpha"]),
        ("Comm_Organizer eq '12' or Comm_Subject like 'it%'", &["beta", "it's 100%"]),
        ("Comm_DateTime gt @2027-02-02@", &["beta", "it's 100%"]),
        ("Comm_DateTime ge @2027-02-02T09:00:00@ and Comm_DateTime lt @2027-02-02 09:00:01@", &["beta"]),
        ("Comm_DateTime eq @2027-02-02T08:00:00Z@", &["beta"]),
        ("Comm_DateTime between @2027-02-01@ and @2027-02-03@", &["alpha", "beta"]),
        ("Comm_Subject eq 'alpha' or Comm_Subject eq 'beta' and Comm_Organizer eq '99'", &["alpha"]),
        ("(Comm_Subject eq 'alpha' or Comm_Subject eq 'beta') and Comm_Organizer eq '12'", &["beta"]),
        ("((((Comm_Subject eq 'alpha'))))", &["alpha"]),
    ];
    for (condition, expected) in accepted {
        let expected: Vec<String> = expected.iter().map(|subject| (*subject).to_owned()).collect();
        assert_eq!(sim.find(condition).await, Ok(expected), "{condition}");
    }
    let deep = format!("{}Comm_Subject eq 'a'{}", "(".repeat(60), ")".repeat(60));
    let nots = format!("{}Comm_Subject eq 'a'", "not ".repeat(60));
    let long = format!("Comm_Subject eq '{}'", "a".repeat(5_000));
    let refused = [
        "",
        "Comm_Subject",
        "Comm_Subject eq",
        "Comm_Subject = 'alpha'",
        "Comm_Subject eq 'alpha",
        "Comm_Subject eq alpha",
        "Comm_Subject eq 'alpha' and",
        "Comm_Subject eq 'alpha' Comm_Subject eq 'alpha'",
        "(Comm_Subject eq 'alpha'",
        "Comm_Subject eq 'alpha')",
        "'alpha' eq Comm_Subject",
        "Comm_Nothing eq 'alpha'",
        "Comm_Deleted is null",
        "Comm_Deleted is not null",
        "Comm_Deleted eq null",
        "Comm_Private eq true",
        "comm_percentcomplete eq 'ten'",
        "comm_percentcomplete eq 1.5",
        "comm_percentcomplete like '1%'",
        "comm_percentcomplete in ()",
        "comm_percentcomplete in (10",
        "comm_percentcomplete in 10",
        "comm_percentcomplete between 10 or 20",
        "comm_percentcomplete not 10",
        "Comm_DateTime gt @yesterday@",
        "Comm_DateTime gt @2027-02-30@",
        "Comm_DateTime gt @2027-02-01",
        "Comm_DateTime gt 20270201",
        "Comm_Subject eq @2027-02-01@",
        deep.as_str(),
        nots.as_str(),
        long.as_str(),
    ];
    for condition in refused {
        assert_eq!(sim.find(condition).await, Err((400, "BadWhereSyntax".into())), "{condition}");
    }
}
