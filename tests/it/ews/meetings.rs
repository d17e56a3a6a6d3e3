//! Meetings: whom Exchange mails for each write, whose copy an item is, and answers.

use daybridge::connector::{Connector as _, Problem};
use daybridge::model::{Field, Item, Mail, Response, Role, Seen, Value};

use super::sim::{Sim, draft, invite, key, susan, terry, timed};

fn moved() -> (Field, Value) {
    (Field::Time, Value::Time(timed("2027-02-09T09:00:00Z", "2027-02-09T10:00:00Z")))
}

/// Invitations, updates, cancellations since the last look.
async fn since(sim: &Sim, before: &mut [u64; 4]) -> [u64; 3] {
    let now = sim.mails().await;
    let [requests, updates, cancellations, _] = std::array::from_fn(|i| now[i] - before[i]);
    *before = now;
    [requests, updates, cancellations]
}

#[tokio::test]
async fn every_write_mails_whom_it_was_told_to() {
    let sim = Sim::start().await;
    let mut seen = sim.mails().await;
    let mut meeting = draft("meeting");
    invite(&mut meeting, &["terry.smith", "mary.jones"]);

    let quiet = sim.create(&meeting, &key(1), Mail::Silent).await;
    assert_eq!(since(&sim, &mut seen).await, [0, 0, 0]);
    let quiet = sim.update(&quiet, &[moved()], Mail::Silent).await;
    assert_eq!(since(&sim, &mut seen).await, [0, 0, 0]);
    sim.connector.delete(&quiet.at, &quiet.version, Mail::Silent).await.unwrap();
    assert_eq!(since(&sim, &mut seen).await, [0, 0, 0]);

    let loud = sim.create(&meeting, &key(2), Mail::All).await;
    assert_eq!(since(&sim, &mut seen).await, [2, 0, 0]);
    let addresses =
        |item: &Item| item.appointment.attendees.iter().map(|a| a.person.address.folded()).collect::<Vec<_>>();
    assert_eq!(addresses(&loud), ["mary.jones@example.test", "terry.smith@example.test"]);
    let loud = sim.update(&loud, &[moved()], Mail::All).await;
    assert_eq!(since(&sim, &mut seen).await, [0, 2, 0]);
    let mut more = loud.appointment.clone();
    invite(&mut more, &["william.dolan"]);
    let loud = sim.update(&loud, &[(Field::Attendees, Value::Attendees(more.attendees))], Mail::Changed).await;
    assert_eq!(since(&sim, &mut seen).await, [1, 0, 0], "only who was added");
    let mut fewer = loud.appointment.clone();
    fewer.attendees.retain(|attendee| attendee.person.address.as_str() != "mary.jones@example.test");
    let loud = sim.update(&loud, &[(Field::Attendees, Value::Attendees(fewer.attendees))], Mail::Changed).await;
    assert_eq!(since(&sim, &mut seen).await, [0, 0, 1], "only who was removed");
    sim.connector.delete(&loud.at, &loud.version, Mail::All).await.unwrap();
    assert_eq!(since(&sim, &mut seen).await, [0, 0, 2]);
}

async fn copy_of(sim: &Sim, uid: &str) -> Item {
    let mut copies = sim.connector.find_uid(&terry(), uid).await.unwrap();
    assert_eq!(copies.len(), 1);
    copies.remove(0)
}

#[tokio::test]
async fn an_attendees_copy_has_its_uid_its_role_and_the_owners_answer() {
    let sim = Sim::start().await;
    let mut meeting = draft("meeting");
    invite(&mut meeting, &["terry.smith"]);
    let made = sim.create(&meeting, &key(1), Mail::All).await;
    assert_eq!(made.role, Role::Organizer);
    let copy = copy_of(&sim, made.uid.as_deref().unwrap()).await;
    assert_eq!(copy.role, Role::Attendee);
    assert_eq!(copy.stamp, None, "the stamp stays on the copy it was written to");
    assert_eq!(copy.appointment.organizer, made.appointment.organizer);
    assert_eq!(copy.appointment.time, made.appointment.time);

    sim.ask(
        "terry.smith",
        &format!(
            r#"<m:CreateItem MessageDisposition="SendAndSaveCopy"><m:Items><t:AcceptItem><t:ReferenceItemId Id="{}" ChangeKey="{}"/>
            </t:AcceptItem></m:Items></m:CreateItem>"#,
            copy.at.id, copy.version.0
        ),
    )
    .await;
    let Seen::Present(organizers) = sim.read(&made.at).await else { panic!() };
    assert_eq!(organizers.appointment.attendees[0].response, Response::Accepted);
    assert!(organizers.appointment.attendees[0].responded.is_some());
    assert_eq!(organizers.appointment.time, made.appointment.time);
    let copy = copy_of(&sim, made.uid.as_deref().unwrap()).await;
    assert_eq!(copy.appointment.attendees[0].response, Response::Accepted);

    // Writing another field keeps the answer.
    let updated = sim.update(&organizers, &[(Field::Location, Value::Text("L".into()))], Mail::Silent).await;
    assert_eq!(updated.appointment.attendees[0].response, Response::Accepted);
    let batch = sim.connector.changed_since(&susan(), None).await.unwrap();
    assert_eq!(batch.changes.len(), 1);
}

#[tokio::test]
async fn an_invitation_is_answered_from_the_owners_copy() {
    let sim = Sim::start().await;
    let mut meeting = draft("meeting");
    invite(&mut meeting, &["terry.smith"]);
    let made = sim.create(&meeting, &key(1), Mail::All).await;
    let uid = made.uid.clone().unwrap();
    let answer_of = async |sim: &Sim| {
        let Seen::Present(item) = sim.read(&made.at).await else { panic!("the meeting is gone") };
        item.appointment.attendees[0].response
    };
    for (given, mail, told) in [
        (Response::Accepted, Mail::Silent, Response::None),
        (Response::Tentative, Mail::Changed, Response::Tentative),
        (Response::Accepted, Mail::All, Response::Accepted),
    ] {
        let before = sim.mails().await[3];
        let copy = copy_of(&sim, &uid).await;
        let seen = sim.connector.respond(&copy.at, &copy.version, given, mail).await.unwrap();
        let Seen::Present(after) = seen else { panic!("{given:?} took the copy away") };
        assert_eq!(after.appointment.attendees[0].response, given);
        assert_eq!(answer_of(&sim).await, told);
        assert_eq!(sim.mails().await[3] - before, u64::from(mail != Mail::Silent), "{given:?}");
    }

    let copy = copy_of(&sim, &uid).await;
    let refused = |error: daybridge::connector::Error| error.problem;
    let own = sim.read(&made.at).await.present().unwrap().clone();
    let asked = sim.connector.respond(&own.at, &own.version, Response::Accepted, Mail::All).await;
    assert_eq!(asked.map_err(refused).unwrap_err(), Problem::Refused, "the organizer has nothing to answer");
    let asked = sim.connector.respond(&copy.at, &copy.version, Response::None, Mail::All).await;
    assert_eq!(asked.map_err(refused).unwrap_err(), Problem::Refused);
    let asked = sim.connector.respond(&copy.at, &made.version, Response::Declined, Mail::All).await;
    assert_eq!(asked.map_err(refused).unwrap_err(), Problem::Stale);

    let seen = sim.connector.respond(&copy.at, &copy.version, Response::Declined, Mail::All).await.unwrap();
    assert_eq!(seen, Seen::Deleted, "a declined copy leaves the calendar");
    assert_eq!(answer_of(&sim).await, Response::Declined);
    let again = sim.connector.respond(&copy.at, &copy.version, Response::Declined, Mail::All).await.unwrap();
    assert_eq!(again, Seen::Deleted, "twice is harmless");
    assert_eq!(sim.mails().await, [1, 0, 0, 3]);
}
